"""The application: routes, what stands around them, and what begins and ends with it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import cache, partial
from typing import Any

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.middleware.cors import CORSMiddleware

from service.http import openapi, routing
from service.http.admission import Pool, Turnstile, open_pools
from service.http.cache_metrics import CacheCollector
from service.http.calls import Calls
from service.http.connection import STATE, ConnectionLimits, Connections
from service.http.drain import Drain, LastCall
from service.http.edge import Edge, Unforeseen
from service.http.intake import Intake
from service.http.kept import KeptAnswers, open_kept_answers
from service.http.load_metrics import KeptCollector, LoadCollector
from service.http.metrics import Metrics
from service.http.problems import handle_errors
from service.http.reload import Watcher
from service.http.resume import TOKEN_HEADER, Resumption
from service.http.routes_documents import DocumentRoutes
from service.http.routes_feedback import FeedbackRoutes, remember
from service.http.routes_index import IndexRoutes
from service.http.routes_mcp import McpRoute, is_installed
from service.http.routes_openai import OpenAIRoutes
from service.http.routes_page import PageRoutes
from service.http.routes_questions import QuestionRoutes
from service.http.routes_ui import UiRoutes
from service.http.security import Guard, TrustedProxies
from service.http.tracing import Tracing, open_tracing
from service.mcp.tools import Tools
from service.settings import ServiceSettings
from service.wiring import Service
from store.errors import UsageError

log = logging.getLogger("footnote.http")

PING_S = 10.0
"""Seconds of silence after which a stream gets a comment; 15 are promised."""

_NO_TELEMETRY: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}
"""Of the framework's own: it would put exceptions' words, and so queries, into spans and logs (tracing.py does not)."""

_OTHER_ANSWERS = ("/v1/chat/completions", "/v1/responses", "/v1/chat/ui")
_MCP_HEADERS = ("mcp-protocol-version", "mcp-method", "mcp-name")


def create_app(
    service: Service,
    *,
    ping_s: float = PING_S,
    warm: Callable[[], None] = lambda: None,
    tracing: Tracing | None = None,
) -> FastAPI:
    """The ASGI application over a wired service; it opens the index when it starts and closes the service at its end.

    `tracing` absent: as it is set.

    A missing or damaged index does not stop it: /healthz answers, /readyz says why not, and the index is opened once
    it is there. Raises UsageError for settings that make no sense.
    """
    settings = service.settings
    pools = open_pools(settings, with_chat_model=bool(service.tails))
    kept = open_kept_answers(settings)
    connections = Connections(ConnectionLimits.of(settings))
    load = LoadCollector(list(pools.values()), service.tails)
    caches = CacheCollector([service.inference.counts, *service.caches.counts])
    others = [load, connections, KeptCollector(kept), caches]
    metrics = Metrics(service.holder, lambda: service.degraded is not None, others)
    tracing = tracing or open_tracing(settings)
    Calls(service.models, metrics, tracing)
    remembering = partial(remember, service)
    mcp = None
    if is_installed():
        tools = Tools(service, metrics, pools, remembering, with_source_pages=True)
        mcp = McpRoute(tools, settings.body_bytes_max)
    app = FastAPI(
        title="Footnote",
        version=openapi.API_VERSION,
        description="A retrieval service whose answers can be checked.",
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
        lifespan=_lifespan(service, connections, warm, kept, mcp, metrics, tracing),
        generate_unique_id_function=lambda route: route.name,
        telemetry=_NO_TELEMETRY,
    )
    app.router.route_class = routing.PlainRoute
    app.state.service = service
    app.state.drain = drain = Drain()
    app.state.metrics = metrics
    app.state.kept = kept
    resumption = Resumption(kept, ping_s, settings.client_stall_ms / 1000)
    questions = QuestionRoutes(service, metrics, pools, resumption, ping_s, remembering)
    routing.add_question_routes(app, questions)
    routing.add_resumption_routes(app, resumption)
    routing.add_openai_routes(app, OpenAIRoutes(service, questions))
    routing.add_ui_routes(app, UiRoutes(service, questions))
    routing.add_document_routes(app, DocumentRoutes(service))
    routing.add_page_routes(app, PageRoutes(service))
    routing.add_index_routes(app, IndexRoutes(service, metrics, drain))
    if service.ratings is not None:
        routing.add_feedback_route(app, FeedbackRoutes(service, service.ratings))
    if mcp is not None:
        app.add_api_route("/mcp", mcp.mcp, methods=["POST"], response_model=None, include_in_schema=False)
    handle_errors(app)
    by_path = {f"/v1/{name}": pool for name, pool in pools.items()} | dict.fromkeys(_OTHER_ANSWERS, pools["answer"])
    _stand_around(app, settings, metrics, by_path, drain, tracing)
    app.openapi = cache(lambda: openapi.document(app))  # type: ignore[method-assign]  # FastAPI's own way to do it
    return app


def _lifespan(
    service: Service,
    connections: Connections,
    warm: Callable[[], None],
    kept: KeptAnswers,
    mcp: McpRoute | None,
    metrics: Metrics,
    tracing: Tracing | None,
) -> Any:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        watcher = Watcher(service)
        await watcher.look()
        if service.ratings is not None:
            await asyncio.to_thread(service.ratings.look)
        warm()
        running = [asyncio.create_task(watcher.run()), asyncio.create_task(kept.run())]
        if metrics.shared is not None:
            running.append(asyncio.create_task(metrics.shared.run()))
        try:
            yield {STATE: connections}
        finally:
            for one in running:
                one.cancel()
            for ended in await asyncio.gather(*running, return_exceptions=True):
                if isinstance(ended, Exception):  # and not that it was cancelled
                    log.error("work beside the requests had ended", exc_info=ended)
            await kept.close()
            if mcp is not None:
                await mcp.close()
            await service.caches.close()
            for model in service.models:
                await model.aclose()
            await asyncio.to_thread(service.close)  # it waits for files
            if tracing is not None:
                await asyncio.to_thread(tracing.close)

    return lifespan


def _stand_around(
    app: FastAPI,
    settings: ServiceSettings,
    metrics: Metrics,
    pools: Mapping[str, Pool],
    drain: Drain,
    tracing: Tracing | None,
) -> None:
    """Middleware, innermost first."""
    try:
        proxies = TrustedProxies(settings.trusted_proxies)
    except ValueError as error:
        raise UsageError(
            f"setting 'trusted_proxies': {error}.", fix="Give IP addresses, networks such as 10.0.0.0/8, or *."
        ) from error
    app.add_middleware(Unforeseen)
    app.add_middleware(Intake)
    app.add_middleware(Turnstile, pools=pools)
    if settings.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.allowed_origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=[
                "authorization",
                "content-type",
                "last-event-id",
                "x-request-id",
                "x-request-deadline-ms",
                TOKEN_HEADER,
                *_MCP_HEADERS,
            ],
            expose_headers=["x-request-id", "retry-after", TOKEN_HEADER],
        )
    app.add_middleware(Guard, settings=settings)
    app.add_middleware(LastCall, drain=drain)
    app.add_middleware(Edge, metrics=metrics, proxies=proxies, tracing=tracing)
