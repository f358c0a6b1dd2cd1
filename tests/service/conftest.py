"""A wired service on a small real index, and an engine whose parts a test may replace."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import shutil
import socket
import subprocess
import time

import pytest
from blockbuster import blockbuster_ctx

from indexer.build import Request, build
from indexer.progress import Silent
from indexer.settings import IndexerSettings
from service.answer import answer
from service.budget import Budgets, Deadline
from service.contract import fold
from service.question import Question
from service.settings import ServiceSettings
from service.wiring import Service
from store.index import IndexDirectory

DOCUMENTS = [
    {
        "id": "otters",
        "title": "Otters",
        "text": "The otter sleeps five hours a day. Otters eat 15 kg of fish in 2023. It does not eat bread. "
        "The river Tamar is its home.\n\n    SELECT otter FROM river;\n\nOtters live alone.",
    },
    {
        "id": "herons",
        "title": "Herons",
        "text": "The heron stands in shallow water. It waits for fish, e.g. for a perch.",
    },
    {"id": "cjk", "title": "東京", "text": "東京は日本の首都です。人口は1400万人です。"},
    {"id": "wrapped", "title": "Wrapped", "text": "A badger digs deep\nsetts with many\nentrances. It is nocturnal."},
    {"id": "arrays", "title": "Arrays", "text": "The first element of the array is schedule[1] in this table."},
    {"id": "lynxes", "title": "Lynxes", "text": "It is not true that the lynx lives in the city. It hunts at dawn."},
    {"id": "plan", "title": "Plan", "text": "The secret otter plan begins on Monday.", "access": ["staff"]},
]


@pytest.fixture(autouse=True)
def loop_guard():
    """Fails whatever reads files or sleeps on an event loop, which all requests share."""
    with blockbuster_ctx() as guard:
        yield guard


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    (folder / "documents.jsonl").write_text("".join(json.dumps(one) + "\n" for one in DOCUMENTS))
    index = folder / "index"
    settings = IndexerSettings(index=index, embedding_model="hash:256")
    build(IndexDirectory(index), Request([str(folder / "documents.jsonl")]), settings, Silent())
    wired = Service(ServiceSettings(index=index, abstain_below=0.0))
    wired.reload()
    yield wired
    wired.close()


@pytest.fixture
def engine(service):
    with service.holder.lease() as leased:
        yield dataclasses.replace(leased, budgets=Budgets.lifted())


@pytest.fixture
def events(engine):
    """Run one answer to its end and return its events."""

    def run(text, *, total_ms=None, question=None, **parts):
        changed = dataclasses.replace(engine, **parts)
        asked = question or Question("r1", text, top_k=5)

        async def collect():
            deadline = Deadline(changed.clock, total_ms)
            return [event async for event in answer(asked, changed, deadline)]

        return asyncio.run(collect())

    return run


@pytest.fixture
def folded(events):
    """The JSON answer."""
    return lambda *args, **kwargs: fold(events(*args, **kwargs))


class RedisServer:
    """A real one, on a port of its own, that keeps nothing on disk."""

    def __init__(self, program: str, folder) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port = probe.getsockname()[1]
        self._command = [program, "--port", str(self._port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
        self._process: subprocess.Popen | None = None
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        for _ in range(500):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=1):
                return
            time.sleep(0.02)
        raise AssertionError("redis-server did not start")

    def flush(self) -> None:
        with socket.create_connection(("127.0.0.1", self._port), timeout=5) as connection:
            connection.sendall(b"FLUSHALL\r\n")
            assert connection.recv(100) == b"+OK\r\n"

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def redis_server(tmp_path):
    """Starts a Redis that the test may stop and start again."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("there is no redis-server here")
    with contextlib.ExitStack() as stack:

        def make() -> RedisServer:
            server = RedisServer(program, tmp_path)
            stack.callback(server.stop)
            server.start()
            return server

        yield make


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory):
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("there is no redis-server here")
    server = RedisServer(program, tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(shared_redis):
    """The address of a Redis that is empty."""
    shared_redis.flush()
    return shared_redis.url
