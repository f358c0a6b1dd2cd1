"""Every route: its path, who answers it, and what the OpenAPI document says of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute

from service.contract import AnswerResponse, SearchResponse
from service.http import models, openapi
from service.http.formats.chat_completions import ChatCompletion
from service.http.formats.requests import ChatRequest, ResponsesRequest, UiRequest
from service.http.formats.responses import ResponseObject
from service.http.openapi import body_of, ok, openai_problems, problems, question_of, text
from service.http.resume import Resumption
from service.http.routes_documents import DocumentRoutes
from service.http.routes_feedback import FeedbackRoutes
from service.http.routes_index import IndexRoutes
from service.http.routes_openai import OpenAIRoutes
from service.http.routes_page import PageRoutes
from service.http.routes_questions import QuestionRoutes
from service.http.routes_ui import UiRoutes

_BODY = (
    "invalid-json",
    "forbidden-origin",
    "request-timeout",
    "body-too-large",
    "unsupported-media-type",
    "invalid-request",
)
_QUESTION = (*_BODY, "invalid-filter", "index-missing", "leg-unavailable", "stage-overrun", "overloaded", "draining")
_INDEX = ("index-missing", "store-corrupt", "format-unsupported", "space-mismatch")


class PlainRoute(APIRoute):
    """A route that hands its endpoint the request, where that is all it takes: nothing is to be solved for it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's hook for it."""
        if list(inspect.signature(self.endpoint).parameters) == ["request"]:
            return self.endpoint
        return super().get_route_handler()


def add_question_routes(app: FastAPI, routes: QuestionRoutes) -> None:
    """Searches and answers."""
    app.add_api_route(
        "/v1/search",
        routes.search,
        methods=["POST"],
        response_model=None,
        responses={**ok(SearchResponse), **problems(*_QUESTION)},
        openapi_extra=question_of(models.SearchRequest),
    )
    app.add_api_route(
        "/v1/answer",
        routes.answer,
        methods=["POST"],
        response_model=None,
        responses={**ok(AnswerResponse, stream=openapi.NATIVE_STREAM), **problems(*_QUESTION, "not-resumable")},
        openapi_extra=question_of(models.AnswerRequest),
    )


def add_resumption_routes(app: FastAPI, routes: Resumption) -> None:
    """Reading on in an answer, and stopping it."""
    app.add_api_route(
        "/v1/answers/{request_id}/events",
        routes.events,
        response_model=None,
        responses={
            **ok(None, stream=openapi.NATIVE_STREAM),
            204: {"description": "The client has all events"},
            **problems("not-found", "not-resumable", "answer-gone", "invalid-request", "answers-unreachable"),
        },
    )
    app.add_api_route(
        "/v1/answers/{request_id}",
        routes.stop,
        methods=["DELETE"],
        status_code=HTTPStatus.NO_CONTENT,
        response_model=None,
        response_description="The answer is stopped, and nothing of it is kept",
        responses=problems("not-found", "not-resumable", "answer-gone", "answers-unreachable", "forbidden-origin"),
    )


def add_openai_routes(app: FastAPI, routes: OpenAIRoutes) -> None:
    """OpenAI's formats."""
    refused = openai_problems(*_QUESTION, "model-not-found", "unsupported-parameter")
    app.add_api_route(
        "/v1/chat/completions",
        routes.chat_completions,
        methods=["POST"],
        response_model=None,
        responses={**ok(ChatCompletion, stream=openapi.CHAT_STREAM), **refused},
        openapi_extra=question_of(ChatRequest),
    )
    app.add_api_route(
        "/v1/responses",
        routes.responses,
        methods=["POST"],
        response_model=None,
        responses={**ok(ResponseObject, stream=openapi.RESPONSES_STREAM), **refused},
        openapi_extra=question_of(ResponsesRequest),
    )
    missing = openai_problems("index-missing", "model-not-found")
    app.add_api_route(
        "/v1/models",
        routes.models,
        response_model=None,
        responses={**ok(models.ModelList), **openai_problems("index-missing")},
    )
    app.add_api_route(
        "/v1/models/{model}", routes.model, response_model=None, responses={**ok(models.ModelCard), **missing}
    )


def add_ui_routes(app: FastAPI, routes: UiRoutes) -> None:
    """Vercel's UI message stream."""
    app.add_api_route(
        "/v1/chat/ui",
        routes.chat_ui,
        methods=["POST"],
        response_model=None,
        responses={**ok(None, stream=openapi.UI_STREAM), **problems(*_QUESTION)},
        openapi_extra=question_of(UiRequest),
    )


def add_document_routes(app: FastAPI, routes: DocumentRoutes) -> None:
    """Documents, and the pages that citations lead to."""
    app.add_api_route(
        "/v1/documents/{id:path}",
        routes.document,
        response_model=None,
        responses={
            **ok(models.DocumentResponse),
            **problems("not-found", "version-gone", "invalid-request", "index-missing"),
        },
    )
    app.add_api_route(
        "/s/{document_version}/{start}-{end}",
        routes.source_page,
        response_model=None,
        responses={**text("text/html"), **problems("not-found", "version-gone", "index-missing")},
    )


def add_index_routes(app: FastAPI, routes: IndexRoutes) -> None:
    """The process, and what it serves."""

    def add(path: str, endpoint: Any, responses: openapi.Responses, method: str = "GET") -> None:
        app.add_api_route(path, endpoint, methods=[method], response_model=None, responses=responses)

    add("/healthz", routes.healthz, ok(models.HealthResponse))
    add("/readyz", routes.readyz, {**ok(models.ReadyResponse), **problems("index-missing", "draining")})
    add("/metrics", routes.metrics, {**text("text/plain"), **problems()})
    add("/v1/index", routes.index, {**ok(models.IndexResponse), **problems("index-missing")})
    add(
        "/v1/index/reload",
        routes.reload,
        {**ok(models.ReloadResponse), **problems("unauthorized", "forbidden-origin", *_INDEX)},
        "POST",
    )


def add_feedback_route(app: FastAPI, routes: FeedbackRoutes) -> None:
    """What people say of answers."""
    app.add_api_route(
        "/v1/feedback",
        routes.feedback,
        methods=["POST"],
        response_model=None,
        responses={
            **ok(models.FeedbackResponse),
            **problems(*_BODY, "answer-unknown", "overloaded", "feedback-unwritable"),
        },
        openapi_extra=body_of(models.FeedbackRequest),
    )


def add_page_routes(app: FastAPI, routes: PageRoutes) -> None:
    """The page for people."""
    app.add_api_route("/", routes.home, response_model=None, responses={**text("text/html"), **problems()})
    app.add_api_route("/page/{build}/{name:path}", routes.file, response_model=None, include_in_schema=False)
