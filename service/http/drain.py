"""The way out: a process that was told to end answers what it has, lets go of who waits, and says so."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.exchange import Exchange, exchange_of
from service.http.problems import ProblemError, problem_response


def draining() -> ProblemError:
    """What those are told whom this process answers no more."""
    return ProblemError("draining", "This process is stopping. Ask again: another one may answer already.")


class Drain:
    """Whether the process is on its way out, and which requests it still has; on one event loop.

    First it has begun: not ready any more, everything is still answered. Then it has expired: what runs is cut off.
    """

    def __init__(self) -> None:
        self.begun = False
        self.expired = False
        self._running: dict[asyncio.Task[object], Exchange] = {}

    @property
    def running(self) -> int:
        """Requests that are being answered."""
        return len(self._running)

    def begin(self) -> None:
        """Not ready any more. Safe in a signal handler."""
        self.begun = True

    def expire(self) -> None:
        """Cut off what runs: a stream by its terminal event, anything else by a problem."""
        self.begun = self.expired = True
        for task, exchange in list(self._running.items()):
            if exchange.cut is None:
                task.cancel()
            else:
                exchange.cut(draining())

    @contextmanager
    def request(self, exchange: Exchange) -> Iterator[asyncio.Task[object]]:
        """Count the request of the current task for the length of a block."""
        task = asyncio.current_task()
        assert task is not None
        self._running[task] = exchange
        try:
            yield task
        finally:
            del self._running[task]


class LastCall:
    """ASGI middleware: while the process drains, connections are closed after their response, and what is cut off
    before its response began is a 503 problem.
    """

    def __init__(self, app: ASGIApp, drain: Drain) -> None:
        self._app = app
        self._drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        drain, exchange = self._drain, exchange_of(scope)
        started = False

        async def closing_send(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                if drain.begun:
                    message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        with drain.request(exchange) as task:
            try:
                if drain.expired:
                    raise asyncio.CancelledError
                await self._app(scope, receive, closing_send)
            except asyncio.CancelledError:
                if started or not drain.expired:
                    raise
                task.uncancel()
                refusal = problem_response(draining(), exchange)
                assert refusal.status_code == HTTPStatus.SERVICE_UNAVAILABLE
                await refusal(scope, receive, closing_send)
