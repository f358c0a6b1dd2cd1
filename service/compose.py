"""From checked sentences to the events of an answer: markers numbered by first appearance, every offset exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.contract import Checks, Citation, PipelineEvent, Reason, Result, SentenceEvent, WithheldEvent
from service.ground import Draft, Finding, with_markers
from service.question import Question

ABSTENTION_TEXT = "The indexed documents do not answer this question."


@dataclass(slots=True)
class _Placed:
    """Where the next sentence will stand."""

    index: int = 0
    offset: int = 0


class Composer:
    """Turns checked sentences into events: numbers markers by first appearance and keeps every offset exact."""

    def __init__(self, question: Question, sources: Sequence[Result]) -> None:
        self._sources = sources
        self._flagged = question.guardrail == "flagged"
        self._markers: dict[str, int] = {}
        self._citations = 0
        self._at = _Placed()
        self.supported = 0

    def compose(self, draft: Draft, finding: Finding) -> list[PipelineEvent]:
        """The events of one sentence: itself, or that it was withheld (or both, where it is flagged)."""
        if not draft.claim:
            return []
        if finding.verdict in ("unsupported", "unchecked"):
            reason: Reason = finding.reason or "not_supported"
            withheld = WithheldEvent(
                index=self._at.index,
                reason=reason,
                score=round(finding.score, 4),
                chars=len(draft.claim),
                text=draft.claim if self._flagged else None,
            )
            if not self._flagged:
                self._at.index += 1
                return [withheld]
            return [withheld, self._sentence(draft, finding)]
        if finding.verdict == "supported":
            self.supported += 1
        return [self._sentence(draft, finding)]

    def abstain(self) -> list[PipelineEvent]:
        """Say that nothing is answered, after whatever was said."""
        return [abstention_sentence(self._at.index, self._at.offset)]

    def _sentence(self, draft: Draft, finding: Finding) -> SentenceEvent:
        numbers = [self._marker(support.source) for support in finding.supports]
        body, places = with_markers(draft.claim, numbers)
        text = body + (draft.after or ("\n" if "\n" in body else " "))
        start = self._at.offset
        citations = []
        for support, number, (left, right) in zip(finding.supports, numbers, places, strict=True):
            self._citations += 1
            result = self._sources[support.source - 1]
            citations.append(
                Citation(
                    id=f"c{self._citations}",
                    marker=number,
                    answer_start=start,
                    answer_end=start + len(body),
                    marker_start=start + left,
                    marker_end=start + right,
                    document_id=result.document.id,
                    document_version=result.document.version,
                    title=result.document.title,
                    url=result.document.url,
                    page=result.passage.page,
                    passage_id=result.passage.id,
                    quote=result.passage.text[support.start : support.end],
                    source_start=result.passage.start + support.start,
                    source_end=result.passage.start + support.end,
                    support=round(support.score, 4),
                    checks=Checks(known=True, exact=True, supported=True),
                )
            )
        event = SentenceEvent(
            index=self._at.index,
            text=text,
            start=start,
            end=start + len(text),
            verdict=finding.verdict,
            reason=finding.reason,
            citations=citations,
        )
        self._at.index += 1
        self._at.offset += len(text)
        return event

    def _marker(self, source: int) -> int:
        passage = self._sources[source - 1].passage.id
        return self._markers.setdefault(passage, len(self._markers) + 1)


def abstention_sentence(index: int = 0, start: int = 0) -> SentenceEvent:
    """Says that nothing is answered."""
    end = start + len(ABSTENTION_TEXT)
    return SentenceEvent(index=index, text=ABSTENTION_TEXT, start=start, end=end, verdict="no_claim", citations=[])
