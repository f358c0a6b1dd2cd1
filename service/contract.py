"""What leaves the service, in every format: the models of the HTTP contract and the events that answers are made of.

Times are milliseconds. Offsets are Unicode code points, half-open. Every wire format is a fold over these events.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.harmless import linkable
from store.passages import StoredPassage

Mode = Literal["hybrid", "dense", "lexical"]
StageOutcome = Literal["ok", "degraded", "skipped", "timeout", "failed"]
SentenceVerdict = Literal["supported", "unsupported", "unchecked", "no_claim"]
AnswerVerdict = Literal["grounded", "partial", "abstained"]
FinishReason = Literal["stop", "length", "deadline", "provider_error", "cancelled", "abstained"]
GuardrailMode = Literal["verified", "flagged"]
Reason = Literal[
    "no_words",  # no claim: no letter, no digit
    "heading",  # no claim: a heading of framing words
    "introduction",  # no claim: framing words before a list or an answer, ending in a colon
    "unknown_marker",  # the sentence cites a passage that was not sent
    "no_citation",  # it makes a claim and cites nothing that supports it
    "not_supported",  # the cited passage does not support it
    "number_mismatch",  # a number in it is not in the cited passage
    "unit_mismatch",  # a number in it has another unit there
    "date_mismatch",  # a month or weekday in it is not there
    "name_mismatch",  # a name in it is not there
    "negation_mismatch",  # it negates what the passage affirms, or the other way round
    "opposite_mismatch",  # it says increase where the passage says decrease
    "modality_mismatch",  # it says must where the passage says should, or is sure where the passage is not
    "scope_mismatch",  # it says all where the passage does not, or leaves out that it is only some
    "order_mismatch",  # what stands before and after a word there changed places: who does what to whom
    "symbol_mismatch",  # a sign in it (of a number, an operator, an option, a picture) is not there
    "quote_not_exact",  # what it puts in quotation marks is not a part of the cited passage
    "fused_sources",  # a word in it comes from elsewhere than the sentence that says the rest
    "code_not_exact",  # a code block is not an exact part of the cited passage
    "unsafe_markup",  # it would show an image, run HTML, or link elsewhere than to a cited source
    "too_long",  # it is longer than any passage
    "unchecked",  # the check did not end within its budget
]


class Model(BaseModel):
    """Frozen; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Scores(Model):
    """A result's score in each stage that scored it."""

    dense: float | None = Field(None, description="cosine similarity")
    lexical: float | None = Field(None, description="BM25")
    fused: float = Field(description="the fused score, 0 to 1")
    rerank: float | None = Field(None, description="the reranker's own, on a scale of its own; null: not reached")


class PassageModel(Model):
    """A span of a document: text == canonical[start:end]."""

    id: str
    document_id: str
    text: str
    start: int
    end: int
    page: int | None = None
    section: list[str] = Field(description="titles of the enclosing headings, outermost first")


class DocumentHeaderModel(Model):
    """A document without its text."""

    id: str
    version: str
    title: str
    url: str | None = None
    metadata: dict[str, Any]


class Segment(Model):
    """A stretch of a document around passages that were found in it: text == canonical[start:end]."""

    text: str
    start: int
    end: int
    passage_ids: list[str] = Field(description="the passages found in it, best first")


class Result(Model):
    """One ranked passage."""

    rank: int
    score: float = Field(description="what results are ordered by: the fused score, blended with the reranker's")
    scores: Scores
    passage: PassageModel
    document: DocumentHeaderModel
    segment: Segment | None = Field(None, description="only where segments were asked for")


class StageReport(Model):
    """What one stage was given, took, and came to."""

    name: str
    budget_ms: float | None = Field(description="null when budgets are lifted")
    took_ms: float
    outcome: StageOutcome


class SearchResponse(Model):
    """The answer to POST /v1/search."""

    request_id: str
    generation: int
    results: list[Result]
    stages: list[StageReport]
    degraded: list[str]
    empty_because: str | None = Field(None, description="where there is no result: why")
    explain: dict[str, Any] | None = None


class Checks(Model):
    """What was checked of a citation before its sentence left."""

    known: bool
    exact: bool
    supported: bool


class Citation(Model):
    """A pointer from a span of the answer to an exact quote: canonical[source_start:source_end] == quote."""

    id: str
    marker: int
    answer_start: int
    answer_end: int
    marker_start: int
    marker_end: int
    document_id: str
    document_version: str
    title: str
    url: str | None = None
    page: int | None = None
    passage_id: str
    quote: str
    source_start: int
    source_end: int
    support: float
    checks: Checks


class SentenceRecord(Model):
    """A sentence of the answer and what was found about it: answer[start:end] is its text, separator included."""

    index: int
    start: int
    end: int
    verdict: SentenceVerdict
    reason: Reason | None = None
    citations: list[str]


class Withheld(Model):
    """A sentence that did not leave (or, with guardrail `flagged`, left marked: then with its text)."""

    index: int
    reason: Reason
    score: float | None = None
    chars: int
    text: str | None = None


