"""The text of an answer as a citation style has it, and every offset that follows from that.

What all formats share: the sentences in order, each source's first citation, and the `rag` object. Offsets are Unicode
code points into the text as it is sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from service.contract import (
    Abstention,
    AnswerResponse,
    AnswerVerdict,
    Citation,
    FinishReason,
    Model,
    SentenceEvent,
    SentenceRecord,
    StageReport,
    Withheld,
)

CitationStyle = Literal["markers", "markdown", "owui"]

COLLECTION = "default"
"""The collection there is, and with `@GENERATION` the name of what a model's name says to answer from."""


@dataclass(frozen=True, slots=True)
class Head:
    """What an answer in any format has before its first word.

    Args:
        request_id: of the request.
        created: Unix seconds.
        model: as it was asked for.
        generation: what is answered from.
        base: the address that links begin with, without a slash at its end.
        style: of citations; `markdown` makes every marker a link to its quote.
    """

    request_id: str
    created: int
    model: str
    generation: int
    base: str
    style: CitationStyle = "markers"

    @property
    def fingerprint(self) -> str:
        """What the answer comes from."""
        return f"{COLLECTION}@{self.generation}"


class RagDetails(Model):
    """What a chat format has no place for: how the answer came about and what it rests on."""

    request_id: str
    generation: int
    query_used: str
    verdict: AnswerVerdict
    finish_reason: FinishReason
    abstention: Abstention | None = None
    sentences: list[SentenceRecord]
    citations: list[Citation] = Field(description="whole ones; offsets are into the text as it was sent")
    withheld: list[Withheld]
    stages: list[StageReport]
    degraded: list[str]


@dataclass(frozen=True, slots=True)
class Written:
    """A sentence as it is sent: its text, where that stands in the whole, and its citations with their places there."""

    text: str
    start: int
    end: int
    citations: list[Citation]


class Writer:
    """Writes an answer sentence by sentence.

    Args:
        head: of the answer.
    """

    def __init__(self, head: Head) -> None:
        self._style = head.style
        self._base = head.base
        self._length = 0
        self._known: set[int] = set()

    def write(self, text: str, start: int, citations: Sequence[Citation]) -> Written:
        """The next sentence.

        Args:
            text: with the white space that follows it.
            start: where it stands in the answer as it was composed; the citations' offsets count from there too.
            citations: its own.
        """
        begins, moved = self._length, [0] * (len(text) + 1)
        if self._style == "markdown":
            text, moved = self._with_links(text, start, citations)
        self._length += len(text)

        def placed(offset: int) -> int:
            within = offset - start
            return begins + within + moved[within]

        return Written(
            text=text,
            start=begins,
            end=self._length,
            citations=[
                one.model_copy(
                    update={
                        "answer_start": placed(one.answer_start),
                        "answer_end": placed(one.answer_end),
                        "marker_start": placed(one.marker_start),
                        "marker_end": placed(one.marker_end),
                    }
                )
                for one in citations
            ],
        )

    def sentence(self, event: SentenceEvent) -> Written:
        """The next sentence of a stream."""
        return self.write(event.text, event.start, event.citations)

    def new_sources(self, written: Written) -> list[Citation]:
        """The first citation of each source that was not cited before, in the order of their markers."""
        found = [one for one in written.citations if one.marker not in self._known]
        first = {one.marker: one for one in reversed(found)}
        self._known.update(first)
        return [first[marker] for marker in sorted(first)]

    def link(self, citation: Citation) -> str:
        """The page that shows the citation's quote in its document."""
        span = f"{citation.source_start}-{citation.source_end}"
        return f"{self._base}/s/{citation.document_version}/{span}#quote"

    def _with_links(self, text: str, start: int, citations: Sequence[Citation]) -> tuple[str, list[int]]:
        """The text with links, and by how much each of its offsets moved."""
        pieces, done, shift = [], 0, 0
        moved = [0] * (len(text) + 1)
        for one in sorted(citations, key=lambda citation: citation.marker_start):
            marker_start, marker_end = one.marker_start - start, one.marker_end - start
            linked = f"[{text[marker_start:marker_end]}]({self.link(one)})"
            pieces += [text[done:marker_start], linked]
            moved[done + 1 : marker_start + 1] = [shift] * (marker_start - done)
            shift += len(linked) - (marker_end - marker_start)
            moved[marker_end] = shift
            done = marker_end
        pieces.append(text[done:])
        moved[done + 1 :] = [shift] * (len(text) - done)
        return "".join(pieces), moved


def title_of(citation: Citation) -> str:
    """A source's name for people, with its page where it has one."""
    name = citation.title or citation.document_id
    return name if citation.page is None else f"{name} p.{citation.page}"


def written_whole(response: AnswerResponse, writer: Writer) -> list[Written]:
    """All sentences of an answer that came to its end."""
    citations = {one.id: one for one in response.citations}
    return [
        writer.write(response.answer[one.start : one.end], one.start, [citations[key] for key in one.citations])
        for one in response.sentences
    ]


def rag_details(response: AnswerResponse, written: Sequence[Written]) -> RagDetails:
    """The `rag` object of an answer as it was written."""
    return RagDetails(
        request_id=response.request_id,
        generation=response.generation,
        query_used=response.query_used,
        verdict=response.verdict,
        finish_reason=response.finish_reason,
        abstention=response.abstention,
        sentences=[
            one.model_copy(update={"start": place.start, "end": place.end})
            for one, place in zip(response.sentences, written, strict=True)
        ],
        citations=[citation for one in written for citation in one.citations],
        withheld=response.withheld,
        stages=response.stages,
        degraded=response.degraded,
    )
