"""Snapshots swapped under load: no request fails, no response mixes generations, and old files are let go."""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from pathlib import Path

import pytest

from indexer.build import Request, build
from indexer.progress import Silent
from indexer.settings import IndexerSettings
from store.files import sha256_file
from store.index import Current, IndexDirectory

DOCUMENTS = 12
SWAPS = 200
PUBLISHED_ANEW = 12
RELEASED_WITHIN_S = 1.0


def publish(index: IndexDirectory, source: Path, number: int) -> None:
    """One more generation, whose every document says which it is."""
    lines = [
        {
            "id": f"d{n}",
            "text": f"Otter {n} lives in generation {number}. It swims. Otters sleep in generation {number}.",
        }
        for n in range(DOCUMENTS)
    ]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    report = build(index, Request([str(source)]), IndexerSettings(embedding_model="hash:64"), Silent())
    assert report.generation == number


def held_files() -> str:
    """What this process has open or mapped."""
    names = [Path("/proc/self/maps").read_text()]
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            names.append(str(descriptor.readlink()))
        except FileNotFoundError:
            continue
    return "\n".join(names)


class Client(threading.Thread):
    """Asks without a pause, and looks at every response."""

    def __init__(self, port: int, path: str, stop: threading.Event) -> None:
        super().__init__()
        self.port, self.path, self.stop = port, path, stop
        self.failed: list[bytes] = []
        self.mixed: list[bytes] = []
        self.generations: list[int] = []

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        body = json.dumps({"query": "where do otters sleep and swim", "top_k": DOCUMENTS})
        while not self.stop.is_set():
            try:
                connection.request("POST", self.path, body, {"content-type": "application/json"})
                response = connection.getresponse()
                data = response.read()
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error).encode())
                connection.close()
                continue
            if response.status != 200:
                self.failed.append(data)
                continue
            answer = json.loads(data)
            said = {int(found) for found in re.findall(rb"generation (\d+)", data)}
            if said != {answer["generation"]} or answer.get("degraded"):
                self.mixed.append(data)
            self.generations.append(answer["generation"])
        connection.close()


@pytest.fixture
def otters(tmp_path) -> tuple[IndexDirectory, Path]:
    """An index of three generations, and its source."""
    index, source = IndexDirectory(tmp_path / "index"), tmp_path / "otters.jsonl"
    for number in (1, 2, 3):
        publish(index, source, number)
    return index, source


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks for open files in /proc")
def test_two_hundred_swaps_under_load_fail_no_request_mix_no_response_and_let_old_files_go(
    otters, app_over, serve, until
):
    index, source = otters
    app = app_over(index.path, reload_poll_ms=5)
    server, service = serve(app), app.state.service
    until(lambda: service.holder.generation == 3)
    stop = threading.Event()
    clients = [Client(server.port, path, stop) for path in ("/v1/search", "/v1/search", "/v1/answer")]
    for client in clients:
        client.start()
    slowest = 0.0

    def swapped(old: str, to: int) -> None:
        nonlocal slowest
        until(lambda: service.holder.generation == to, 30)
        began = time.monotonic()
        while old in held_files():
            assert time.monotonic() - began < 10, f"{old} is still open: {held_files()}"
            time.sleep(0.002)
        slowest = max(slowest, time.monotonic() - began)

    try:
        kept = [Current(path.name, sha256_file(path / "manifest.json")) for path in index.published()]
        old = kept[2]
        for number in range(SWAPS):
            new = kept[number % 3]
            index.point_current_at(new)
            swapped(old.name, new.generation)
            old = new
        for number in range(4, 4 + PUBLISHED_ANEW):  # and with building, publishing and pruning going on beside it
            name = index.require_current().name
            publish(index, source, number)
            swapped(name, number)
    finally:
        stop.set()
        for client in clients:
            client.join(30)
    last = index.require_current().name
    swapped(last, index.rollback(index.require_current().generation - 1).generation)  # and without any request
    for client in clients:
        assert client.failed == []
        assert client.mixed == []
        assert len(set(client.generations)) > 3
    assert len(index.published()) == 3
    assert slowest < RELEASED_WITHIN_S
    print(f"{sum(len(one.generations) for one in clients)} requests, slowest release {slowest * 1000:.0f} ms")
