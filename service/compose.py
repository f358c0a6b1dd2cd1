"""From checked sentences to the events of an answer: markers numbered by first appearance, every offset exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from service.adapters.prompt import REFUSAL
from service.contract import Checks, Citation, PipelineEvent, Reason, Result, SentenceEvent, WithheldEvent
from service.ground import Draft, Finding, Support, is_block
from service.harmless import acts, harmless, harmless_block
from service.question import Question
from service.sentences import stands_for_another

ABSTENTION_TEXT = "The indexed documents do not answer this question."


class Composer:
    """Turns checked sentences into events: numbers markers by first appearance, keeps every offset exact, and lets
    nothing pass that would act on a reader (`service.harmless`), whatever the mode.
    """

    def __init__(self, question: Question, sources: Sequence[Result]) -> None:
        self._sources = sources
        self._flagged = question.guardrail == "flagged"
        self._markers: dict[str, int] = {}
        self._linked: frozenset[str] = frozenset()
        self._citations = 0
        self._index = 0
        self._answer = ""
        self._documents: set[str] = set()  # that the last supported sentence cites
        self.supported = 0
        self.withheld = 0
        self._refused = False

    def compose(self, draft: Draft, finding: Finding) -> list[PipelineEvent]:
        """The events of one sentence: itself, or that it was withheld (or both, where it is flagged)."""
        if not draft.claim:
            return []
        self._refused = self._refused or draft.claim.startswith(REFUSAL.rstrip("."))
        finding = self._leaning(draft, finding)
        refused = finding.verdict in ("unsupported", "unchecked")
        reason: Reason = finding.reason or "not_supported"
        if refused and not self._flagged:
            return [self._withheld(draft, reason, finding.score)]
        linked = self._linked.union(
            url for one in finding.supports if (url := self._sources[one.source - 1].document.url) is not None
        )
        written = harmless_block(draft.claim) if is_block(draft.claim) else harmless(draft.claim, linked)
        if acts(self._answer + _laid_out(draft, _with_markers(written, [1] * len(finding.supports))[0]), linked):
            return [self._withheld(draft, "unsafe_markup", finding.score)]
        self._linked = linked
        self.supported += finding.verdict == "supported"
        shown = self._sentence(draft, written, finding)
        return [self._withheld(draft, reason, finding.score, shown, written), shown] if refused else [shown]

    def _leaning(self, draft: Draft, finding: Finding) -> Finding:
        """What was found of a sentence; one whose "It" would stand for something of another document than the sentence
        before it speaks of is fused of both.
        """
        documents = {self._sources[one.source - 1].document.id for one in finding.supports}
        leans = finding.verdict == "supported" and stands_for_another(draft.claim)
        if leans and self._documents and not documents & self._documents:
            return replace(finding, verdict="unsupported", reason="fused_sources", supports=())
        if documents:
            self._documents = documents
        return finding

    def all_withheld(self) -> bool:
        """Whether there were claims, none of them could be shown, and none was that the passages do not answer."""
        return self.withheld > 0 and not self.supported and not self._refused

    def abstain(self) -> list[PipelineEvent]:
        """Say that nothing is answered, after whatever was said."""
        return [abstention_sentence(self._index, len(self._answer))]

    def _withheld(
        self, draft: Draft, reason: Reason, score: float, shown: SentenceEvent | None = None, text: str | None = None
    ) -> WithheldEvent:
        """Of a sentence that is shown all the same, or of one that takes a place of its own."""
        self.withheld += 1
        index = self._index if shown is None else shown.index
        self._index += shown is None
        return WithheldEvent(index=index, reason=reason, score=round(score, 4), chars=len(draft.claim), text=text)

    def _sentence(self, draft: Draft, written: str, finding: Finding) -> SentenceEvent:
        numbers = [self._marker(support.source) for support in finding.supports]
        body, places = _with_markers(written, numbers)
        start = len(self._answer)
        citations = [
            self._citation(support, number, start, len(body), place)
            for support, number, place in zip(finding.supports, numbers, places, strict=True)
        ]
        self._answer += _laid_out(draft, body)
        event = SentenceEvent(
            index=self._index,
            text=self._answer[start:],
            start=start,
            end=len(self._answer),
            verdict=finding.verdict,
            reason=finding.reason,
            citations=citations,
        )
        self._index += 1
        return event

    def _citation(self, support: Support, number: int, start: int, length: int, place: tuple[int, int]) -> Citation:
        self._citations += 1
        result = self._sources[support.source - 1]
        return Citation(
            id=f"c{self._citations}",
            marker=number,
            answer_start=start,
            answer_end=start + length,
            marker_start=start + place[0],
            marker_end=start + place[1],
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

    def _marker(self, source: int) -> int:
        passage = self._sources[source - 1].passage.id
        return self._markers.setdefault(passage, len(self._markers) + 1)


def _laid_out(draft: Draft, body: str) -> str:
    """With the white space that follows it."""
    return body + (draft.after or ("\n" if "\n" in body else " "))


def abstention_sentence(index: int = 0, start: int = 0) -> SentenceEvent:
    """Says that nothing is answered."""
    end = start + len(ABSTENTION_TEXT)
    return SentenceEvent(index=index, text=ABSTENTION_TEXT, start=start, end=end, verdict="no_claim", citations=[])


def _with_markers(claim: str, markers: Sequence[int]) -> tuple[str, list[tuple[int, int]]]:
    """The claim with ` [n]` for each marker put before its last punctuation, and where each marker stands in it."""
    cut = len(claim)
    spans: list[tuple[int, int]] = []
    if claim.rstrip("`~").endswith("\n") or "\n" in claim:  # a block: markers on a line of their own
        text = claim + "\n"
    else:
        while cut > 0 and claim[cut - 1] in ".!?…。！？":  # noqa: RUF001
            cut -= 1
        text = claim[:cut]
    for marker in markers:
        piece = f" [{marker}]" if not text.endswith("\n") else f"[{marker}]"
        begin = len(text) + (1 if piece.startswith(" ") else 0)
        text += piece
        spans.append((begin, len(text)))
    return text + claim[cut:], spans
