"""/healthz answers while the service is as busy as it can be, beside a bare server on the same machine as a control."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time

import psutil
import pytest

from benchmarks.kept_connections import HOST, KeptConnections, run_on_uvloop
from benchmarks.load import PROBE, closed_loop, request_for
from evaluation.measures import percentile
from tests.service.http.test_bad_clients import Footnote

ANSWERED_MS_MAX = 20.0
SECONDS = 5.0
OTHERS_SHARE_MAX = 0.33
CONTROL = """
import asyncio

async def answer(reader, writer):
    try:
        while await reader.readuntil(b"\\r\\n\\r\\n"):
            writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\n{}")
    except asyncio.IncompleteReadError:
        writer.close()

async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""
"""The least that answers a request: it shows how soon this machine wakes anybody while the service computes."""


async def probed(port: int, until: asyncio.Task[object]) -> list[float]:
    """What each question took, in milliseconds, 40 a second."""
    connections, took = KeptConnections(port, 1), []
    while not until.done():
        began = time.perf_counter()
        status, _ = await connections.ask(PROBE)
        assert status == 200
        took.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(0.025)
    connections.close()
    return took


def asked_for(path: str, text: str) -> bytes:
    """The bytes of one question."""
    if path == "/v1/search":
        return request_for(text)
    body = json.dumps({"query": text}).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


async def measured(path: str, port: int, control_port: int) -> tuple[list[float], list[float], int]:
    requests = [asked_for(path, f"How are refunds of {number} days paid?") for number in range(50)]
    connections = KeptConnections(port, 32)
    work = asyncio.create_task(closed_loop(connections, requests, 16, SECONDS))
    health, control = await asyncio.gather(probed(port, work), probed(control_port, work))
    connections.close()
    return health, control, len(work.result().accepted_ms)


def used_s(process: psutil.Process) -> float:
    """Processor time of a process so far, in seconds."""
    times = process.cpu_times()
    return times.user + times.system


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/v1/search", "/v1/answer"])
def test_health_is_answered_within_20_ms_while_questions_saturate_the_service(shared_index, path):
    """The best of three rounds. Where other programs take more than a third of the processors it says nothing."""
    served = Footnote(shared_index)
    rounds, others = [], []
    with subprocess.Popen([sys.executable, "-c", CONTROL], stdout=subprocess.PIPE, text=True) as bare:
        ours = [psutil.Process(), served.process, psutil.Process(bare.pid)]
        try:
            control_port = int(bare.stdout.readline())
            for _ in range(3):
                idle, used, began = psutil.cpu_times().idle, sum(map(used_s, ours)), time.monotonic()
                health, control, searched = run_on_uvloop(measured(path, served.port, control_port))
                all_s = (time.monotonic() - began) * psutil.cpu_count()
                busy = all_s - (psutil.cpu_times().idle - idle)
                others.append((busy - (sum(map(used_s, ours)) - used)) / all_s)
                assert searched > 50
                assert len(health) > 50
                late, late_control = percentile(health, 99), percentile(control, 99)
                rounds.append(late - late_control)
                print(
                    f"{searched / SECONDS:.0f} of {path} a second; /healthz p50 {percentile(health, 50):.1f}, p99"
                    f" {late:.1f} ms; control p50 {percentile(control, 50):.1f}, p99 {late_control:.1f} ms on {HOST};"
                    f" others took {others[-1]:.0%} of the processors"
                )
                if rounds[-1] <= ANSWERED_MS_MAX:
                    return
        finally:
            bare.terminate()
            served.stop()
    if min(others) > OTHERS_SHARE_MAX:
        pytest.skip(f"other programs took {min(others):.0%} of the processors")
    assert min(rounds) <= ANSWERED_MS_MAX
