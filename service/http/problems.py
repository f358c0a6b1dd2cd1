"""Errors on the wire: RFC 9457 problem objects, and the one table that says which error becomes which problem."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from service.budget import StageOverrun
from service.http.exchange import Exchange, exchange_of
from service.ratings import AnswerUnknown, FeedbackUnwritable, NoSuchSentence
from store.errors import (
    FootnoteError,
    FormatUnsupported,
    IndexLocked,
    IndexMissing,
    LegUnavailable,
    SourceError,
    SpaceMismatch,
    StoreCorrupt,
    UsageError,
    WriteFailed,
)
from store.filters import FilterError

log = logging.getLogger("footnote.http")

MEDIA_TYPE = "application/problem+json"
ERRORS_MAX = 20
"""At most so many field errors are listed."""


class FieldError(BaseModel):
    """What is wrong with one part of the request."""

    loc: list[str | int] = Field(description="where: field names and list positions, outermost first")
    msg: str


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field(description="stable: urn:footnote:problem:<slug>")
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[FieldError] | None = Field(None, description="for 422: each part that is wrong")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: its stable slug, HTTP status and title."""

    slug: str
    status: int
    title: str

    @property
    def type(self) -> str:
        """The problem's `type`."""
        return f"urn:footnote:problem:{self.slug}"


KINDS: Mapping[str, Kind] = {
    kind.slug: kind
    for kind in (
        Kind("invalid-json", 400, "The body is not JSON"),
        Kind("invalid-http", 400, "This is not HTTP"),
        Kind("bad-host", 400, "This host name is not served here"),
        Kind("unsupported-parameter", 400, "This parameter cannot be honoured"),
        Kind("unauthorized", 401, "A bearer token is needed"),
        Kind("forbidden-origin", 403, "This origin may not send requests"),
        Kind("not-found", 404, "There is nothing here"),
        Kind("model-not-found", 404, "There is no such model"),
        Kind("answer-unknown", 404, "No such answer is remembered"),
        Kind("method-not-allowed", 405, "This method is not allowed here"),
        Kind("request-timeout", 408, "The request did not arrive in time"),
        Kind("not-resumable", 409, "Answers cannot be resumed here"),
        Kind("answer-gone", 410, "This answer is kept no more"),
        Kind("version-gone", 410, "No kept snapshot holds this document version"),
        Kind("body-too-large", 413, "The body is too large"),
        Kind("unsupported-media-type", 415, "The body must be JSON"),
        Kind("invalid-request", 422, "The request cannot be done as asked"),
        Kind("invalid-filter", 422, "The filter cannot be understood"),
        Kind("head-too-large", 431, "The request's headers are too large"),
        Kind("http-error", 500, "The request failed"),
        Kind("internal", 500, "Something went wrong here"),
        Kind("source-unreadable", 500, "A source cannot be read"),
        Kind("store-corrupt", 500, "A file of the index is damaged"),
        Kind("format-unsupported", 500, "The index has a format that is not read here"),
        Kind("space-mismatch", 500, "Two embedding spaces would be mixed"),
        Kind("index-missing", 503, "There is no index to answer from"),
        Kind("answers-unreachable", 503, "Where answers are kept cannot be asked"),
        Kind("overloaded", 503, "More is asked than can be answered in time"),
        Kind("draining", 503, "This process is stopping"),
        Kind("index-locked", 503, "The index is being written"),
        Kind("write-failed", 507, "The index cannot be written"),
        Kind("feedback-unwritable", 507, "Ratings cannot be kept"),
        Kind("leg-unavailable", 504, "The retrieval leg asked for is not available"),
        Kind("stage-overrun", 504, "A stage did not end within its budget"),
    )
}

OF_ERRORS: Mapping[type[Exception], Kind] = {
    UsageError: KINDS["invalid-request"],
    FilterError: KINDS["invalid-filter"],
    SourceError: KINDS["source-unreadable"],
    IndexMissing: KINDS["index-missing"],
    IndexLocked: KINDS["index-locked"],
    WriteFailed: KINDS["write-failed"],
    FormatUnsupported: KINDS["format-unsupported"],
    StoreCorrupt: KINDS["store-corrupt"],
    SpaceMismatch: KINDS["space-mismatch"],
    LegUnavailable: KINDS["leg-unavailable"],
    StageOverrun: KINDS["stage-overrun"],
    AnswerUnknown: KINDS["answer-unknown"],
    NoSuchSentence: KINDS["invalid-request"],
    FeedbackUnwritable: KINDS["feedback-unwritable"],
}
"""The nearest class in an error's ancestry decides."""

CLIENT_GONE = 499
"""What is counted and logged where the client left before it had an answer: nginx's number for it, nobody's error."""

_OF_STATUS = {400: "invalid-request", 404: "not-found", 405: "method-not-allowed", 413: "body-too-large"}
_RETRY_AFTER_S = "2"


class ProblemError(Exception):
    """A request that the edge itself refuses."""

    def __init__(
        self,
        slug: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = KINDS[slug]
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})


class OpenAIErrorDetails(BaseModel):
    """What went wrong, as OpenAI's clients read it."""

    message: str
    type: str = Field(description="invalid_request_error, or server_error from 500 on")
    param: str | None = Field(description="the parameter that is wrong, where one is")
    code: str = Field(description="the problem's slug, with underscores")


