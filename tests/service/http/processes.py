"""`footnote serve` in processes of its own, as people run it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import psutil

ROOT = Path(__file__).parents[3]


class Footnote:
    """A running `footnote serve`; its standard error is collected in `.log`."""

    def __init__(self, index: Path, *options: str, cwd: Path, path: str = "", fds: tuple[int, ...] = (), **settings):
        told = {f"FOOTNOTE_{name.upper()}": str(value) for name, value in settings.items()}
        environment = {**os.environ, **told, "PYTHONPATH": os.pathsep.join(one for one in (path, str(ROOT)) if one)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "footnote", "serve", "--index", str(index), "--port", "0", *options],
            cwd=cwd,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=fds,
        )
        self.pid = self.process.pid
        self.open: list[Any] = []
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.port = 0

    def _read(self) -> None:
        self.lines.extend(self.process.stderr)

    @property
    def log(self) -> str:
        return "".join(self.lines)

    def started(self) -> Footnote:
        for line in self.process.stdout:
            found = re.search(r"listens on http://127\.0\.0\.1:(\d+)", line)
            if found:
                self.port = int(found.group(1))
            if line.startswith("stop with"):
                break
        assert self.port, self.log
        return self

    def tell(self, sig: int) -> None:
        self.process.send_signal(sig)

    def ended(self, seconds: float = 30.0) -> int:
        code = self.process.wait(seconds)
        self._reader.join(5)
        return code

    def workers(self) -> list[psutil.Process]:
        """Those that are alive."""
        found = []
        for one in psutil.Process(self.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):  # a zombie is none either
                if "service.http.worker" in one.cmdline():
                    found.append(one)
        return found

    def request(self, method: str, path: str, body=None, headers=None, seconds: float = 20.0):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            return fetch(connection, method, path, body, headers)
        finally:
            connection.close()

    def kept(self) -> http.client.HTTPConnection:
        """A connection that is closed at the end."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        self.open.append(connection)
        return connection

    def stream(self, body) -> http.client.HTTPResponse:
        connection = self.kept()
        connection.request("POST", "/v1/answer", json.dumps({**body, "stream": True}), JSON)
        self.open.append(response := connection.getresponse())
        return response

    def close(self) -> None:
        for one in [*self.open, self.process.stdout, self.process.stderr]:
            one.close()


JSON = {"content-type": "application/json"}


def fetch(connection, method, path, body=None, headers=None):
    """Status, headers and text of one request."""
    connection.request(
        method, path, None if body is None else json.dumps(body), {**(JSON if body else {}), **(headers or {})}
    )
    response = connection.getresponse()
    return response.status, response.headers, response.read().decode()


@contextlib.contextmanager
def serving(index: Path, *options: str, cwd: Path, **more) -> Iterator[Footnote]:
    """One that answers; nothing of it is left afterwards."""
    running = Footnote(index, *options, cwd=cwd, **more)
    try:
        yield running.started()
    finally:
        left = psutil.Process(running.pid).children(recursive=True) if running.process.poll() is None else []
        running.process.kill()
        running.process.wait(10)
        for one in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        running._reader.join(5)
        running.close()


class Load:
    """Clients that ask without a pause, each on a connection that it keeps while it is let; what failed is noted."""

    def __init__(self, port: int, clients: int = 4, *, keep: bool = True) -> None:
        self.port = port
        self.answered = 0
        self.failures: list[str] = []
        self._keep = keep
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> Self:
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        for one in self._threads:
            one.join(30)

    def _ask(self) -> None:
        connection = None
        while not self._stop.is_set():
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
                status, headers, text = fetch(connection, "POST", "/v1/search", {"query": "refunds", "mode": "lexical"})
                if status != 200:
                    self.failures.append(f"{status} {text}")
                self.answered += 1
                if not self._keep or headers.get("connection") == "close":
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection = None
            time.sleep(0.005)
        if connection is not None:
            connection.close()


def wait(condition, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this did not come true in time"
        time.sleep(0.1)


def listening() -> socket.socket:
    """A socket that outlives the processes that serve on it."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(256)
    return listener


TERM, INT, KILL, HUP = signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGHUP
