"""The OpenAPI document, made from the models that the routes use.

python -m service.http.openapi docs/openapi.json
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Mapping
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
from service.http.formats.chat_completions import ChatCompletion
from service.http.formats.requests import ChatRequest, ResponsesRequest, UiRequest
from service.http.formats.responses import ResponseObject
from service.http.problems import KINDS, MEDIA_TYPE, OpenAIErrorResponse, Problem, openai_status
from service.http.sse import MEDIA_TYPE as EVENT_STREAM

REQUESTS: tuple[type[BaseModel], ...] = (
    models.SearchRequest,
    models.AnswerRequest,
    ChatRequest,
    ResponsesRequest,
    UiRequest,
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
    models.ModelCard,
    models.ModelList,
    ChatCompletion,
    ResponseObject,
    Problem,
    OpenAIErrorResponse,
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


DEADLINE_HEADER = {
    "name": "X-Request-Deadline-Ms",
    "in": "header",
    "description": "milliseconds from receipt; the smaller of this and the body's deadline_ms counts",
    "schema": {"type": "string", "pattern": r"^[0-9]{1,12}(\.[0-9]{1,6})?$"},
}


def question_of(model: type[BaseModel]) -> dict[str, Any]:
    """What `openapi_extra` says of a question: its JSON body, and the deadline it may have."""
    return {"parameters": [DEADLINE_HEADER], **body_of(model)}


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """What `openapi_extra` says of a JSON body."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _reference(model)}}}}


def ok(model: type[BaseModel] | None, *, stream: Mapping[str, Any] | None = None) -> Responses:
    """A 200 with this model as JSON, and as a stream of events where there is one, by what is said of it."""
    content: dict[str, Any] = {} if model is None else {"application/json": {"schema": _reference(model)}}
    if stream is not None:
        content[EVENT_STREAM] = dict(stream)
    return {200: {"description": "OK", "content": content}}


def event_stream(events: Mapping[str, type[BaseModel]], description: str) -> dict[str, Any]:
    """A stream of named events whose data is a model as JSON.

    `schema` is of the whole stream, `itemSchema` of each event, as in OpenAPI 3.2: tools that know it check every
    event, others pass it over.
    """
    return {
        "schema": {
            "description": description,
            "x-events": {name: _reference(model) for name, model in events.items()},
        },
        "itemSchema": {
            "oneOf": [
                {
                    "type": "object",
                    "required": ["event", "data"],
                    "properties": {
                        "event": {"const": name},
                        "data": {
                            "type": "string",
                            "contentMediaType": "application/json",
                            "contentSchema": _reference(model),
                        },
                        "id": {"type": "string", "pattern": "^[0-9]+$"},
                    },
                }
                for name, model in events.items()
            ]
        },
    }


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


def openai_problems(*slugs: str) -> Responses:
    """The same for a route that speaks OpenAI's formats."""
    by_status = defaultdict(list)
    for slug in ("bad-host", *slugs, "internal"):
        by_status[openai_status(KINDS[slug].status)].append(slug)
    schema = {"application/json": {"schema": _reference(OpenAIErrorResponse)}}
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


NATIVE_STREAM: Mapping[str, Any] = event_stream(
    {**{event.model_fields["type"].default: event for event in EVENTS}, "done": AnswerResponse, "error": Problem},
    "Server-sent events: meta, sources, then sentence, withheld and degraded as they come, and exactly one of done and "
    "error. The data of each is the model named in x-events.",
)
CHAT_STREAM: Mapping[str, Any] = {
    "schema": {
        "description": "Server-sent events whose data are OpenAI's chat.completion.chunk objects: text in "
        "delta.content, sources in delta.annotations, rag on the terminal chunk, usage after it where it was asked "
        "for, then [DONE]. A stream that breaks ends with a terminal chunk, an OpenAIErrorResponse, and [DONE]."
    }
}
RESPONSES_STREAM: Mapping[str, Any] = {
    "schema": {
        "description": "Server-sent events named and numbered as OpenAI's: response.created, response.in_progress, "
        "response.output_item.added, response.content_part.added, response.output_text.delta and "
        "response.output_text.annotation.added as they come, response.output_text.done, response.content_part.done, "
        "response.output_item.done, and exactly one of response.completed, response.incomplete and response.failed."
    }
}
UI_STREAM: Mapping[str, Any] = {
    "schema": {
        "description": "Vercel's UI message stream, version 1: start, start-step, data-status, text-start, text-delta, "
        "source-url, data-citation, data-sentence, data-withheld, data-degraded, text-end, data-verdict, finish-step "
        "and finish, or error; then [DONE]."
    }
}


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
