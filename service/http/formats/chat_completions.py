"""OpenAI's chat completions: one JSON object, or chunks that end with a terminal one and `[DONE]`.

Sources are where OpenAI has them: `annotations` of type `url_citation`, one for each source when it is first cited,
whose indexes bound the marker. Everything else about the answer is in `rag`, which clients that do not know it pass
over.
"""

from __future__ import annotations

from collections.abc import Iterable
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
from service.http.formats.tasks import Task
from service.http.formats.written import Head, RagDetails, Writer, Written, rag_details, title_of, written_whole
from service.http.problems import Problem, openai_error

ChatFinishReason = Literal["stop", "length"]

FINISH_REASONS: dict[FinishReason, ChatFinishReason] = {
    "stop": "stop",
    "abstained": "stop",
    "length": "length",
    "deadline": "length",
    "provider_error": "length",
    "cancelled": "length",
}
"""What is cut short is `length` here, whatever cut it; `rag.finish_reason` tells what did."""


class UrlCitation(Model):
    """A link to the page that shows the quote."""

    start_index: int = Field(description="where the marker begins in the content, in Unicode code points")
    end_index: int = Field(description="where it ends, exclusive")
    url: str
    title: str


class ChatAnnotation(Model):
    """A source at its first mention."""

    type: Literal["url_citation"] = "url_citation"
    url_citation: UrlCitation


class ChatMessage(Model):
    """The answer."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None
    annotations: list[ChatAnnotation]


class ChatChoice(Model):
    """There is one."""

    index: Literal[0] = 0
    message: ChatMessage
    logprobs: None = None
    finish_reason: ChatFinishReason


class ChatUsage(Model):
    """What the generator used; zeros where it is no chat model."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class TaskDetails(Model):
    """In the place of `rag` where a frontend asked for a title, tags or the like: nothing was retrieved."""

    task: Task


