"""What the edge knows of one request: who it is, when it came, and under which address."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection, Request
from starlette.types import Scope

from service.question import ANYONE
from service.settings import ServiceSettings
from store.snapshot import Principals

if TYPE_CHECKING:
    from service.http.tracing import RequestTrace

_KEY = "footnote.exchange"

OPENAI_PATHS = ("/v1/chat/completions", "/v1/responses", "/v1/models")
"""Where these paths begin, errors have OpenAI's shape: its clients read no other."""


@dataclass(slots=True)
class Exchange:
    """One request and its response.

    Args:
        request_id: names it in the response, the log and every problem.
        scheme, host: what the client called (`host` with its port), believed proxies considered.
        client: the client's address, where known.
        received: monotonic seconds when it came.
        gone: the client left before the response was whole.
        speaks_openai: whether errors have OpenAI's shape.
        cut: ends a stream that has begun with its terminal event, which tells the error; None while there is none.
        noted: what the request's log line tells beside what it always does.
        trace: its spans; None while it is not traced.
    """

    request_id: str
    scheme: str
    host: str
    client: str | None
    received: float = field(default_factory=time.monotonic)
    gone: bool = False
    speaks_openai: bool = False
    cut: Callable[[Exception], None] | None = None
    noted: dict[str, object] = field(default_factory=dict)
    trace: RequestTrace | None = None

    def elapsed_ms(self) -> float:
        """Milliseconds since the request came."""
        return (time.monotonic() - self.received) * 1000

    def put(self, scope: Scope) -> None:
        """Make this the scope's exchange."""
        scope[_KEY] = self


def exchange_of(request: HTTPConnection | Scope) -> Exchange:
    """The exchange that the edge made for this request."""
    found = request[_KEY]
    assert isinstance(found, Exchange)
    return found


def local_request() -> Request:
    """Stands for a call that did not come over HTTP: from the program that started this one."""
    scope: Scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    Exchange(secrets.token_hex(12), "", "", None).put(scope)
    return Request(scope)


def public_base(request: HTTPConnection, settings: ServiceSettings) -> str:
    """The address that links are made with, no slash at its end: the public URL, else what the request came to."""
    if settings.public_url is not None:
        return settings.public_url.rstrip("/")
    exchange = exchange_of(request)
    return f"{exchange.scheme}://{exchange.host}"


def principals_of(request: HTTPConnection) -> Principals:  # noqa: ARG001  # what authentication will look at
    """Who asks. There is no authentication yet: everyone is anonymous, and sees what anyone may read.

    The only place where a request becomes principals.
    """
    return ANYONE
