"""Vercel's UI message stream, version 1: what useChat reads.

The text is one part. A source is a `source-url` when it is first cited (`sourceId` is `source-` and its marker), and
everything checked is in `data-*` parts: each citation and sentence, what was withheld, what fell back, the verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from service.contract import (
    AnswerResponse,
    Citation,
    DegradedEvent,
    FinishReason,
    MetaEvent,
    Model,
    PipelineEvent,
    SentenceEvent,
    SentenceRecord,
    SourcesEvent,
    WithheldEvent,
)
from service.http.formats.written import Head, Writer, Written, rag_details, title_of
from service.http.problems import Problem

HEADERS: Mapping[str, str] = {"x-vercel-ai-ui-message-stream": "v1"}

UiFinishReason = Literal["stop", "length", "other"]

FINISH_REASONS: Mapping[FinishReason, UiFinishReason] = {
    "stop": "stop",
    "abstained": "stop",
    "length": "length",
    "deadline": "length",
    "provider_error": "length",
    "cancelled": "other",
}
"""What is cut short is `length`; the verdict's `finish_reason` tells what cut it."""

_TEXT = "text"


class UiChunks:
    """The chunks of a stream, each a JSON object with its `type`.

    Args:
        head: of the answer.
    """

    def __init__(self, head: Head) -> None:
        self._head = head
        self._writer = Writer(head)
        self._written: list[Written] = []
        self._withheld = 0
        self._degraded = 0

    def event(self, event: PipelineEvent) -> Iterable[dict[str, Any]]:
        """The chunks of one event."""
        match event:
            case MetaEvent():
                yield {"type": "start", "messageId": f"msg_{self._head.request_id}"}
                yield {"type": "start-step"}
                yield _status("retrieve", query_used=event.query_used, generation=event.generation)
            case SourcesEvent():
                yield _status("generate", sources=len(event.sources))
            case SentenceEvent():
                yield from self._sentence(event)
            case WithheldEvent():
                self._withheld += 1
                yield _data("withheld", f"w{self._withheld}", event.model_dump(mode="json", exclude={"type"}))
            case DegradedEvent():
                self._degraded += 1
                yield _data("degraded", f"d{self._degraded}", {"message": event.message})

    def done(self, response: AnswerResponse) -> Iterable[dict[str, Any]]:
        """The text's end, the verdict, and the end of the message."""
        if self._written:
            yield {"type": "text-end", "id": _TEXT}
        details = rag_details(response, self._written).model_dump(
            mode="json", exclude={"sentences", "citations", "withheld", "degraded"}
        )
        yield _data("verdict", "verdict", {**details, "usage": _dump(response.usage)})
        yield {"type": "finish-step"}
        if response.finish_reason == "cancelled":
            yield {"type": "abort", "reason": "cancelled"}
        yield {"type": "finish", "finishReason": FINISH_REASONS[response.finish_reason]}

    def failed(self, problem: Problem) -> Iterable[dict[str, Any]]:
        """The text's end, then what went wrong, which useChat raises."""
        if self._written:
            yield {"type": "text-end", "id": _TEXT}
        yield {"type": "error", "errorText": f"{problem.title}. {problem.detail}"}

    def _sentence(self, event: SentenceEvent) -> Iterable[dict[str, Any]]:
        if not self._written:
            yield {"type": "text-start", "id": _TEXT}
        written = self._writer.sentence(event)
        self._written.append(written)
        yield {"type": "text-delta", "id": _TEXT, "delta": written.text}
        for one in self._writer.new_sources(written):
            yield self._source(one)
        for one in written.citations:
            yield _data("citation", one.id, _dump(one))
        record = SentenceRecord(
            index=event.index,
            start=written.start,
            end=written.end,
            verdict=event.verdict,
            reason=event.reason,
            citations=[one.id for one in written.citations],
        )
        yield _data("sentence", f"s{event.index}", _dump(record))

    def _source(self, citation: Citation) -> dict[str, Any]:
        return {
            "type": "source-url",
            "sourceId": f"source-{citation.marker}",
            "url": self._writer.link(citation),
            "title": title_of(citation),
            "providerMetadata": {
                "footnote": {
                    "marker": citation.marker,
                    "quote": citation.quote,
                    "documentId": citation.document_id,
                    "url": citation.url,
                    "page": citation.page,
                }
            },
        }


def _status(stage: str, **more: Any) -> dict[str, Any]:
    return {"type": "data-status", "data": {"stage": stage, **more}, "transient": True}


def _data(name: str, key: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"type": f"data-{name}", "id": key, "data": data}


def _dump(model: Model) -> dict[str, Any]:
    return model.model_dump(mode="json")
