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
from typing import Any, NamedTuple, TypeVar, cast

import uvloop

HOST = "127.0.0.1"
RECEIVED_AT_ONCE = 1 << 18
WAIT_FOR_CONNECTION_S = 1.0
ANSWER_S_MAX = 30.0
KEPT_ALIVE_S = 2.0
T = TypeVar("T")


def run_on_uvloop(work: Coroutine[Any, Any, T]) -> T:
    """Run this on the event loop that costs the least."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


class _Split(NamedTuple):
    """The head of an answer in small letters, where its body begins and where it ends."""

    head: bytes
    begins: int
    ends: int

    def answer(self, found: bytes) -> tuple[int, bytes]:
        """Status and body. Raises ValueError where there is more than the answer, which nobody asked for."""
        if len(found) > self.ends:
            raise ValueError(f"{len(found) - self.ends} bytes too many")
        return int(self.head.split(b" ", 2)[1]), found[self.begins :]


def _split(found: bytes) -> _Split | None:
    """None while the head is not whole. Raises ValueError where it tells no length."""
    ends = found.find(b"\r\n\r\n")
    if ends < 0:
        return None
    head = found[:ends].lower()
    return _Split(head, ends + 4, ends + 4 + int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))


class KeptConnection:
    """Asks one request after the other, without an event loop.

    Args:
        port: the service's, on this machine.

    Raises:
        OSError: nobody listens there, the other side hung up or is silent for too long.
        ValueError: what came is no answer of known length, or more than one.
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
            self._socket = socket.create_connection(self._at, timeout=ANSWER_S_MAX)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._socket.sendall(request)
            found = b""
            while (split := _split(found)) is None:
                found += self._more()
            while len(found) < split.ends:
                found += self._more()
            return split.answer(found)
        except (OSError, ValueError):
            self.close()
            raise

    def _more(self) -> bytes:
        assert self._socket is not None
        part = self._socket.recv(RECEIVED_AT_ONCE)
        if not part:
            raise ConnectionResetError("the service hung up")
        return part


class _Connection(asyncio.Protocol):
    """One connection, and the answer that is awaited on it."""

    def __init__(self) -> None:
        self.idle_since = 0.0
        self._transport: asyncio.Transport | None = None
        self._found = b""
        self._awaited: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._awaited is None:
            self.hang_up()  # nobody asked
            return
        self._found += data
        try:
            split = _split(self._found)
            if split is None or len(self._found) < split.ends:
                return
            answered = split.answer(self._found)
        except ValueError as error:
            self._broken(ConnectionError(str(error)))
            return
        awaited, self._awaited, self._found = self._awaited, None, b""
        if not awaited.done():
            awaited.set_result(answered)
        if b"connection: close" in split.head:
            self.hang_up()

    def connection_lost(self, exc: Exception | None) -> None:
        self._broken(exc or ConnectionResetError("the service hung up"))

    def _broken(self, why: Exception) -> None:
        self.hang_up()
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_exception(why)

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
        self._idle: list[_Connection] = []
        self._free = asyncio.Semaphore(most)

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """(status, body); 0 where the connection broke. Raises TimeoutError where no connection gets free."""
        if self._free.locked():
            async with asyncio.timeout(WAIT_FOR_CONNECTION_S):
                await self._free.acquire()
        else:
            await self._free.acquire()
        one: _Connection | None = None
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                one = self._kept() or await self._called()
                answered = await one.ask(request)
        except (OSError, TimeoutError):
            return 0, b""
        else:
            if one.open:
                one.idle_since = time.monotonic()
                self._idle.append(one)
                one = None
            return answered
        finally:
            self._free.release()
            if one is not None:
                one.hang_up()

    async def _called(self) -> _Connection:
        _, one = await asyncio.get_running_loop().create_connection(_Connection, HOST, self._port)
        return one

    def _kept(self) -> _Connection | None:
        """The connection that was used last; one at which the server may be losing patience is left."""
        while self._idle:
            one = self._idle.pop()
            if one.open and time.monotonic() - one.idle_since <= KEPT_ALIVE_S:
                return one
            one.hang_up()
        return None

    def close(self) -> None:
        """Hang up, all that is not under way."""
        for one in self._idle:
            one.hang_up()
        self._idle.clear()
