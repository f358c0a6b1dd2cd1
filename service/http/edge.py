"""The outermost and innermost layer of every request: its id, its log line, its headers, and what nobody foresaw."""

from __future__ import annotations

import logging
import random
import re
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.exchange import OPENAI_PATHS, Exchange, exchange_of
from service.http.log import EXTRA, trace_id_of
from service.http.metrics import Metrics, known_method
from service.http.problems import problem_response
from service.http.security import TrustedProxies
from service.http.tracing import Tracing

log = logging.getLogger("footnote.http")

_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_IDS = random.Random()  # noqa: S311  # tells requests apart and guards nothing; asking the system gives up the thread's turn
UNMATCHED = "unmatched"
"""The route of a request that no route took."""


class Edge:
    """ASGI middleware around everything: makes the exchange, adds headers, logs one line, counts.

    The line has method, route template, status, milliseconds and request id, as JSON also what the request came to; a
    query only where queries are logged.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, proxies: TrustedProxies, tracing: Tracing | None = None) -> None:
        self._app = app
        self._tracing = tracing
        self._metrics = metrics
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        arrival = self._proxies.arrival(scope, headers)
        exchange = Exchange(
            _request_id(headers),
            arrival.scheme,
            arrival.host,
            arrival.client,
            speaks_openai=scope["path"].startswith(OPENAI_PATHS),
        )
        exchange.put(scope)
        trace_id = trace_id_of(headers.get("traceparent"))
        if trace_id is not None:
            exchange.noted["trace_id"] = trace_id
        if self._tracing is not None:
            method = known_method(scope["method"])
            exchange.trace = self._tracing.request(method, scope["path"], headers, exchange.request_id)
            if exchange.trace is not None:
                exchange.noted["trace_id"] = exchange.trace.trace_id
        status = 0
        added = [
            (b"x-request-id", exchange.request_id.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
        ]

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *added]
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            self._note(scope, exchange, status or HTTPStatus.INTERNAL_SERVER_ERROR)

    def _note(self, scope: Scope, exchange: Exchange, status: int) -> None:
        route = getattr(scope.get("route"), "path", UNMATCHED)
        took_ms = exchange.elapsed_ms()
        self._metrics.request(scope["method"], route, status, took_ms / 1000)
        if exchange.trace is not None:
            exchange.trace.end(known_method(scope["method"]), route, int(status))
        if not log.isEnabledFor(logging.INFO):
            return
        method = scope["method"]
        told = {"request_id": exchange.request_id, "method": method, "route": route, "status": int(status)}
        log.info(
            "%s %s %d %.1f ms %s%s",
            method,
            route,
            status,
            took_ms,
            exchange.request_id,
            " client gone" if exchange.gone else "",
            extra={EXTRA: {**told, "ms": round(took_ms, 1), "client_gone": exchange.gone, **exchange.noted}},
        )


class Unforeseen:
    """ASGI middleware right around the routes: an error that nobody foresaw becomes a problem, its trace is logged."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def noting_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, noting_send)
        except Exception as error:
            if started:
                raise
            await problem_response(error, exchange_of(scope))(scope, receive, send)


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else f"{_IDS.getrandbits(96):024x}"
