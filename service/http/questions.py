"""From a request's bytes to a `Question` and its `Deadline`; everything wrong with them is found here."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from service.budget import Deadline
from service.condense import condense
from service.engine import Engine
from service.http.exchange import Exchange, exchange_of, principals_of
from service.http.models import TAG, AnswerRequest, SearchRequest
from service.http.problems import ERRORS_MAX, FieldError, ProblemError, invalid
from service.question import Question, Turn
from service.settings import ServiceSettings
from store.embedding import EmbeddingSpace
from store.filters import Filter, FilterError, parse_filter
from store.snapshot import Vector
from store.text import canonical

B = TypeVar("B", bound=BaseModel)

BODY_S_MAX = 10
"""Seconds a body may take to arrive."""
_TOLD_MAX = 1_500
"""Mistakes of one body that are looked at; a few of them are told."""
DEADLINE_HEADER = "x-request-deadline-ms"
_NUMBER = re.compile(r"\d{1,12}(\.\d{1,6})?")


async def read_model(request: Request, model: type[B], bytes_max: int) -> B:
    """The body as a checked model. Raises ProblemError: 415, 413 (counted as it comes in), 400 or 422."""
    data = await read_body(request, bytes_max)
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise refused(error) from None


async def read_body(request: Request, bytes_max: int) -> bytes:
    """The body, which calls itself JSON. Raises ProblemError: 415, 413 (counted as it comes in) or 408."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        found = media_type[:100] or "none"
        raise ProblemError("unsupported-media-type", f"Send content-type: application/json (found: {found}).")
    return await _read(request, bytes_max)


async def _read(request: Request, bytes_max: int) -> bytes:
    too_large = ProblemError("body-too-large", f"The body is larger than {bytes_max} bytes.")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > 18 or int(declared) > bytes_max):
        raise too_large
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_S_MAX):
            async for piece in request.stream():
                data += piece
                if len(data) > bytes_max:
                    raise too_large
    except TimeoutError:
        raise ProblemError("request-timeout", f"The body did not arrive within {BODY_S_MAX} seconds.") from None
    return bytes(data)


def refused(error: ValidationError) -> ProblemError:
    """What is wrong with a body or with a tool's arguments: 400 or 422."""
    count = error.error_count()
    if count > _TOLD_MAX:  # each of 60,000 would take 10 microseconds to be told, in which nobody else is answered
        raise ProblemError("invalid-request", f"The body is wrong in {count:,} places, too many to name.")
    found = error.errors(include_url=False, include_context=False, include_input=False)
    if found[0]["type"] == "json_invalid":
        return ProblemError("invalid-json", found[0]["msg"] + ".")
    errors = [FieldError(loc=[part for part in one["loc"] if not _is_tag(part)], msg=one["msg"]) for one in found]
    errors = errors[:ERRORS_MAX]
    shown = "; ".join(f"{'.'.join(map(str, one.loc)) or 'body'}: {one.msg}" for one in errors[:3])
    return ProblemError("invalid-request", shown, errors=errors)


def _is_tag(part: str | int) -> bool:
    return isinstance(part, str) and part.startswith(TAG)


def search_question(request: Request, asked: SearchRequest, settings: ServiceSettings, engine: Engine) -> Question:
    """The question of a search. Raises ProblemError or FilterError (422)."""
    return Question(
        request_id=exchange_of(request).request_id,
        text=_checked(asked.query, settings, "query"),
        principals=principals_of(request),
        mode=asked.mode,
        top_k=asked.top_k or settings.top_k,
        rerank=asked.rerank,
        filter=_filter(asked.filter),
        vector=None if asked.vector is None else _vector(asked.vector, engine.snapshot.facts.space),
        explain=asked.explain,
        why=asked.why,
        segment_words=asked.segment_words,
    )


def answer_question(request: Request, asked: AnswerRequest, settings: ServiceSettings) -> Question:
    """The question of an answer, a conversation condensed to one. Raises ProblemError or FilterError (422)."""
    if (asked.query is None) == (asked.messages is None):
        raise invalid("send exactly one of query and messages")
    turns: tuple[Turn, ...] = ()
    if asked.messages is not None:
        if asked.messages[-1].role != "user":
            raise invalid("the last message must be the user's", "messages", len(asked.messages) - 1, "role")
        if not canonical(asked.messages[-1].content).strip():
            raise invalid("must not be empty", "messages", len(asked.messages) - 1, "content")
        said = tuple(Turn(one.role, canonical(one.content)) for one in asked.messages)
        found = condense(said)
        text = _checked(found.text, settings, "messages")
        turns = said if found.left_open else ()
    else:
        text = _checked(asked.query or "", settings, "query")
    return Question(
        request_id=exchange_of(request).request_id,
        text=text,
        turns=turns,
        principals=principals_of(request),
        mode=asked.mode,
        top_k=asked.top_k or settings.top_k,
        rerank=asked.rerank,
        filter=_filter(asked.filter),
        guardrail=asked.guardrail or settings.guardrail,
    )


def deadline_of(request: Request, asked_ms: float | None, engine: Engine, own_ms: float | None) -> Deadline:
    """The request's one deadline: the smallest of body, header (both from receipt) and `own_ms` (from now)."""
    exchange: Exchange = exchange_of(request)
    header_ms = _header_ms(request)
    passed_ms = (time.monotonic() - exchange.received) * 1000
    limits = [max(limit - passed_ms, 0.0) for limit in (asked_ms, header_ms) if limit is not None]
    if own_ms is not None:
        limits.append(own_ms)
    deadline = Deadline(engine.clock, min(limits, default=None))
    if exchange.trace is not None:
        deadline.watcher = exchange.trace.stage
    return deadline


def _header_ms(request: Request) -> float | None:
    given = request.headers.get(DEADLINE_HEADER)
    if given is None:
        return None
    value = float(given) if _NUMBER.fullmatch(given.strip()) else 0.0
    if value <= 0:
        raise invalid("must be a number of milliseconds above 0", "header", DEADLINE_HEADER)
    return value


def _checked(query: str, settings: ServiceSettings, name: str) -> str:
    """The question in canonical form, neither empty nor too long."""
    if len(query.encode("utf-8", "surrogatepass")) > settings.query_bytes_max:
        raise invalid(f"must not be longer than {settings.query_bytes_max} bytes of UTF-8", name)
    text = canonical(query).strip()
    if not text:
        raise invalid("must not be empty", name)
    return text


def _filter(raw: dict[str, object] | None) -> Filter | None:
    if raw is None:
        return None
    try:
        return parse_filter(raw)
    except OverflowError as error:
        raise FilterError("filter holds a number that is too large.") from error


def _vector(values: list[float], space: EmbeddingSpace) -> Vector:
    """The caller's vector as float32, scaled to unit length where the space is."""
    if len(values) != space.dimension:
        raise invalid(f"must have {space.dimension} numbers, not {len(values)}", "vector")
    given = np.asarray(values, np.float64)
    largest = float(np.abs(given).max(initial=0.0))
    if space.normalised:
        if largest == 0:
            raise invalid("must not be all zeros", "vector")
        given = given / largest
        given = given / np.linalg.norm(given)
    elif largest > float(np.finfo(np.float32).max):
        raise invalid("has a number that 32 bits cannot hold", "vector")
    return given.astype(np.float32)
