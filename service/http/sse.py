"""The event stream: frames, pings, one terminal event on every path, and an end of all work when the client leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import aclosing, suppress
from http import HTTPStatus
from typing import Any, Protocol, TypeVar, cast

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from pydantic import BaseModel
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.contract import AnswerResponse, FinishEvent, PipelineEvent, fold
from service.http.exchange import Exchange
from service.http.problems import Problem, log_problem, problem_of

T = TypeVar("T")

MEDIA_TYPE = "text/event-stream"
HEADERS: Mapping[str, str] = {"cache-control": "no-cache", "x-accel-buffering": "no"}
"""Of every stream: nothing on the way may keep or gather it."""
SEND_S = 60.0
"""A client that takes no bytes for so many seconds counts as gone."""


class Frames(Protocol):
    """A wire format: what a stream's events become. One object a stream, asked in this order."""

    headers: Mapping[str, str]
    """What the response has beyond those of every stream."""

    def event(self, event: PipelineEvent) -> Iterable[bytes]:
        """Frames of one event, finish among them."""
        ...

    def done(self, response: AnswerResponse) -> Iterable[bytes]:
        """The last frames of a stream that came to its end."""
        ...

    def failed(self, problem: Problem) -> Iterable[bytes]:
        """The last frames of one that broke."""
        ...


class NativeFrames:
    """The events by their own names, numbered, then `done` or `error`."""

    headers: Mapping[str, str] = {}

    def __init__(self) -> None:
        self._number = 0

    def event(self, event: PipelineEvent) -> Iterable[bytes]:
        """One frame; none of finish, which is not told."""
        return () if isinstance(event, FinishEvent) else (self._next(event.type, event, without_type=True),)

    def done(self, response: AnswerResponse) -> Iterable[bytes]:
        """The whole response."""
        return (self._next("done", response),)

    def failed(self, problem: Problem) -> Iterable[bytes]:
        """The problem."""
        return (self._next("error", problem),)

    def _next(self, name: str, data: BaseModel, *, without_type: bool = False) -> bytes:
        self._number += 1
        return frame(self._number, name, data, without_type=without_type)


class Pump:
    """Runs a pipeline's events in one task of its own, one event ahead of the reader.

    Within that task the iterator is begun, resumed and closed, so that its timeouts and cancellations hold together.
    """

    def __init__(self, events: AsyncIterator[PipelineEvent]) -> None:
        self._queue: asyncio.Queue[PipelineEvent | Exception | None] = asyncio.Queue(1)
        self._cut: Exception | None = None
        self._closed = False
        self._task = asyncio.create_task(self._run(events))

    async def next(self) -> PipelineEvent | None:
        """The next event, None after the last. Raises what the pipeline raised. May be cancelled without loss."""
        item = await self._queue.get()
        if isinstance(item, Exception):
            raise item
        return item

    def cut(self, error: Exception) -> None:
        """Stop the work; the reader meets this error after what was already there."""
        self._cut = error
        self._task.cancel()

    async def close(self) -> None:
        """Stop the work and wait until it has stopped."""
        self._closed = True
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self, events: AsyncIterator[PipelineEvent]) -> None:
        end: Exception | None = None
        try:
            async with aclosing(cast("AsyncGenerator[PipelineEvent, None]", events)) as open_events:
                async for event in open_events:
                    await self._queue.put(event)
        except Exception as error:  # noqa: BLE001  # handed to the reader, which raises it
            end = error
        except asyncio.CancelledError:
            if self._cut is None or self._closed:
                raise
            end = self._cut
        try:
            await self._queue.put(end)
        except asyncio.CancelledError:
            if self._closed:
                raise
            await self._queue.put(end)  # cut when all was done but for the reader


class EventStream(Response):
    """A response that sends events as they come.

    Args:
        first: the first event, already there: what fails before it is a problem response, not a stream.
        pump: where the others come from; closed at the end, whatever the end is.
        exchange: the request.
        frames: the wire format; absent: the events by their own names.
        finished: told the whole answer when it was complete.
        release: called last, on every path.
        ping_s: a comment is sent after so many seconds without an event; None: none is.
        send_s: a client that takes no bytes for so long counts as gone.
    """

    media_type = MEDIA_TYPE

    def __init__(
        self,
        first: PipelineEvent | None,
        pump: Pump,
        exchange: Exchange,
        *,
        frames: Frames | None = None,
        finished: Callable[[AnswerResponse], None],
        release: Callable[[], None],
        ping_s: float | None,
        send_s: float = SEND_S,
    ) -> None:
        self.status_code = HTTPStatus.OK
        self.background = None
        self._frames = frames or NativeFrames()
        self.init_headers({**HEADERS, **self._frames.headers})
        self._first = first
        self._pump = pump
        self._exchange = exchange
        self._finished = finished
        self._release = release
        self._ping_s = ping_s
        self._send_s = send_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # ASGI's signature
        """Send the stream until it ends or the client leaves."""
        self._exchange.cut = self._pump.cut
        try:
            await until_gone(receive, send_chunks(send, self, self.chunks(), self._send_s))
        except (OSError, ClientDisconnect):
            self._exchange.gone = True
        finally:
            await self.close()

    async def close(self) -> None:
        """Stop the work, wait until it has stopped, and release what it held."""
        try:
            await self._pump.close()
        finally:
            self._release()

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Frames and pings; the last are those of `done` or of `failed`, always."""
        seen: list[PipelineEvent] = []
        event = self._first
        try:
            while event is not None:
                seen.append(event)
                for one in self._frames.event(event):
                    yield one
                while True:
                    try:
                        async with asyncio.timeout(self._ping_s):
                            event = await self._pump.next()
                        break
                    except TimeoutError:
                        yield KEEPALIVE_COMMENT
            response = fold(seen)
            last = list(self._frames.done(response))
            self._finished(response)
        except Exception as error:  # noqa: BLE001  # every path ends with exactly one terminal event
            problem = problem_of(error, self._exchange.request_id)
            log_problem(error, problem)
            last = list(self._frames.failed(problem))
        for one in last:
            yield one


async def send_chunks(send: Send, response: Response, chunks: AsyncGenerator[bytes, None], send_s: float) -> None:
    """Send a response's head, then pieces as they come. Raises TimeoutError where one is not taken in `send_s`."""
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    async with aclosing(chunks) as open_chunks:
        async for chunk in open_chunks:
            async with asyncio.timeout(send_s):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def frame(number: int | None, name: str, data: BaseModel, *, without_type: bool = False) -> bytes:
    """One event on the wire; without a number the reader's last event id stays what it was."""
    body = data.model_dump_json(exclude={"type"} if without_type else None, exclude_none=name == "error")
    return format_sse_event(data_str=body, event=name, id=None if number is None else str(number))


async def until_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`; raises ClientDisconnect, the work cancelled and ended, when the client leaves first."""
    running = asyncio.current_task()
    assert running is not None
    gone = over = False

    def left(leaving: asyncio.Task[None]) -> None:
        nonlocal gone
        with suppress(asyncio.CancelledError):
            leaving.exception()  # seen; where nothing can be heard any more, the client counts as gone
        if not over:  # it may be told only after the work has ended
            gone = True
            running.cancel()

    leaving = asyncio.create_task(_left(receive))
    leaving.add_done_callback(left)
    try:
        found = await work
    except BaseException:  # whatever the work made of being cancelled
        if gone and running.uncancel() == 0:
            raise ClientDisconnect from None
        raise
    else:
        if gone:
            running.uncancel()
        return found
    finally:
        over = True
        leaving.cancel()
        await asyncio.wait((leaving,))


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