class Abstention(Model):
    """Why nothing was answered."""

    reason: Literal["no_results", "insufficient_evidence", "nothing_supported"]
    score: float | None = None


class Usage(Model):
    """What the generator used."""

    provider: str
    model: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None


class AnswerResponse(Model):
    """The answer to POST /v1/answer: a fold over its events."""

    request_id: str
    generation: int
    query_used: str
    answer: str
    verdict: AnswerVerdict
    finish_reason: FinishReason
    abstention: Abstention | None = None
    sentences: list[SentenceRecord]
    citations: list[Citation]
    sources: list[Result]
    withheld: list[Withheld]
    usage: Usage
    stages: list[StageReport]
    degraded: list[str]


class MetaEvent(Model):
    """First event: who answers, from what."""

    type: Literal["meta"] = "meta"
    request_id: str
    generation: int
    query_used: str
    guardrail: GuardrailMode
    model: str


class SourcesEvent(Model):
    """The passages that the answer may draw on."""

    type: Literal["sources"] = "sources"
    sources: list[Result]


class SentenceEvent(Model):
    """A checked sentence. Texts joined in order are the answer."""

    type: Literal["sentence"] = "sentence"
    index: int
    text: str
    start: int
    end: int
    verdict: SentenceVerdict
    reason: Reason | None = None
    citations: list[Citation]


class WithheldEvent(Withheld):
    """A sentence was withheld (or flagged)."""

    type: Literal["withheld"] = "withheld"


class DegradedEvent(Model):
    """A stage fell back."""

    type: Literal["degraded"] = "degraded"
    message: str


class FinishEvent(Model):
    """Internal last word of the pipeline: what the fold needs beyond the events before it. Never on the wire."""

    type: Literal["finish"] = "finish"
    finish_reason: FinishReason
    abstention: Abstention | None = None
    usage: Usage
    stages: list[StageReport]


class DoneEvent(Model):
    """Terminal event: the whole JSON response."""

    type: Literal["done"] = "done"
    response: AnswerResponse


PipelineEvent = MetaEvent | SourcesEvent | SentenceEvent | WithheldEvent | DegradedEvent | FinishEvent
WireEvent = Annotated[
    MetaEvent | SourcesEvent | SentenceEvent | WithheldEvent | DegradedEvent | DoneEvent, Field(discriminator="type")
]


def fold(events: Iterable[PipelineEvent]) -> AnswerResponse:
    """The JSON response of a complete series of events (meta first, finish last)."""
    meta: MetaEvent | None = None
    finish: FinishEvent | None = None
    sources: list[Result] = []
    sentences: list[SentenceEvent] = []
    withheld: list[Withheld] = []
    degraded: list[str] = []
    for event in events:
        match event:
            case MetaEvent():
                meta = event
            case SourcesEvent():
                sources = event.sources
            case SentenceEvent():
                sentences.append(event)
            case WithheldEvent():
                withheld.append(Withheld.model_validate(event.model_dump(exclude={"type"})))
            case DegradedEvent():
                degraded.append(event.message)
            case FinishEvent():
                finish = event
    if meta is None or finish is None:
        raise ValueError("a series of events begins with meta and ends with finish")
    return AnswerResponse(
        request_id=meta.request_id,
        generation=meta.generation,
        query_used=meta.query_used,
        answer="".join(sentence.text for sentence in sentences),
        verdict=_verdict(sentences, withheld, finish),
        finish_reason=finish.finish_reason,
        abstention=finish.abstention,
        sentences=[
            SentenceRecord(
                index=one.index,
                start=one.start,
                end=one.end,
                verdict=one.verdict,
                reason=one.reason,
                citations=[citation.id for citation in one.citations],
            )
            for one in sentences
        ],
        citations=[citation for one in sentences for citation in one.citations],
        sources=sources,
        withheld=withheld,
        usage=finish.usage,
        stages=finish.stages,
        degraded=degraded,
    )


def _verdict(sentences: list[SentenceEvent], withheld: list[Withheld], finish: FinishEvent) -> AnswerVerdict:
    """Abstained without a supported sentence; partial if anything was withheld, flagged or cut short; else grounded."""
    if finish.abstention is not None or not any(one.verdict == "supported" for one in sentences):
        return "abstained"
    whole = finish.finish_reason == "stop" and all(one.verdict in ("supported", "no_claim") for one in sentences)
    return "grounded" if whole and not withheld else "partial"


def result_of(rank: int, score: float, scores: Scores, stored: StoredPassage) -> Result:
    """A ranked passage as it leaves."""
    passage, header = stored.passage, stored.document
    return Result(
        rank=rank,
        score=score,
        scores=scores,
        passage=PassageModel(
            id=passage.id,
            document_id=passage.document_id,
            text=passage.text,
            start=passage.start,
            end=passage.end,
            page=passage.page,
            section=list(passage.section),
        ),
        document=DocumentHeaderModel(
            id=header.id,
            version=header.version,
            title=header.title,
            url=linkable(header.url),
            metadata=dict(header.metadata),
        ),
    )
