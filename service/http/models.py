"""Request bodies, and the response bodies that belong to HTTP alone. Answers and results are in service/contract.py."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from service.contract import GuardrailMode, Mode
from service.ratings import COMMENT_CHARS_MAX

VECTOR_MAX = 16_384
MESSAGES_MAX = 1_000
TAG = "#"
"""What the tags of a union begin with, which are no part of a place in the body."""


class Body(BaseModel):
    """A request body: unknown fields are refused, "10" is not 10."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Asked(Body):
    """What search and answer have in common."""

    mode: Mode = Field("hybrid", description="which legs to ask; an explicit one never becomes the other")
    top_k: int | None = Field(None, ge=1, le=1000, description="passages wanted; absent: what the service is set to")
    rerank: bool | None = Field(None, description="absent: the service's default")
    filter: dict[str, Any] | None = Field(None, description="metadata filter, applied inside both legs")
    deadline_ms: Annotated[FiniteFloat, Field(gt=0)] | None = Field(
        None, description="milliseconds from receipt; the smaller of this and X-Request-Deadline-Ms counts"
    )


class SearchRequest(Asked):
    """Body of POST /v1/search."""

    query: str = Field(description="at most 64 kB of UTF-8")
    explain: bool = Field(default=False, description="tell how scores come about")
    why: str | None = Field(
        None, min_length=1, max_length=4_096, description="a document's id: explain.why tells what became of it"
    )
    segment_words: int | None = Field(
        None,
        ge=0,
        le=2_000,
        description="merge neighbouring results into segments, each grown to at least so many words; 0: only merge",
    )
    vector: list[FiniteFloat] | None = Field(
        None,
        max_length=VECTOR_MAX,
        fail_fast=True,
        description="the query's vector in the index's space, instead of embedding it",
    )


class Message(Body):
    """One turn of a conversation."""

    role: Literal["user", "assistant", "system"]
    content: str


class AnswerRequest(Asked):
    """Body of POST /v1/answer: exactly one of `query` and `messages`."""

    query: str | None = Field(None, description="at most 64 kB of UTF-8")
    messages: list[Message] | None = Field(
        None,
        min_length=1,
        max_length=MESSAGES_MAX,
        fail_fast=True,
        description="a conversation whose last turn is the user's",
    )
    stream: bool = Field(default=False, description="answer as server-sent events")
    resumable: bool = Field(
        default=False,
        description="with stream: work goes on for a while after a disconnect, and GET /v1/answers/{request_id}/events"
        " with the response's x-resume-token reads on",
    )
    guardrail: GuardrailMode | None = Field(
        None, description="withhold unsupported sentences (verified) or flag them; absent: what the service is set to"
    )


class FeedbackRequest(Body):
    """Body of POST /v1/feedback: what somebody thinks of an answer."""

    request_id: str = Field(min_length=1, max_length=64, description="of the answer")
    rating: Literal["up", "down"]
    comment: str | None = Field(None, max_length=COMMENT_CHARS_MAX, description="in the person's own words")
    sentence_index: int | None = Field(
        None, ge=0, le=100_000, description="the sentence that is meant; absent: the whole answer"
    )


class FeedbackResponse(BaseModel):
    """A rating that was stored."""

    request_id: str
    sentence_index: int | None
    rating: Literal["up", "down"]
    comment: str | None
    rated: str = Field(description="when, in UTC")


class DocumentResponse(BaseModel):
    """One document version with its canonical text, which all offsets refer to."""

    id: str
    version: str
    title: str
    url: str | None
    text: str
    metadata: dict[str, Any]


class SpaceResponse(BaseModel):
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


class VectorIndexResponse(BaseModel):
    """Which vector index was built, and how well it finds what exact search finds."""

    kind: str
    refine_factor: int
    recall_at_10: float
    meets_target: bool


_FALLEN_BACK = "why another generation is served than the one published last; empty while it is that one"


class IndexResponse(BaseModel):
    """What the open snapshot says of itself."""

    generation: int
    name: str
    documents: int
    passages: int
    fingerprint: str
    space: SpaceResponse
    analyzer: str
    recall_at_10: float
    dense_weight: float = Field(description="the dense leg's weight in fusion: as set, as calibrated, or the default")
    created_at: str | None = Field(description="null where the engine does not tell")
    vector_index: VectorIndexResponse | None = Field(description="null where the engine has none of its own")
    degraded: list[str] = Field(description=_FALLEN_BACK)


class ReloadResponse(BaseModel):
    """What a reload came to."""

    generation: int
    reloaded: bool = Field(description="false: what CURRENT names was open already")


class HealthResponse(BaseModel):
    """The process is alive."""

    status: Literal["ok"] = "ok"
    version: str = Field(description="of the program")


class ReadyResponse(BaseModel):
    """A snapshot is open and warm."""

    status: Literal["ready"] = "ready"
    generation: int
    degraded: list[str] = Field(description=_FALLEN_BACK)


class ModelCard(BaseModel):
    """A name under which the index is asked, as OpenAI lists models."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="Unix seconds when the snapshot was made; 0 where the engine does not tell")
    owned_by: Literal["footnote"] = "footnote"


class ModelList(BaseModel):
    """The names under which the index is asked."""

    object: Literal["list"] = "list"
    data: list[ModelCard]
