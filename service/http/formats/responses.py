"""OpenAI's responses: one JSON object, or events that end with `response.completed`, `.incomplete` or `.failed`.

There is one output item, a message with one part of text. Sources are annotations of type `url_citation`, one for each
source when it is first cited, whose indexes bound the marker; everything else is in the response's `rag`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from pydantic import Field

from service.contract import (
    AnswerResponse,
    Citation,
    FinishReason,
    MetaEvent,
    Model,
    PipelineEvent,
    SentenceEvent,
    Usage,
)
from service.http.formats.written import Head, RagDetails, Writer, Written, rag_details, title_of, written_whole
from service.http.problems import Problem

Status = Literal["in_progress", "completed", "incomplete", "failed"]
ItemStatus = Literal["in_progress", "completed", "incomplete"]

CUT_SHORT: frozenset[FinishReason] = frozenset({"length", "deadline", "provider_error", "cancelled"})
"""What is cut short is `incomplete`, whatever cut it; `rag.finish_reason` tells what did."""


class TextAnnotation(Model):
    """A source at its first mention: a link to the page that shows the quote."""

    type: Literal["url_citation"] = "url_citation"
    start_index: int = Field(description="where the marker begins in the text, in Unicode code points")
    end_index: int = Field(description="where it ends, exclusive")
    url: str
    title: str


class OutputText(Model):
    """The answer's text."""

    type: Literal["output_text"] = "output_text"
    text: str
    annotations: list[TextAnnotation]
    logprobs: list[Any] = Field(default=[], max_length=0)


class OutputMessage(Model):
    """The answer."""

    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    status: ItemStatus
    content: list[OutputText]


class InputTokens(Model):
    """Nothing is cached."""

    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputTokens(Model):
    """Nothing is reasoned about."""

    reasoning_tokens: int = 0


class ResponseUsage(Model):
    """What the generator used; zeros where it is no chat model."""

    input_tokens: int
    input_tokens_details: InputTokens = InputTokens()
    output_tokens: int
    output_tokens_details: OutputTokens = OutputTokens()
    total_tokens: int


class ResponseFailure(Model):
    """Why a stream broke."""

    code: Literal["server_error"] = "server_error"
    message: str


class IncompleteDetails(Model):
    """What OpenAI has a word for; `rag.finish_reason` is more exact."""

    reason: Literal["max_output_tokens"] = "max_output_tokens"


class TextFormat(Model):
    """Plain text."""

    type: Literal["text"] = "text"


class TextConfig(Model):
    """Plain text."""

    format: TextFormat = TextFormat()


