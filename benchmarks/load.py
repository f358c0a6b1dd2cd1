"""What `POST /v1/search` does under load: percentiles and goodput against offered load, and where the time goes.

    python -m benchmarks.load ../shared/data/scifact [--seconds 10] [--loads 0.3,0.7,1,3,10] [--plot FOLDER]

First the capacity: `--clients` that each ask as soon as they were answered. Then open loops: requests begin at times
drawn beforehand (Poisson), whether or not earlier ones were answered, and their latency counts from when they were to
begin, so that a service that stalls cannot slow down its own measuring. Offered loads are multiples of the capacity.
Goodput is what was answered with 200 within `--slo-ms`. At most `--connections` are open, all to this machine; a
request that finds none free for a second counts as not sent. /healthz is asked all the while, some twenty times a
second, as the control. The client runs beside the service on the same cores and takes its share of them.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.charts import Line, bar_chart, line_chart
from evaluation.measures import percentile
from evaluation.run import index_of
from evaluation.sets import read_set
from evaluation.settings import EvaluationSettings
from indexer.progress import Lines
from indexer.settings import IndexerSettings

HOST = "127.0.0.1"
LOADS = "0.3,0.5,0.7,0.9,1,1.5,3,10"
WAIT_FOR_CONNECTION_S = 1.0
ANSWER_S_MAX = 30.0
REFUSED_WAIT_S = 0.1
"""Before a client of the closed loop asks again where nobody was answered meanwhile: refusals are not its measure."""
KEPT_ALIVE_S = 2.0
PROBE_EVERY_S = 0.04


@dataclass(slots=True)
class Seen:
    """What came back in one stretch of time.

    Args:
        seconds: how long requests were begun for.
        offered: how many were to begin.
        accepted_ms, rejected_ms, probes_ms: milliseconds, from when each was to begin.
        statuses: by HTTP status; 0 where the connection broke, -1 where none was free.
        stages_ms: what the service says each stage took.
    """

    seconds: float
    offered: int = 0
    accepted_ms: list[float] = field(default_factory=list)
    rejected_ms: list[float] = field(default_factory=list)
    probes_ms: list[float] = field(default_factory=list)
    statuses: collections.Counter[int] = field(default_factory=collections.Counter)
    degraded: int = 0
    stages_ms: dict[str, list[float]] = field(default_factory=lambda: collections.defaultdict(list))

    def goodput(self, slo_ms: float) -> float:
        """Requests a second that were answered in time."""
        return sum(took <= slo_ms for took in self.accepted_ms) / self.seconds


class Connections:
    """Kept-alive connections to one port, at most so many."""

    def __init__(self, port: int, most: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter, float]] = []
        self._free = asyncio.Semaphore(most)

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """(status, body); 0 where the connection broke. Raises TimeoutError where no connection gets free."""
        async with asyncio.timeout(WAIT_FOR_CONNECTION_S):
            await self._free.acquire()
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                reader, writer = self._kept() or await asyncio.open_connection(HOST, self._port)
                writer.write(request)
                status, body, keep = await _answer(reader)
            if keep:
                self._idle.append((reader, writer, time.monotonic()))
            else:
                writer.close()
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            return 0, b""
        finally:
            self._free.release()
        return status, body

    def _kept(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """The connection that was used last; those at which the server loses patience soon are left."""
        if self._idle and time.monotonic() - self._idle[-1][2] > KEPT_ALIVE_S:
            self.close()
        return self._idle.pop()[:2] if self._idle else None

    def close(self) -> None:
        """Hang up."""
        for _, writer, _ in self._idle:
            writer.close()
        self._idle.clear()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    body = await reader.readexactly(length)
    return int(head.split(b" ", 2)[1]), body, b"connection: close" not in head


def request_for(text: str) -> bytes:
    """The bytes of one search."""
    body = json.dumps({"query": text, "mode": "hybrid"}).encode()
    return (
        b"POST /v1/search HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
        % (
            len(body),
            body,
        )
    )


PROBE = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"


async def one(connections: Connections, request: bytes, due: float, seen: Seen) -> None:
    """Ask once, and note what came of it."""
    try:
        status, body = await connections.ask(request)
    except TimeoutError:
        seen.statuses[-1] += 1
        return
    took_ms = (time.perf_counter() - due) * 1000
    seen.statuses[status] += 1
    if status == 200:
        seen.accepted_ms.append(took_ms)
        told = json.loads(body)
        seen.degraded += bool(told["degraded"])
        for stage in told["stages"]:
            seen.stages_ms[stage["name"]].append(stage["took_ms"])
    elif status:
        seen.rejected_ms.append(took_ms)


async def closed_loop(connections: Connections, requests: Sequence[bytes], clients: int, seconds: float) -> Seen:
    """So many clients, each asking as soon as it was answered."""
    seen = Seen(seconds)
    ends = time.perf_counter() + seconds

    async def client(number: int) -> None:
        at = number
        while (now := time.perf_counter()) < ends:
            seen.offered += 1
            answered = len(seen.accepted_ms)
            await one(connections, requests[at % len(requests)], now, seen)
            if len(seen.accepted_ms) == answered:
                await asyncio.sleep(REFUSED_WAIT_S)
            at += clients

    await asyncio.gather(*(client(number) for number in range(clients)))
    return seen


async def open_loop(
    connections: Connections, requests: Sequence[bytes], rate: float, seconds: float, dice: random.Random
) -> Seen:
    """Requests at times drawn beforehand, `rate` a second."""
    seen = Seen(seconds)
    began = time.perf_counter()
    due = began
    running: set[asyncio.Task[None]] = set()
    while (due := due + dice.expovariate(rate)) < began + seconds:
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        seen.offered += 1
        task = asyncio.create_task(one(connections, dice.choice(requests), due, seen))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    return seen


async def probed(port: int, work: asyncio.Task[Seen]) -> Seen:
    """The work's outcome, and how long /healthz took all the while."""
    connections = Connections(port, 4)
    took: list[float] = []
    while not work.done():
        began = time.perf_counter()
        with suppress(TimeoutError):
            await connections.ask(PROBE)
            took.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(PROBE_EVERY_S)
    connections.close()
    seen = work.result()
    seen.probes_ms = took
    return seen


