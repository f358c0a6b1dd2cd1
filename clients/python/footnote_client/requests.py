"""What is asked, as values: method, path, parameters, body. No input or output here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote

from footnote_client.types import Message

Mode = Literal["hybrid", "dense", "lexical"]
Guardrail = Literal["verified", "flagged"]
Rating = Literal["up", "down"]


@dataclass(frozen=True, slots=True)
class Request:
    """One request to the service."""

    method: Literal["GET", "POST", "DELETE"]
    path: str
    body: Mapping[str, Any] | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


def search(query: str, **options: Any) -> Request:
    """POST /v1/search; options that are None are left to the service."""
    return Request("POST", "/v1/search", {"query": query} | _given(options))


def answer(query: str | None, messages: Sequence[Message] | None, **options: Any) -> Request:
    """POST /v1/answer. Raises TypeError unless exactly one of query and messages is given."""
    if (query is None) == (messages is None):
        raise TypeError("give exactly one of query and messages")
    given: dict[str, Any] = {"query": query} if messages is None else {"messages": list(messages)}
    return Request("POST", "/v1/answer", given | _given(options))


def events(request_id: str, token: str, last_event_id: int | None) -> Request:
    """GET /v1/answers/{request_id}/events: what follows an event."""
    headers = {"x-resume-token": token} | ({} if last_event_id is None else {"last-event-id": str(last_event_id)})
    return Request("GET", f"/v1/answers/{quote(request_id, safe='')}/events", headers=headers)


def stop(request_id: str, token: str) -> Request:
    """DELETE /v1/answers/{request_id}."""
    return Request("DELETE", f"/v1/answers/{quote(request_id, safe='')}", headers={"x-resume-token": token})


def document(id: str, version: str | None) -> Request:  # noqa: A002  # the API's word
    """GET /v1/documents/{id}."""
    return Request("GET", f"/v1/documents/{quote(id, safe='')}", params=_given({"version": version}))


def feedback(request_id: str, rating: Rating, comment: str | None) -> Request:
    """POST /v1/feedback."""
    return Request("POST", "/v1/feedback", {"request_id": request_id, "rating": rating} | _given({"comment": comment}))


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
