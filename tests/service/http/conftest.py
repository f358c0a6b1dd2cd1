"""A small real index, the application over it, and a real server on a socket."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from starlette.testclient import TestClient

from indexer.build import Request, build
from indexer.progress import Silent
from indexer.settings import IndexerSettings
from service.http.app import create_app
from service.http.connection import Connection
from service.settings import ServiceSettings
from service.wiring import Service
from store.index import IndexDirectory

_spec = importlib.util.spec_from_file_location("footnote_processes", Path(__file__).with_name("processes.py"))
sys.modules["footnote_processes"] = importlib.util.module_from_spec(_spec)  # as test modules here import it
_spec.loader.exec_module(sys.modules["footnote_processes"])

INSTALL = """---
lang: en
year: 2021
---
# Install

Footnote needs Python 3.11 or newer. A <b>literal</b> tag & an ampersand.

## Linux

On Linux run the installer with the prefix option. The default prefix is /usr/local.
"""
REFUNDS = "# Refunds\n\nRefunds take 14 days. Write to the help desk to ask for one. Zürich 東京 \U0001f600 pays too.\n"
SECRET = {"id": "secret/plan", "text": "The secret plan is called Nightingale.", "access": ["board"]}
LINKED = {
    "id": "linked page",
    "title": "Linked",
    "text": "Elephants sleep standing up.",
    "url": "https://example.org/a?b=1&c=2",
    "metadata": {"lang": "de", "tags": ["x", "y"]},
}
SCRIPTED = {"id": "odd", "title": "Odd", "text": "Odd things have odd links.", "url": "javascript:alert(1)"}


def write_sources(folder: Path) -> Path:
    docs = folder / "docs"
    docs.mkdir(parents=True)
    (docs / "install.md").write_text(INSTALL)
    (docs / "refunds.md").write_text(REFUNDS)
    lines = "".join(json.dumps(one) + "\n" for one in (SECRET, LINKED, SCRIPTED))
    (folder / "more.jsonl").write_text(lines)
    return folder


def build_index(folder: Path, sources: Path) -> None:
    request = Request(sources=[str(sources / "docs"), str(sources / "more.jsonl")])
    build(IndexDirectory(folder), request, IndexerSettings(embedding_model="hash:64"), Silent())


@pytest.fixture(scope="session")
def shared_index(tmp_path_factory) -> Path:
    """One index for all tests that only read it."""
    folder = tmp_path_factory.mktemp("http")
    build_index(folder / "index", write_sources(folder / "sources"))
    return folder / "index"


@pytest.fixture
def own_index(tmp_path) -> SimpleNamespace:
    """An index that a test may change: `.folder`, `.sources`, `.rebuild()`."""
    sources = write_sources(tmp_path / "sources")
    folder = tmp_path / "index"
    build_index(folder, sources)
    return SimpleNamespace(folder=folder, sources=sources, rebuild=lambda: build_index(folder, sources))


@pytest.fixture
def app_over():
    """Makes the application over an index folder, with settings."""

    def make(folder: Path, ping_s: float = 10.0, **settings: Any):
        settings = {"budgets": False, "reload_poll_ms": 20, "executor_threads": 2} | settings
        return create_app(Service(ServiceSettings(index=folder, **settings)), ping_s=ping_s)

    return make


@pytest.fixture
def client_over(app_over):
    """Makes a client of an application over an index folder, begun and ended with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda folder, **settings: stack.enter_context(TestClient(app_over(folder, **settings)))


@pytest.fixture
def client(client_over, shared_index) -> TestClient:
    """A client of an application with the usual settings."""
    return client_over(shared_index)


@dataclass
class Server:
    """A running server; `connections` it opened are closed at its end, which `stop()` brings about."""

    port: int
    stop: Any = None
    connections: list[Any] = field(default_factory=list)

    def post(self, path: str, body: Any, **headers: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        self.connections.append(connection)
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"} | headers)
        response = connection.getresponse()
        self.connections.append(response)
        return response

    def get(self, path: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", path)
        said = connection.getresponse().read().decode()
        connection.close()
        return said

    def raw(self, data: bytes) -> socket.socket:
        """A socket on which `data` was sent."""
        opened = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        self.connections.append(opened)
        opened.sendall(data)
        return opened


@pytest.fixture
def serve() -> Iterator[Any]:
    """Serves an application on a real socket until the test ends."""
    with contextlib.ExitStack() as stack:
        yield lambda app: stack.enter_context(_running(app))


@contextlib.contextmanager
def _running(app) -> Iterator[Server]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="critical",
            lifespan="on",
            timeout_graceful_shutdown=5,
            proxy_headers=False,
            http=Connection,
            ws="none",
        )
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    until(lambda: server.started)

    def stop() -> None:
        for one in running.connections:
            one.close()
        server.should_exit = True
        thread.join(15)
        listener.close()
        assert not thread.is_alive()

    running = Server(listener.getsockname()[1], stop)
    try:
        yield running
    finally:
        stop()


def until(condition, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this did not come true in time"
        time.sleep(0.005)


@pytest.fixture(name="until")
def until_fixture():
    """Waits until a condition holds, or fails."""
    return until


def parse_sse(text: str) -> list[SimpleNamespace]:
    """Events as (name, id, data); comments and blank ends left out."""
    events = []
    for block in text.split("\n\n"):
        lines = [line.partition(": ") for line in block.split("\n") if line and not line.startswith(":")]
        fields = {name: value for name, _, value in lines}
        if fields:
            events.append(SimpleNamespace(name=fields["event"], id=int(fields["id"]), data=json.loads(fields["data"])))
    return events


@pytest.fixture(name="sse")
def sse_fixture():
    """Parses a whole stream."""
    return parse_sse
