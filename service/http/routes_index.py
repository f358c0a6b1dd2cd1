"""GET /v1/index, /healthz, /readyz, /metrics and POST /v1/index/reload: what the service says of itself."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import Response

from service.http.drain import Drain, draining
from service.http.metrics import CONTENT_TYPE, Metrics
from service.http.models import (
    HealthResponse,
    IndexResponse,
    ReadyResponse,
    ReloadResponse,
    SpaceResponse,
    VectorIndexResponse,
)
from service.http.openapi import package_version
from service.http.problems import ProblemError
from service.http.routes_questions import json_response
from service.wiring import Service
from store.local import LocalSnapshot


class IndexRoutes:
    """The state of the process and of its index.

    Args:
        service: whose state it is.
        metrics: what /metrics shows.
        drain: whether the process is stopping.
    """

    def __init__(self, service: Service, metrics: Metrics, drain: Drain) -> None:
        self._service = service
        self._drain = drain
        self._metrics = metrics
        self._version = package_version()

    async def healthz(self) -> Response:
        """The process is alive; nothing more is claimed."""
        return json_response(HealthResponse(version=self._version))

    async def readyz(self) -> Response:
        """Whether a snapshot is open and warm, and the process is not stopping."""
        if self._drain.begun:
            raise draining()
        generation = self._service.holder.generation
        if generation is None:
            why = self._service.last_error or "No snapshot is open yet."
            raise ProblemError("index-missing", why)
        return json_response(ReadyResponse(generation=generation, degraded=self._degraded()))

    async def metrics(self) -> Response:
        """What Prometheus reads: totals over all worker processes."""
        return Response(await asyncio.to_thread(self._metrics.render), headers={"content-type": CONTENT_TYPE})

    async def index(self) -> Response:
        """What the open snapshot says of itself."""
        with self._service.holder.lease() as engine:
            facts, snapshot = engine.snapshot.facts, engine.snapshot
            manifest = snapshot.manifest if isinstance(snapshot, LocalSnapshot) else None
        fingerprint = facts.space.fingerprint
        return json_response(
            IndexResponse(
                generation=facts.generation,
                name=facts.name,
                documents=facts.documents,
                passages=facts.passages,
                fingerprint=fingerprint,
                space=SpaceResponse(fingerprint=fingerprint, **asdict(facts.space)),
                analyzer=facts.analyzer,
                recall_at_10=facts.recall_at_10,
                dense_weight=engine.dense_weight,
                created_at=None if manifest is None else manifest.created_at,
                vector_index=None
                if manifest is None
                else VectorIndexResponse.model_validate(manifest.vector_index.model_dump()),
                degraded=self._degraded(),
            )
        )

    async def reload(self, request: Request) -> Response:
        """Open what CURRENT names now; the other workers notice by themselves."""
        self._authorise(request)
        service = self._service
        reloaded = await asyncio.get_running_loop().run_in_executor(service.reloading, service.reload)
        with service.holder.lease() as engine:
            generation = engine.snapshot.facts.generation
        return json_response(ReloadResponse(generation=generation, reloaded=reloaded))

    def _degraded(self) -> list[str]:
        return [one for one in (self._service.degraded, self._service.calibration_error) if one is not None]

    def _authorise(self, request: Request) -> None:
        token = self._service.settings.admin_token
        if token is None:
            return
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        wanted = token.get_secret_value().encode()
        if scheme.lower() != "bearer" or not secrets.compare_digest(given.strip().encode(), wanted):
            raise ProblemError(
                "unauthorized", "Send authorization: Bearer <admin token>.", headers={"www-authenticate": "Bearer"}
            )
