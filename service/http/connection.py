"""One HTTP connection: what uvicorn leaves without a bound has one here, in time and in memory."""

from __future__ import annotations

import asyncio
import logging
import resource
import secrets
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import Any, Literal

import httptools
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from service.http.problems import MEDIA_TYPE, ProblemError, problem_of
from service.settings import ServiceSettings

log = logging.getLogger("footnote.http")

STATE = "footnote.connections"
"""Where the application's lifespan hands the `Connections` to the server."""
FILES_KEPT = 512
"""Open files that are not connections': the index, providers, pipes."""
TAKEN_BYTES_MIN = 16_384
"""A client that takes less than this, and not all, within `stall_s` counts as gone."""
OVERHEAD_PER_BYTE = 16
"""Of chunk sizes, extensions and trailers for each byte of a body, beyond `head_bytes_max`; one-byte chunks have 5."""

Reason = Literal["idle", "slow_head", "slow_body", "stalled", "evicted", "full", "bad_http", "too_large"]
REASONS: tuple[Reason, ...] = ("idle", "slow_head", "slow_body", "stalled", "evicted", "full", "bad_http", "too_large")
_OF_SLUG: dict[str, Reason] = {
    "invalid-http": "bad_http",
    "head-too-large": "too_large",
    "request-timeout": "slow_head",
    "overloaded": "full",
}


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one client, and all of them together, may take of the server.

    Args:
        connections_max: open at once; beyond it whoever waited longest without a request is hung up on.
        keep_alive_s: silence between two requests.
        head_s: from the connection, or a later request's first byte, to the end of its headers.
        body_s: from there to the end of the body, answered or not.
        stall_s: how long a client may take nothing of what is sent.
        head_bytes_max, headers_max: of one request: its line and headers, trailers too.
        pipelined_max: requests that wait for an earlier one of their connection.
        unsent_bytes_max: held for clients that do not take what was sent, in all; those longest at it are hung up on.
    """

    connections_max: int = 4_096
    keep_alive_s: float = 5.0
    head_s: float = 10.0
    body_s: float = 30.0
    stall_s: float = 60.0
    head_bytes_max: int = 65_536
    headers_max: int = 100
    pipelined_max: int = 16
    unsent_bytes_max: int = 64_000_000

    @staticmethod
    def of(settings: ServiceSettings) -> ConnectionLimits:
        """As set, and never more connections than this process may have files open."""
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = settings.connections_max
        if files != resource.RLIM_INFINITY:
            most = min(most, max(files - FILES_KEPT, files // 2))
        return ConnectionLimits(
            connections_max=most,
            keep_alive_s=settings.keep_alive_ms / 1000,
            head_s=settings.request_head_ms / 1000,
            stall_s=settings.client_stall_ms / 1000,
        )


def allow_open_files() -> None:
    """Let this process, and those it starts, open as many files as the system would give it if asked."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Connections(Collector):
    """All connections of one server; on one event loop.

    Args:
        limits: theirs.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.waiting: dict[Connection, None] = {}
        """Without a request under way; who waits longest comes first."""
        self.stalled: dict[Connection, None] = {}
        """Which do not take what was sent, longest first."""
        self.closed: Counter[Reason] = Counter()
        self.open = 0
        self.loop: asyncio.AbstractEventLoop | None = None

    def make_room(self) -> bool:
        """Hang up on who waited longest where there are too many; whether there is room then."""
        while self.open > self.limits.connections_max:
            oldest = next(iter(self.waiting), None)
            if oldest is None:
                return False
            oldest.hang_up("evicted")
        return True

    def shed(self) -> None:
        """Hang up on those that have not taken anything for longest, until what is held for all is little enough."""
        unsent = {one: one.unsent() for one in self.stalled}
        total = sum(unsent.values())
        for one, size in unsent.items():
            if total <= self.limits.unsent_bytes_max:
                return
            total -= size
            one.hang_up("stalled")

    def collect(self) -> Iterator[Metric]:
        """For Prometheus."""
        if self.loop is not None:
            yield GaugeMetricFamily(
                "footnote_tasks", "Tasks of the event loop", value=len(asyncio.all_tasks(self.loop))
            )
        yield GaugeMetricFamily("footnote_connections", "Open connections", value=self.open)
        closed = CounterMetricFamily(
            "footnote_connections_closed", "Connections that the service ended, for what they did", labels=["reason"]
        )
        for reason in REASONS:
            closed.add_metric([reason], self.closed[reason])
        yield closed


class Connection(HttpToolsProtocol):
    """uvicorn's connection with bounds: what is wrong with a request before it is one is a problem response too."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        if STATE not in app_state:
            app_state[STATE] = Connections(ConnectionLimits())
        self._all: Connections = app_state[STATE]
        self._limits = self._all.limits
        self.timeout_keep_alive = self._limits.keep_alive_s  # only handed to call_later, which takes parts of seconds
        self._due: asyncio.TimerHandle | None = None  # the head's or the body's end
        self._taking: asyncio.TimerHandle | None = None  # when the client should have taken something
        self._under_way_before = 0
        self._running: RequestResponseCycle | None = None
        self._deaf = False  # nothing that comes is looked at
        self._bare_bytes = 0  # of a body that the parser does not read, to come
        self._heads = 0  # complete ones
        self._in_body = False
        self._begun = False  # a head that is not complete
        self._head_bytes = 0  # of a head that is not complete, as received
        self._said_bytes = 0  # of the request line, headers and trailers, as parsed
        self._said_headers = 0
        self._received_bytes = 0  # since the head
        self._body_bytes = 0  # of these, the body's

    # asyncio's callbacks

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """A client came."""
        super().connection_made(transport)
        self._all.open += 1
        self._all.loop = self.loop
        if not self._all.make_room():
            self.refuse(ProblemError("overloaded", "There are too many connections. Come again in a few seconds."))
            return
        self._all.waiting[self] = None
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        super().connection_lost(exc)
        self._nobody_there()  # uvicorn tells the latest request alone, which may wait for the one that runs
        self._all.open -= 1
        self._unset_keepalive_if_required()
        self._forget()

    def data_received(self, data: bytes) -> None:
        """Some bytes of a request, or of several."""
        self._unset_keepalive_if_required()
        while data and not self._deaf and not self.transport.is_closing():
            data = self._take_bare(data) if self._bare_bytes else self._feed(data)

    def pause_writing(self) -> None:
        """The client does not take what is sent as fast as it comes."""
        super().pause_writing()
        self._expect_taking()
        self._all.shed()

    def resume_writing(self) -> None:
        """It has taken most of it."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._taken()

    # the parser's callbacks; what they raise becomes an error of the parser

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._said_bytes = self._said_headers = 0
        self._begun = True

    def on_url(self, url: bytes) -> None:
        """A part of the request line."""
        self._say(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer."""
        self._said_headers += 1
        self._say(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A request may begin."""
        if len(self.pipeline) >= self._limits.pipelined_max:
            raise ProblemError("overloaded", f"At most {self._limits.pipelined_max} requests wait on one connection.")
        super().on_headers_complete()
        self._heads += 1
        self._begun = False
        self._in_body = True
        self._received_bytes = self._body_bytes = 0
        self._all.waiting.pop(self, None)
        self._expect(self._limits.body_s, self._body_is_late)
        if self.parser.should_upgrade():  # Java's client asks for HTTP/2 so, with every body
            if any(name == b"transfer-encoding" for name, _ in self.headers):
                raise ProblemError("invalid-http", "A request that asks for an upgrade may have no chunked body.")
            self._bare_bytes = next((int(value) for name, value in self.headers if name == b"content-length"), 0)

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._bare_bytes:
            return
        super().on_message_complete()
        self._in_body = False
        self._expect(None)
        if self.cycle.response_complete:  # it was answered before it was whole
            self._all.waiting[self] = None
            self._expect_head()

    def on_response_complete(self) -> None:
        """A request was answered."""
        super().on_response_complete()
        if self.unsent():
            self._expect_taking()
        else:
            self._taken()
        if self.timeout_keep_alive_task is not None and not self._in_body:
            self._all.waiting[self] = None
            if self._begun:
                self._unset_keepalive_if_required()
                self._expect_head()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    # what comes in

    def _feed(self, data: bytes) -> bytes:
        """Parse; what is left is of a body that the parser does not take for one."""
        heads, in_body = self._heads, self._in_body
        rest = b""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            cause = error.__context__
            told = cause if isinstance(cause, ProblemError) else None
            self.refuse(told or ProblemError("invalid-http", "This is no HTTP/1.1 request."))
            return b""
        if not self._deaf and not self.transport.is_closing():
            self._count(len(data), began=self._heads != heads, in_body=in_body and self._in_body)
        return rest

    def _take_bare(self, data: bytes) -> bytes:
        """The body of a request that asked for another protocol and does not get it; what is left after it."""
        piece, rest = data[: self._bare_bytes], data[self._bare_bytes :]
        self._bare_bytes -= len(piece)
        self.on_body(piece)
        if not self._bare_bytes:
            self.on_message_complete()
        return rest

    def _count(self, size: int, *, began: bool, in_body: bool) -> None:
        """Bound what the parser keeps to itself: a head, a chunk's extensions, a trailer, without an end."""
        self._head_bytes = 0 if began or self._in_body else self._head_bytes + size
        if self._head_bytes > self._limits.head_bytes_max:
            self.refuse(self._too_large())
        elif in_body and not began:
            self._received_bytes += size
            beside = self._received_bytes - self._body_bytes
            if beside > self._limits.head_bytes_max + OVERHEAD_PER_BYTE * self._body_bytes:
                self.refuse(ProblemError("invalid-http", "The body's chunks hold little but their own sizes."))
        elif self._due is None and self in self._all.waiting:
            self._expect_head()

    # what the limits do

    def unsent(self) -> int:
        """Bytes held here that the client has not taken."""
        return self.transport.get_write_buffer_size()

    def _under_way(self) -> int:
        """Bytes that the client has not taken, wherever they are: the system takes from us a megabyte at a time."""
        system = bytearray(4)
        with suppress(OSError):  # gone, or a system that does not tell
            ioctl(self.transport.get_extra_info("socket").fileno(), TIOCOUTQ, system)
        return self.unsent() + int.from_bytes(system, sys.byteorder)

    def refuse(self, error: ProblemError) -> None:
        """Hear no more; answer with a problem once what came before it is answered, and hang up once that was taken."""
        self._all.closed[_OF_SLUG[error.kind.slug]] += 1
        self._forget()
        self._deaf = True
        running = self._running
        if running is not None and not running.response_complete:
            if not self._in_body:
                self.cycle.keep_alive = False  # nothing is said of what came after it
                return
            if self.cycle is not running:
                self.pipeline.popleft()
                (self.pipeline[0][0] if self.pipeline else running).keep_alive = False
                return
        if running is None or running.response_complete or not running.response_started:
            self._write_problem(error)
        self._nobody_there()
        self.transport.close()
        self._expect_taking()

    def _write_problem(self, error: ProblemError) -> None:
        request_id = secrets.token_hex(12)
        body = problem_of(error, request_id).model_dump_json(exclude_none=True).encode()
        kind = error.kind
        retry = "retry-after: 2\r\n" if kind.slug == "overloaded" else ""
        head = (
            f"HTTP/1.1 {kind.status} {kind.title}\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
            f"x-request-id: {request_id}\r\nx-content-type-options: nosniff\r\n{retry}connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)

    def _nobody_there(self) -> None:
        """Tell the request that runs that its client is gone, and drop those that wait for it."""
        self.pipeline.clear()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()

    def hang_up(self, reason: Reason) -> None:
        """End it at once, and what waits for it."""
        self._all.closed[reason] += 1
        self._forget()
        self._nobody_there()
        self.transport.abort()

    def timeout_keep_alive_handler(self) -> None:
        """It was silent for too long between two requests."""
        self._all.closed["idle"] += 1
        super().timeout_keep_alive_handler()
        self._expect_taking()

    def _say(self, size: int) -> None:
        self._said_bytes += size
        if self._said_bytes > self._limits.head_bytes_max or self._said_headers > self._limits.headers_max:
            raise self._too_large()

    def _too_large(self) -> ProblemError:
        most = self._limits
        return ProblemError(
            "head-too-large",
            f"A request has at most {most.headers_max} headers and {most.head_bytes_max} bytes of them.",
        )

    def _expect(self, seconds: float | None, then: Any = None) -> None:
        if self._due is not None:
            self._due.cancel()
        self._due = None if seconds is None else self.loop.call_later(seconds, then)

    def _expect_head(self) -> None:
        self._expect(self._limits.head_s, self._head_is_late)

    def _head_is_late(self) -> None:
        self._due = None
        if self._begun or self._head_bytes:
            self.refuse(ProblemError("request-timeout", f"No headers within {self._limits.head_s:g} seconds."))
        else:
            self.hang_up("idle")

    def _body_is_late(self) -> None:
        self._due = None
        if self.pipeline:  # it is not read meanwhile
            self._expect(self._limits.body_s, self._body_is_late)
        else:
            self.hang_up("slow_body")

    def _expect_taking(self) -> None:
        """The client has `stall_s` from now to take something."""
        if self._taking is not None:
            self._taking.cancel()
        self._under_way_before = self._under_way()
        self._all.stalled.setdefault(self)
        self._taking = self.loop.call_later(self._limits.stall_s, self._nothing_taken)

    def _nothing_taken(self) -> None:
        self._taking = None
        left = self.unsent()
        if left and self._under_way_before - self._under_way() < TAKEN_BYTES_MIN:
            self.hang_up("stalled")
        elif left:
            self._expect_taking()
        else:
            self._taken()

    def _taken(self) -> None:
        self._all.stalled.pop(self, None)
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None

    def _forget(self) -> None:
        self._expect(None)
        self._taken()
        self._all.waiting.pop(self, None)