async def measure(
    port: int, texts: Sequence[str], loads: Sequence[float], given: argparse.Namespace
) -> tuple[Seen, Seen, list[tuple[float, Seen]]]:
    """(one client alone, saturated, each offered load in requests a second)."""
    requests = [request_for(text) for text in texts]
    connections = Connections(port, given.connections)
    await closed_loop(connections, requests, 1, 2)
    alone = await probed(port, asyncio.create_task(closed_loop(connections, requests, 1, given.seconds)))
    saturated = await probed(
        port, asyncio.create_task(closed_loop(connections, requests, given.clients, given.seconds))
    )
    capacity = len(saturated.accepted_ms) / saturated.seconds
    found = []
    for load in loads:
        rate = load * capacity
        running = asyncio.create_task(open_loop(connections, requests, rate, given.seconds, random.Random(7)))
        found.append((rate, await probed(port, running)))
        await asyncio.sleep(1)  # what is left over is not the next one's
    connections.close()
    return alone, saturated, found


NO_CACHES = {
    "FOOTNOTE_VECTOR_CACHE_ENTRIES": "0",
    "FOOTNOTE_CACHE_SEARCHES": "false",
    "FOOTNOTE_CACHE_ANSWERS": "none",
}
"""What a measured service is told: every question is worked on."""


@contextmanager
def serving(index: Path) -> Iterator[int]:
    """The service on an index, in a process of its own; its port."""
    command = [sys.executable, "-m", "footnote", "serve", "--port", "0", "--index", str(index)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | NO_CACHES) as server:
        try:
            line = "" if server.stdout is None else server.stdout.readline()
            yield int(line.rsplit(":", 1)[1])
        finally:
            server.terminate()


def row(name: str, seen: Seen, slo_ms: float, peak: float) -> str:
    """A line of the table; `peak` is the goodput of the saturated service."""
    accepted = seen.accepted_ms or [float("nan")]
    rejected = f"{percentile(seen.rejected_ms, 99):9.1f}" if seen.rejected_ms else f"{'':>9}"
    told = ", ".join(f"{count} x {status}" for status, count in sorted(seen.statuses.items()) if status != 200)
    return (
        f"{name:>22}{len(seen.accepted_ms) / seen.seconds:>9.1f}{seen.goodput(slo_ms):>9.1f}"
        f"{seen.goodput(slo_ms) / peak:>9.2f}{percentile(accepted, 50):>9.1f}{percentile(accepted, 99):>9.1f}{rejected}"
        f"{percentile(seen.probes_ms, 99):>10.1f}{seen.degraded:>10}  {told}"
    )


