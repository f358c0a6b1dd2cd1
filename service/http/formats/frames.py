"""From a format's JSON objects to bytes on a stream."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from fastapi.sse import format_sse_event

from service.contract import AnswerResponse, PipelineEvent
from service.http.problems import Problem

END = b"data: [DONE]\n\n"
"""What OpenAI's streams of chunks end with, and Vercel's."""


class Objects(Protocol):
    """A format as JSON objects: what a stream's events become, asked in this order."""

    def event(self, event: PipelineEvent) -> Iterable[dict[str, Any]]:
        """The objects of one event."""
        ...

    def done(self, response: AnswerResponse) -> Iterable[dict[str, Any]]:
        """The last objects of a stream that came to its end."""
        ...

    def failed(self, problem: Problem) -> Iterable[dict[str, Any]]:
        """The last objects of one that broke."""
        ...


class DataFrames:
    """Server-sent events whose data are a format's objects.

    Args:
        objects: the format.
        named: an event is also named by its object's `type`.
        ends: the stream ends with `[DONE]`.
        headers: of the response.
    """

    def __init__(
        self, objects: Objects, *, named: bool = False, ends: bool = True, headers: Mapping[str, str] | None = None
    ) -> None:
        self.headers = headers or {}
        self._objects = objects
        self._named = named
        self._ends = ends

    def event(self, event: PipelineEvent) -> Iterable[bytes]:
        """The frames of one event."""
        return self._frames(self._objects.event(event))

    def done(self, response: AnswerResponse) -> Iterable[bytes]:
        """The last frames of a stream that came to its end."""
        return self._last(self._objects.done(response))

    def failed(self, problem: Problem) -> Iterable[bytes]:
        """The last frames of one that broke."""
        return self._last(self._objects.failed(problem))

    def _frames(self, objects: Iterable[dict[str, Any]]) -> Iterable[bytes]:
        return (data_frame(one, name=one["type"] if self._named else None) for one in objects)

    def _last(self, objects: Iterable[dict[str, Any]]) -> Iterable[bytes]:
        yield from self._frames(objects)
        if self._ends:
            yield END


def data_frame(data: dict[str, Any], *, name: str | None = None) -> bytes:
    """One event on the wire."""
    return format_sse_event(data_str=json.dumps(data, ensure_ascii=False, separators=(",", ":")), event=name)
