"""Kept-alive connections that cost the measuring side next to nothing: what is measured is the service.

`http.client` sends a request in two pieces, which wakes the service twice, and reads the answer's head as it reads
mail: 0.4 ms of the 0.8 that `/healthz` takes by it are its own. Clients on an event loop share the processors with the
service they load: 0.014 ms each for an answer of 9 kB, asyncio's streams on asyncio's own loop take 0.021.

Only for answers with a content length, which is all but streams.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

import uvloop

HOST = "127.0.0.1"
RECEIVED_AT_ONCE = 1 << 18
WAIT_FOR_CONNECTION_S = 1.0
ANSWER_S_MAX = 30.0
KEPT_ALIVE_S = 2.0
T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run this on the event loop that costs the least."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def _split(found: bytes) -> tuple[bytes, int, int] | None:
    """(head in small letters, where the body begins, where it ends); None while the head is not whole."""
    ends = found.find(b"\r\n\r\n")
    if ends < 0:
        return None
    head = found[:ends].lower()
    return head, ends + 4, ends + 4 + int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])


def _status(head: bytes) -> int:
    return int(head.split(b" ", 2)[1])


class KeptConnection:
    """Asks one request after the other, without an event loop.

    Args:
        port: the service's, on this machine.

    Raises:
        OSError: nobody listens there, or the other side hung up.
    """

    def __init__(self, port: int) -> None:
        self._at = (HOST, port)
        self._socket: socket.socket | None = None

    def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """The status and the body of what a POST of this JSON is answered with."""
        head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        return self._asked(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)

    def get(self, path: str) -> tuple[int, bytes]:
        """The status and the body of what a GET is answered with."""
        return self._asked(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())

    def close(self) -> None:
        """Hang up; the next request calls again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _asked(self, request: bytes) -> tuple[int, bytes]:
        if self._socket is None:
            self._socket = socket.create_connection(self._at)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request)
        found = b""
        while (split := _split(found)) is None:
            found += self._more()
        head, begins, ends = split
        while len(found) < ends:
            found += self._more()
        return _status(head), found[begins:]

    def _more(self) -> bytes:
        assert self._socket is not None
        part = self._socket.recv(RECEIVED_AT_ONCE)
        if not part:
            self.close()
            raise ConnectionResetError("the service hung up")
        return part


class _Line(asyncio.Protocol):
    """One connection, and the answer that is awaited on it."""

    def __init__(self) -> None:
        self.idle_since = 0.0
        self._transport: asyncio.Transport | None = None
        self._found = b""
        self._split: tuple[bytes, int, int] | None = None
        self._awaited: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._found += data
        if self._split is None:
            self._split = _split(self._found)
        if self._split is None or self._awaited is None:
            return
        head, begins, ends = self._split
        if len(self._found) >= ends:
            awaited, self._awaited = self._awaited, None
            if not awaited.done():
                awaited.set_result((_status(head), self._found[begins:ends]))
            self._found, self._split = b"", None
            if b"connection: close" in head:
                self.hang_up()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_exception(exc or ConnectionResetError("the service hung up"))

    @property
    def open(self) -> bool:
        """Whether another request may be sent."""
        return self._transport is not None

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body. Raises OSError where the connection breaks."""
        if self._transport is None:
            raise ConnectionResetError("the service hung up")
        self._awaited = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._awaited

    def hang_up(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None


class KeptConnections:
    """Connections to one port of this machine, at most so many, on an event loop."""

    def __init__(self, port: int, most: int) -> None:
        self._port = port
        self._idle: list[_Line] = []
        self._free = asyncio.Semaphore(most)

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """(status, body); 0 where the connection broke. Raises TimeoutError where no connection gets free."""
        if self._free.locked():
            async with asyncio.timeout(WAIT_FOR_CONNECTION_S):
                await self._free.acquire()
        else:
            await self._free.acquire()
        line: _Line | None = None
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                line = self._kept() or await self._called()
                answered = await line.ask(request)
        except (OSError, TimeoutError, ValueError):
            return 0, b""
        else:
            if line.open:
                line.idle_since = time.monotonic()
                self._idle.append(line)
                line = None
            return answered
        finally:
            self._free.release()
            if line is not None:
                line.hang_up()

    async def _called(self) -> _Line:
        _, line = await asyncio.get_running_loop().create_connection(_Line, HOST, self._port)
        return line

    def _kept(self) -> _Line | None:
        """The connection that was used last; those at which the server loses patience soon are left."""
        if self._idle and time.monotonic() - self._idle[-1].idle_since > KEPT_ALIVE_S:
            self.close()
        while self._idle:
            line = self._idle.pop()
            if line.open:
                return line
        return None

    def close(self) -> None:
        """Hang up."""
        for line in self._idle:
            line.hang_up()
        self._idle.clear()
