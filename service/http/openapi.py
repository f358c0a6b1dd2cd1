"""The OpenAPI document, made from the models that the routes use.

python -m service.http.openapi docs/openapi.json
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.contract import (
    AnswerResponse,
    DegradedEvent,
    MetaEvent,
    SearchResponse,
    SentenceEvent,
    SourcesEvent,
    WithheldEvent,
)
from service.http import models
from service.http.problems import KINDS, MEDIA_TYPE, Problem
from service.http.sse import MEDIA_TYPE as EVENT_STREAM

REQUESTS: tuple[type[BaseModel], ...] = (
    models.SearchRequest,
    models.AnswerRequest,
    models.FeedbackRequest,
)
EVENTS: tuple[type[BaseModel], ...] = (MetaEvent, SourcesEvent, SentenceEvent, WithheldEvent, DegradedEvent)
RESPONSES: tuple[type[BaseModel], ...] = (
    SearchResponse,
    AnswerResponse,
    models.FeedbackResponse,
    models.DocumentResponse,
    models.IndexResponse,
    models.ReloadResponse,
    models.HealthResponse,
    models.ReadyResponse,
    Problem,
)
API_VERSION = "1"
"""The version of the HTTP contract, as in its paths; the program's own is in /healthz."""

Responses = dict[int | str, dict[str, Any]]


@cache
def package_version() -> str:
    """The installed package's version; "0" where it runs from a checkout that was not installed."""
    try:
        return version("footnote")
    except PackageNotFoundError:
        return "0"


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """What `openapi_extra` says of a JSON body."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _reference(model)}}}}


def ok(model: type[BaseModel], *, stream: bool = False) -> Responses:
    """A 200 with this model as JSON, and as a stream of events where there is one."""
    content: dict[str, Any] = {"application/json": {"schema": _reference(model)}}
    if stream:
        content[EVENT_STREAM] = {
            "schema": {
                "type": "string",
                "description": "Server-sent events: meta, sources, then sentence, withheld and degraded as they come, "
                "and exactly one of done and error. The data of each is the model named in x-events.",
                "x-events": {
                    **{event.model_fields["type"].default: _reference(event) for event in EVENTS},
                    "done": _reference(AnswerResponse),
                    "error": _reference(Problem),
                },
            }
        }
    return {200: {"description": "OK", "content": content}}


def text(media_type: str) -> Responses:
    """A 200 with text."""
    return {200: {"description": "OK", "content": {media_type: {"schema": {"type": "string"}}}}}


def problems(*slugs: str) -> Responses:
    """The problem responses of a route, by status."""
    by_status = defaultdict(list)
    for slug in ("bad-host", *slugs, "internal"):
        by_status[KINDS[slug].status].append(slug)
    schema = {MEDIA_TYPE: {"schema": _reference(Problem)}}
    return {
        status: {"description": ", ".join(f"{slug}: {KINDS[slug].title}" for slug in found), "content": schema}
        for status, found in sorted(by_status.items())
    }


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of an application."""
    made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    for methods in made["paths"].values():
        for operation in methods.values():
            if "HTTPValidationError" in str(operation["responses"].get("422")):
                del operation["responses"]["422"]  # FastAPI's guess: any text is a parameter here
    schemas: dict[str, Any] = {}
    modes: tuple[tuple[tuple[type[BaseModel], ...], Literal["validation", "serialization"]], ...] = (
        (REQUESTS, "validation"),
        ((*RESPONSES, *EVENTS), "serialization"),
    )
    for group, mode in modes:
        _, found = models_json_schema([(model, mode) for model in group], ref_template="#/components/schemas/{model}")
        schemas.update(found["$defs"])
    for event in EVENTS:
        schemas[event.__name__]["properties"].pop("type")
    made["components"] = {"schemas": dict(sorted(schemas.items()))}
    return made


def written(app: FastAPI) -> str:
    """The document as it is committed."""
    return json.dumps(document(app), indent=1, ensure_ascii=False) + "\n"


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def main() -> None:
    """Write the document to the file named on the command line."""
    from service.http.app import create_app
    from service.settings import ServiceSettings
    from service.wiring import Service

    service = Service(ServiceSettings())
    Path(sys.argv[1]).write_text(written(create_app(service)), encoding="utf-8")
    service.close()


if __name__ == "__main__":
    main()
