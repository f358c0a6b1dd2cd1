"""What is logged, and how it looks: one line a record, text or JSON, with no secret and, unless asked for, no query."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TextIO

from pydantic import BaseModel, SecretStr

from service.contract import AnswerResponse, SearchResponse
from service.http.metrics import known_stage
from service.settings import ServiceSettings

if TYPE_CHECKING:
    from service.http.exchange import Exchange  # which brings the web framework: logging is set up before that is there

EXTRA = "footnote"
"""The attribute of a record with what a JSON line tells beside its message."""

_OURS = ("footnote", "uvicorn")
_KEYS_OF_ENVIRONMENT = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OTEL_EXPORTER_OTLP_HEADERS")
_SECRET_CHARS_MIN = 6
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
_CONTROLS = {number: f"\\x{number:02x}" for number in [*range(32), *range(127, 160)]} | {
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\t"): "\\t",
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}


def set_up_logging(settings: ServiceSettings) -> None:
    """Log to standard error, uvicorn's lines and warnings too; one line a request from `log_level` info on."""
    logging.getLogger().handlers = [handler_of(settings, sys.stderr)]
    logging.getLogger("footnote").setLevel(settings.log_level.upper())
    logging.captureWarnings(capture=True)


def handler_of(settings: ServiceSettings, stream: TextIO) -> logging.Handler:
    """Writes lines as they are set; of other libraries only warnings and worse, whatever these are told elsewhere."""
    handler = logging.StreamHandler(stream)
    kind = _Json if settings.log_format == "json" else _Text
    handler.setFormatter(kind(_secrets(settings), with_words=settings.log_queries))
    handler.addFilter(lambda record: record.levelno >= logging.WARNING or _ours(record))
    return handler


def note(exchange: Exchange, response: AnswerResponse | SearchResponse, query: str | None) -> None:
    """Have the request's line, and its trace, tell what became of it.

    Args:
        query: only where queries are logged.
    """
    if exchange.trace is not None:
        exchange.trace.became(response)
    noted = exchange.noted
    noted["generation"] = response.generation
    noted["stages"] = {known_stage(one.name): one.took_ms for one in response.stages}
    noted["degraded"] = sorted({known_stage(one.partition(":")[0]) for one in response.degraded})
    if isinstance(response, AnswerResponse):
        noted["verdict"], noted["finish_reason"] = response.verdict, response.finish_reason
    if query is not None:
        noted["query"] = query


def trace_id_of(traceparent: str | None) -> str | None:
    """The trace that a caller's W3C traceparent names."""
    found = None if traceparent is None else _TRACEPARENT.fullmatch(traceparent.strip())
    return None if found is None or found.group(1) == "0" * 32 else found.group(1)


def _ours(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] in _OURS


def _secrets(settings: ServiceSettings) -> list[str]:
    found = {os.environ.get(name, "") for name in _KEYS_OF_ENVIRONMENT} | set(_secrets_in(settings))
    return sorted((one for one in found if len(one) >= _SECRET_CHARS_MIN), key=len, reverse=True)


def _secrets_in(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for _, one in value:
            yield from _secrets_in(one)
    elif isinstance(value, list):
        for one in value:
            yield from _secrets_in(one)


class _Line(logging.Formatter):
    """What both forms have in common.

    Args:
        secrets: masked wherever they turn up, longest first.
        with_words: keep what exceptions and other libraries say in their own words, which may repeat a query.
    """

    def __init__(self, secrets: Iterable[str], *, with_words: bool) -> None:
        super().__init__()
        self._secrets = list(secrets)
        self._with_words = with_words

    def masked(self, text: str) -> str:
        for one in self._secrets:
            text = text.replace(one, "***")
        return text

    def message(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if not self._with_words and not _ours(record):  # asyncio's further lines have exceptions' words
            text = text.partition("\n")[0]
        return self.masked(text.rstrip("\n"))

    def trace(self, record: logging.LogRecord) -> str:
        """The exception's frames; in its own words only where these are wanted."""
        if not record.exc_info or record.exc_info[1] is None:
            return ""
        error = record.exc_info[1]
        if self._with_words:
            return self.masked("".join(traceback.format_exception(error)))
        return self.masked("".join(_without_words(error)))


def _without_words(error: BaseException) -> Iterator[str]:
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        kind = type(one)
        yield f"{kind.__module__}.{kind.__qualname__}\n"
        yield from traceback.format_tb(one.__traceback__)
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


class _Text(_Line):
    def format(self, record: logging.LogRecord) -> str:
        """A line, and below it the exception's, each of which begins as no record does."""
        told = getattr(record, EXTRA, {})
        query = f" {told['query']!r}" if "query" in told else ""
        when = f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(record.created))},{record.msecs:03.0f}"
        first = f"{when} {record.levelname} {record.name} {self.message(record)}{self.masked(query)}"
        below = [f"  | {line.translate(_CONTROLS)}" for line in self.trace(record).splitlines()]
        return "\n".join([first.translate(_CONTROLS), *below])


class _Json(_Line):
    def format(self, record: logging.LogRecord) -> str:
        """One line of ASCII: every line break in it is escaped."""
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "time": f"{when}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self.message(record),
        }
        for name, value in getattr(record, EXTRA, {}).items():
            line[name] = self.masked(value) if isinstance(value, str) else value
        if trace := self.trace(record):
            line["exception"] = trace
        return json.dumps(line, default=str)