def plot(folder: Path, capacity: float, found: Sequence[tuple[float, Seen]], saturated: Seen, slo_ms: float) -> None:
    """Three pictures: percentiles and goodput against offered load, and the stages of the saturated service."""
    folder.mkdir(parents=True, exist_ok=True)
    offered, upright = "offered, requests a second", (capacity, "capacity")
    percentiles = [
        Line(
            f"p{share} of accepted",
            [(rate, percentile(seen.accepted_ms or [float("nan")], share)) for rate, seen in found],
            colour,
        )
        for share, colour in ((50, "#2a6f97"), (90, "#61a5c2"), (99, "#c1121f"))
    ]
    goodput = [
        Line("offered", [(rate, min(rate, 1.2 * capacity)) for rate, _ in found], "#ccc", dots=False),
        Line("goodput", [(rate, seen.goodput(slo_ms)) for rate, seen in found], "#2a6f97"),
    ]
    stages = [
        (name, percentile(took, 50), percentile(took, 99))
        for name, took in sorted(saturated.stages_ms.items(), key=lambda one: -percentile(one[1], 50))
    ]
    pictures = {
        "load-latency.svg": line_chart(percentiles, x_name=offered, y_name="milliseconds", log_y=True, upright=upright),
        "load-goodput.svg": line_chart(
            goodput, x_name=offered, y_name=f"in {slo_ms:.0f} ms, a second", log_y=False, upright=upright
        ),
        "load-stages.svg": bar_chart(stages, x_name="milliseconds, saturated", names=("p50", "p99")),
    }
    for name, picture in pictures.items():
        (folder / name).write_text(picture)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", help="whose questions are asked, of whose index")
    parser.add_argument("--index", type=Path, help="another index to ask")
    parser.add_argument("--seconds", type=float, default=10, help="of each load")
    parser.add_argument("--loads", default=LOADS, help="multiples of the capacity, with commas")
    parser.add_argument("--clients", type=int, default=16, help="that find the capacity")
    parser.add_argument("--connections", type=int, default=256)
    parser.add_argument("--slo-ms", type=float, default=250)
    parser.add_argument("--plot", type=Path, help="a folder for pictures")
    given = parser.parse_args()
    questions = read_set(given.set)
    index = given.index or index_of(questions, EvaluationSettings(), IndexerSettings(), Lines())
    loads = [float(load) for load in given.loads.split(",")]
    with serving(index) as port:
        texts = [one.text for one in questions.judged]
        alone, saturated, found = asyncio.run(measure(port, texts, loads, given))
    capacity = len(saturated.accepted_ms) / saturated.seconds
    heads = ("answered", "goodput", "of peak", "p50", "p99", "rejected")
    peak = max(saturated.goodput(given.slo_ms), 1e-9)
    print(f"{'':>22}" + "".join(f"{head:>9}" for head in heads) + f"{'/healthz':>10}{'degraded':>10}")
    print(f"{'':>22}{'1/s':>9}{'1/s':>9}{'':>9}{'ms':>9}{'ms':>9}{'p99 ms':>9}{'p99 ms':>10}")
    print(row("one client", alone, given.slo_ms, peak))
    print(row(f"{given.clients} clients", saturated, given.slo_ms, peak))
    for load, (rate, seen) in zip(loads, found, strict=True):
        print(row(f"{load:g}x = {rate:.0f}/s offered", seen, given.slo_ms, peak))
    stages = "; ".join(
        f"{name} {percentile(took, 50):.1f} / {percentile(took, 99):.1f}" for name, took in saturated.stages_ms.items()
    )
    print(f"stages of {given.clients} clients, ms p50 / p99: {stages}")
    if given.plot is not None:
        plot(given.plot, capacity, found, saturated, given.slo_ms)


if __name__ == "__main__":
    main()