class ResponseObject(Model):
    """The answer to POST /v1/responses without `stream`."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    status: Status
    error: ResponseFailure | None = None
    incomplete_details: IncompleteDetails | None = None
    instructions: None = None
    max_output_tokens: None = None
    metadata: dict[str, str] = Field(default={}, max_length=0)
    model: str
    output: list[OutputMessage]
    parallel_tool_calls: Literal[False] = False
    previous_response_id: None = None
    store: Literal[False] = False
    temperature: None = None
    text: TextConfig = TextConfig()
    tool_choice: Literal["none"] = "none"
    tools: list[Any] = Field(default=[], max_length=0)
    top_p: None = None
    truncation: Literal["disabled"] = "disabled"
    usage: ResponseUsage | None = None
    rag: RagDetails | None = Field(None, description="null until the answer has come to its end")


def response_object(response: AnswerResponse, head: Head) -> ResponseObject:
    """The whole answer."""
    writer = Writer(head)
    written = written_whole(response, writer)
    annotations = [annotation(one, writer) for place in written for one in writer.new_sources(place)]
    return _ended(response, head, written, annotations)


class ResponseEvents:
    """The events of a stream, each a JSON object with its `type` and `sequence_number`.

    Args:
        head: of the response.
    """

    def __init__(self, head: Head) -> None:
        self._head = head
        self._writer = Writer(head)
        self._number = -1
        self._written: list[Written] = []
        self._annotations: list[TextAnnotation] = []
        self._opened = False

    def event(self, event: PipelineEvent) -> Iterable[dict[str, Any]]:
        """The events of one event: text and what it rests on; the rest waits for `rag`."""
        match event:
            case MetaEvent():
                yield self._next("response.created", response=_dump(self._state("in_progress")))
                yield self._next("response.in_progress", response=_dump(self._state("in_progress")))
            case SentenceEvent():
                yield from self._open()
                written = self._writer.sentence(event)
                self._written.append(written)
                yield self._next("response.output_text.delta", **self._part, delta=written.text, logprobs=[])
                for source in self._writer.new_sources(written):
                    made = annotation(source, self._writer)
                    place = len(self._annotations)
                    self._annotations.append(made)
                    yield self._next(
                        "response.output_text.annotation.added",
                        **self._part,
                        annotation_index=place,
                        annotation=_dump(made),
                    )

    def done(self, response: AnswerResponse) -> Iterable[dict[str, Any]]:
        """The text is closed from the inside out, then the whole response."""
        yield from self._open()
        ended = _ended(response, self._head, self._written, self._annotations)
        item = ended.output[0]
        text = item.content[0]
        yield self._next("response.output_text.done", **self._part, text=text.text, logprobs=[])
        yield self._next("response.content_part.done", **self._part, part=_dump(text))
        yield self._next("response.output_item.done", output_index=0, item=_dump(item))
        yield self._next(f"response.{ended.status}", response=_dump(ended))

    def failed(self, problem: Problem) -> Iterable[dict[str, Any]]:
        """The response as far as it came, and why it went no further."""
        output = [_message(self._head, "incomplete", self._text())] if self._opened else []
        failure = ResponseFailure(message=problem.detail)
        yield self._next("response.failed", response=_dump(self._state("failed", output, failure)))

    @property
    def _part(self) -> dict[str, Any]:
        return {"item_id": _item_id(self._head), "output_index": 0, "content_index": 0}

    def _open(self) -> Iterable[dict[str, Any]]:
        if self._opened:
            return
        self._opened = True
        item = _message(self._head, "in_progress", None)
        yield self._next("response.output_item.added", output_index=0, item=_dump(item))
        empty = OutputText(text="", annotations=[])
        yield self._next("response.content_part.added", **self._part, part=_dump(empty))

    def _text(self) -> OutputText:
        return OutputText(text="".join(one.text for one in self._written), annotations=self._annotations)

    def _state(
        self, status: Status, output: Sequence[OutputMessage] = (), error: ResponseFailure | None = None
    ) -> ResponseObject:
        return ResponseObject(
            id=_id(self._head),
            created_at=self._head.created,
            status=status,
            error=error,
            model=self._head.model,
            output=list(output),
        )

    def _next(self, kind: str, **fields: Any) -> dict[str, Any]:
        self._number += 1
        return {"type": kind, "sequence_number": self._number, **fields}


def annotation(citation: Citation, writer: Writer) -> TextAnnotation:
    """A source at its first mention."""
    return TextAnnotation(
        start_index=citation.marker_start,
        end_index=citation.marker_end,
        url=writer.link(citation),
        title=title_of(citation),
    )


def _ended(
    response: AnswerResponse, head: Head, written: Sequence[Written], annotations: Sequence[TextAnnotation]
) -> ResponseObject:
    cut_short = response.finish_reason in CUT_SHORT
    status: ItemStatus = "incomplete" if cut_short else "completed"
    text = OutputText(text="".join(one.text for one in written), annotations=list(annotations))
    return ResponseObject(
        id=_id(head),
        created_at=head.created,
        status=status,
        incomplete_details=IncompleteDetails() if cut_short else None,
        model=head.model,
        output=[_message(head, status, text)],
        usage=_usage(response.usage),
        rag=rag_details(response, written),
    )


def _usage(usage: Usage) -> ResponseUsage:
    return ResponseUsage(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
    )


def _message(head: Head, status: ItemStatus, text: OutputText | None) -> OutputMessage:
    return OutputMessage(id=_item_id(head), status=status, content=[] if text is None else [text])


def _id(head: Head) -> str:
    return f"resp_{head.request_id}"


def _item_id(head: Head) -> str:
    return f"msg_{head.request_id}"


def _dump(model: Model) -> dict[str, Any]:
    return model.model_dump(mode="json")
