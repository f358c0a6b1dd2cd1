"""What the service answers with, as plain dictionaries. Made from docs/openapi.json by generate.py."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

FinishReason = Literal["stop", "length", "deadline", "provider_error", "cancelled", "abstained"]

Guardrail = Literal["verified", "flagged"]

Outcome = Literal["ok", "degraded", "skipped", "timeout", "failed"]

Reason = Literal["no_results", "insufficient_evidence", "nothing_supported"]

Role = Literal["user", "assistant", "system"]

SentenceEventReason = Literal[
    "no_words",
    "heading",
    "introduction",
    "unknown_marker",
    "no_citation",
    "not_supported",
    "number_mismatch",
    "unit_mismatch",
    "date_mismatch",
    "name_mismatch",
    "negation_mismatch",
    "opposite_mismatch",
    "modality_mismatch",
    "scope_mismatch",
    "order_mismatch",
    "symbol_mismatch",
    "quote_not_exact",
    "fused_sources",
    "code_not_exact",
    "unsafe_markup",
    "too_long",
    "unchecked",
]

SentenceEventVerdict = Literal["supported", "unsupported", "unchecked", "no_claim"]

Verdict = Literal["grounded", "partial", "abstained"]


class Abstention(TypedDict):
    """Why nothing was answered."""

    reason: Reason
    score: float | None


class AnswerResponse(TypedDict):
    """The answer to POST /v1/answer: a fold over its events."""

    request_id: str
    generation: int
    query_used: str
    answer: str
    verdict: Verdict
    finish_reason: FinishReason
    abstention: Abstention | None
    sentences: list[SentenceRecord]
    citations: list[Citation]
    sources: list[Result]
    withheld: list[Withheld]
    usage: Usage
    stages: list[StageReport]
    degraded: list[str]


class Checks(TypedDict):
    """What was checked of a citation before its sentence left."""

    known: bool
    exact: bool
    supported: bool


class Citation(TypedDict):
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
    url: str | None
    page: int | None
    passage_id: str
    quote: str
    source_start: int
    source_end: int
    support: float
    checks: Checks


class DegradedEvent(TypedDict):
    """A stage fell back."""

    message: str


class DocumentHeaderModel(TypedDict):
    """A document without its text."""

    id: str
    version: str
    title: str
    url: str | None
    metadata: dict[str, Any]


class DocumentResponse(TypedDict):
    """One document version with its canonical text, which all offsets refer to."""

    id: str
    version: str
    title: str
    url: str | None
    text: str
    metadata: dict[str, Any]


class FieldError(TypedDict):
    """What is wrong with one part of the request."""

    loc: list[str | int]
    msg: str


class IndexResponse(TypedDict):
    """What the open snapshot says of itself."""

    generation: int
    name: str
    documents: int
    passages: int
    fingerprint: str
    space: SpaceResponse
    analyzer: str
    recall_at_10: float
    dense_weight: float
    created_at: str | None
    vector_index: VectorIndexResponse | None
    degraded: list[str]


class Message(TypedDict):
    """One turn of a conversation."""

    role: Role
    content: str


class MetaEvent(TypedDict):
    """First event: who answers, from what."""

    request_id: str
    generation: int
    query_used: str
    guardrail: Guardrail
    model: str


class PassageModel(TypedDict):
    """A span of a document: text == canonical[start:end]."""

    id: str
    document_id: str
    text: str
    start: int
    end: int
    page: int | None
    section: list[str]


class Problem(TypedDict):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: NotRequired[list[FieldError]]


class ReadyResponse(TypedDict):
    """A snapshot is open and warm."""

    status: str
    generation: int
    degraded: list[str]


class Result(TypedDict):
    """One ranked passage."""

    rank: int
    score: float
    scores: Scores
    passage: PassageModel
    document: DocumentHeaderModel
    segment: Segment | None


class Scores(TypedDict):
    """A result's score in each stage that scored it."""

    dense: float | None
    lexical: float | None
    fused: float
    rerank: float | None


class SearchResponse(TypedDict):
    """The answer to POST /v1/search."""

    request_id: str
    generation: int
    results: list[Result]
    stages: list[StageReport]
    degraded: list[str]
    empty_because: str | None
    explain: dict[str, Any] | None


class Segment(TypedDict):
    """A stretch of a document around passages that were found in it: text == canonical[start:end]."""

    text: str
    start: int
    end: int
    passage_ids: list[str]


class SentenceEvent(TypedDict):
    """A checked sentence. Texts joined in order are the answer."""

    index: int
    text: str
    start: int
    end: int
    verdict: SentenceEventVerdict
    reason: SentenceEventReason | None
    citations: list[Citation]


class SentenceRecord(TypedDict):
    """A sentence of the answer and what was found about it: answer[start:end] is its text, separator included."""

    index: int
    start: int
    end: int
    verdict: SentenceEventVerdict
    reason: SentenceEventReason | None
    citations: list[str]


class SourcesEvent(TypedDict):
    """The passages that the answer may draw on."""

    sources: list[Result]


class SpaceResponse(TypedDict):
    """The embedding space of the vectors."""

    fingerprint: str
    model: str
    weights_sha256: str
    tokenizer_sha256: str
    pooling: str
    dimension: int
    normalised: bool
    max_tokens: int
    query_prefix: str
    document_prefix: str


class StageReport(TypedDict):
    """What one stage was given, took, and came to."""

    name: str
    budget_ms: float | None
    took_ms: float
    outcome: Outcome


class Usage(TypedDict):
    """What the generator used."""

    provider: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None


class VectorIndexResponse(TypedDict):
    """Which vector index was built, and how well it finds what exact search finds."""

    kind: str
    refine_factor: int
    recall_at_10: float
    meets_target: bool


class Withheld(TypedDict):
    """A sentence that did not leave (or, with guardrail `flagged`, left marked: then with its text)."""

    index: int
    reason: SentenceEventReason
    score: float | None
    chars: int
    text: str | None


class WithheldEvent(TypedDict):
    """A sentence was withheld (or flagged)."""

    index: int
    reason: SentenceEventReason
    score: float | None
    chars: int
    text: str | None