class ChatCompletion(Model):
    """The answer to POST /v1/chat/completions without `stream`."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    system_fingerprint: str = Field(description="default@GENERATION: what the answer comes from")
    choices: list[ChatChoice]
    usage: ChatUsage
    rag: RagDetails | TaskDetails


def completion(response: AnswerResponse, head: Head) -> ChatCompletion:
    """The whole answer."""
    writer = Writer(head)
    written = written_whole(response, writer)
    annotations = [annotation(one, writer) for place in written for one in writer.new_sources(place)]
    text = "".join(one.text for one in written)
    reason = FINISH_REASONS[response.finish_reason]
    return _completion(head, text, annotations, reason, usage_of(response.usage), rag_details(response, written))


def task_completion(text: str, task: Task, head: Head) -> ChatCompletion:
    """What a frontend asked for beside the conversation."""
    return _completion(head, text, [], "stop", _NOTHING, TaskDetails(task=task))


def task_chunks(text: str, task: Task, head: Head, *, include_usage: bool) -> Iterable[dict[str, Any]]:
    """The same as a stream."""
    stream = ChatChunks(head, include_usage=include_usage)
    yield stream.chunk({"role": "assistant", "content": text})
    yield from stream.last("stop", TaskDetails(task=task), _NOTHING)


class ChatChunks:
    """The chunks of a stream, each a JSON object.

    Args:
        head: of the completion.
        include_usage: the last chunk tells what was used.
    """

    def __init__(self, head: Head, *, include_usage: bool = False) -> None:
        self._head = head
        self._include_usage = include_usage
        self._writer = Writer(head)
        self._written: list[Written] = []
        self._noted = 0

    def event(self, event: PipelineEvent) -> Iterable[dict[str, Any]]:
        """The chunks of one event: who speaks, then text and what it rests on; the rest waits for `rag`."""
        match event:
            case MetaEvent():
                yield self.chunk({"role": "assistant", "content": ""})
            case SentenceEvent():
                written = self._writer.sentence(event)
                self._written.append(written)
                yield self.chunk({"content": written.text})
                yield from self._sources(self._writer.new_sources(written))

    def done(self, response: AnswerResponse) -> Iterable[dict[str, Any]]:
        """The terminal chunk with `rag`, and what was used where that was asked for."""
        details = rag_details(response, self._written)
        yield from self.last(FINISH_REASONS[response.finish_reason], details, usage_of(response.usage))

    def failed(self, problem: Problem) -> Iterable[dict[str, Any]]:
        """A terminal chunk, since some clients wait for one, then the error, for which all others raise."""
        yield self.chunk({}, finish_reason="length")
        yield openai_error(problem).model_dump(mode="json")

    def last(
        self, reason: ChatFinishReason, rag: RagDetails | TaskDetails, usage: ChatUsage
    ) -> Iterable[dict[str, Any]]:
        """The end of a stream that came to its end."""
        yield {**self.chunk({}, finish_reason=reason), "rag": rag.model_dump(mode="json")}
        if self._include_usage:
            yield {**self.chunk({}), "choices": [], "usage": usage.model_dump(mode="json")}

    def chunk(self, delta: dict[str, Any], *, finish_reason: ChatFinishReason | None = None) -> dict[str, Any]:
        """One chunk."""
        made: dict[str, Any] = {
            "id": _id(self._head),
            "object": "chat.completion.chunk",
            "created": self._head.created,
            "model": self._head.model,
            "system_fingerprint": self._head.fingerprint,
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}],
        }
        return {**made, "usage": None} if self._include_usage else made

    def _sources(self, first: list[Citation]) -> Iterable[dict[str, Any]]:
        """New sources: as annotations of one chunk, or as one event each for Open WebUI, which would list both."""
        if self._head.style == "owui":
            yield from (owui_source(one, self._writer) for one in first)
        elif first:
            notes = [annotation(one, self._writer).model_dump(mode="json") for one in first]
            yield self.chunk({"annotations": [{"index": place, **one} for place, one in enumerate(notes, self._noted)]})
            self._noted += len(notes)  # OpenAI's own client adds up lists by their entries' index, and refuses others


def annotation(citation: Citation, writer: Writer) -> ChatAnnotation:
    """A source at its first mention."""
    return ChatAnnotation(
        url_citation=UrlCitation(
            start_index=citation.marker_start,
            end_index=citation.marker_end,
            url=writer.link(citation),
            title=title_of(citation),
        )
    )


def owui_source(citation: Citation, writer: Writer) -> dict[str, Any]:
    """A source with its quote, as Open WebUI shows it; `metadata[].source` is what it groups by."""
    link, name = writer.link(citation), title_of(citation)
    metadata: dict[str, Any] = {"source": link, "name": name}
    if citation.page is not None:
        metadata["page"] = citation.page
    return {
        "event": {
            "type": "source",
            "data": {
                "source": {"id": citation.passage_id, "name": name, "url": link},
                "document": [citation.quote],
                "metadata": [metadata],
                "distances": [citation.support],
            },
        }
    }


def usage_of(usage: Usage) -> ChatUsage:
    """What was used, in OpenAI's words."""
    return ChatUsage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
    )


_NOTHING = ChatUsage(prompt_tokens=0, completion_tokens=0, total_tokens=0)


def _id(head: Head) -> str:
    return f"chatcmpl-{head.request_id}"


def _completion(
    head: Head,
    text: str,
    annotations: list[ChatAnnotation],
    reason: ChatFinishReason,
    usage: ChatUsage,
    rag: RagDetails | TaskDetails,
) -> ChatCompletion:
    message = ChatMessage(content=text, annotations=annotations)
    return ChatCompletion(
        id=_id(head),
        created=head.created,
        model=head.model,
        system_fingerprint=head.fingerprint,
        choices=[ChatChoice(message=message, finish_reason=reason)],
        usage=usage,
        rag=rag,
    )