class OpenAIErrorResponse(BaseModel):
    """An error on the routes that speak OpenAI's formats."""

    error: OpenAIErrorDetails


def openai_error(problem: Problem) -> OpenAIErrorResponse:
    """A problem in OpenAI's shape."""
    where = problem.errors[0].loc if problem.errors else []
    own = problem.status < HTTPStatus.INTERNAL_SERVER_ERROR
    return OpenAIErrorResponse(
        error=OpenAIErrorDetails(
            message=problem.detail,
            type="invalid_request_error" if own else "server_error",
            param=".".join(map(str, where)) or None,
            code=problem.type.rpartition(":")[2].replace("-", "_"),
        )
    )


def openai_status(status: int) -> int:
    """A problem's HTTP status where OpenAI's formats are spoken: it knows no 422, a wrong request is a 400."""
    return HTTPStatus.BAD_REQUEST if status == HTTPStatus.UNPROCESSABLE_ENTITY else status


def invalid(message: str, *loc: str | int) -> ProblemError:
    """A 422 about one part of the request."""
    where = ".".join(map(str, loc))
    return ProblemError(
        "invalid-request",
        f"{where}: {message}" if where else message,
        errors=[FieldError(loc=list(loc), msg=message)],
    )


def kind_of(error: BaseException) -> Kind:
    """The kind of problem an error becomes; "internal" for one that nobody foresaw."""
    if isinstance(error, ProblemError):
        return error.kind
    return next((OF_ERRORS[one] for one in type(error).__mro__ if one in OF_ERRORS), KINDS["internal"])


def problem_of(error: BaseException, request_id: str) -> Problem:
    """The problem object of any error. One that nobody foresaw tells nothing of itself: its trace is in the log."""
    if isinstance(error, HTTPException):
        return _http_problem(error, request_id)
    if isinstance(error, RequestValidationError):
        found = [FieldError(loc=list(one["loc"]), msg=one["msg"]) for one in error.errors()[:ERRORS_MAX]]
        return _problem(KINDS["invalid-request"], _first(found), request_id, found)
    kind = kind_of(error)
    if kind.slug == "internal":
        return _problem(kind, "The cause is in the service's log, under this request id.", request_id)
    return _problem(kind, str(error), request_id, error.errors if isinstance(error, ProblemError) else None)


def problem_response(error: BaseException, exchange: Exchange) -> Response:
    """The whole response for any error, in the shape of the route called; 5xx are logged with the request id."""
    problem = problem_of(error, exchange.request_id)
    headers: dict[str, str] = {}
    if isinstance(error, ProblemError | HTTPException):
        headers.update(error.headers or {})
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.setdefault("retry-after", _RETRY_AFTER_S)
    log_problem(error, problem)
    if exchange.speaks_openai:
        body = openai_error(problem).model_dump_json()
        return Response(body, openai_status(problem.status), headers=headers, media_type="application/json")
    return Response(problem.model_dump_json(exclude_none=True), problem.status, headers=headers, media_type=MEDIA_TYPE)


def log_problem(error: BaseException, problem: Problem) -> None:
    """One line for a foreseen 5xx, the whole trace for an unforeseen error, nothing for the caller's own mistakes."""
    if problem.type == KINDS["internal"].type:
        log.error("request %s failed unexpectedly", problem.request_id, exc_info=error)
    elif problem.type in (KINDS["overloaded"].type, KINDS["draining"].type):
        log.debug("request %s: %s", problem.request_id, problem.title)  # the metrics count them: they come in crowds
    elif problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("request %s: %s: %s", problem.request_id, problem.title, problem.detail)


def handle_errors(app: FastAPI) -> None:
    """Have every foreseen error of a route answered as a problem."""
    for one in (FootnoteError, StageOverrun, ProblemError, HTTPException, RequestValidationError):
        app.add_exception_handler(one, _handle)
    app.add_exception_handler(ClientDisconnect, _handle_gone)


async def _handle(request: Request, error: Exception) -> Response:
    return problem_response(error, exchange_of(request))


async def _handle_gone(request: Request, error: Exception) -> Response:  # noqa: ARG001  # Starlette's signature
    """Nobody is left to read this."""
    exchange_of(request).gone = True
    return Response(status_code=CLIENT_GONE)


def _http_problem(error: HTTPException, request_id: str) -> Problem:
    slug = _OF_STATUS.get(error.status_code)
    if slug is not None:
        return _problem(KINDS[slug], f"{KINDS[slug].title}.", request_id)
    general = KINDS["http-error"]
    return _problem(Kind(general.slug, error.status_code, general.title), error.detail, request_id)


def _problem(kind: Kind, detail: str, request_id: str, errors: Sequence[FieldError] | None = None) -> Problem:
    return Problem(
        type=kind.type,
        title=kind.title,
        status=kind.status,
        detail=detail,
        request_id=request_id,
        errors=list(errors) if errors else None,
    )


def _first(errors: Sequence[FieldError]) -> str:
    return "; ".join(f"{'.'.join(map(str, one.loc))}: {one.msg}" for one in errors[:3])
