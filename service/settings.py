"""Settings of the online service. Times in milliseconds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from service.adapters.grammar import GrammarKind
from service.adapters.priced import Price
from service.budget import Budgets
from service.contract import GuardrailMode
from store.embedding import Precision
from store.settings import IndexSettings

Milliseconds = Annotated[float, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0)]


class Fallback(BaseModel):
    """A chat model that stands in for the one before; its fields are those of `generator` and what belongs to it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    generator: Literal["openai", "anthropic", "scripted"]
    model: str | None = None
    base_url: str | None = None
    api_key: SecretStr | None = None
    grammar: GrammarKind = "none"
    script: Path | None = None


class ServiceSettings(IndexSettings):
    """Everything the service can be told."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 picks a free one")
    workers: int = Field(1, ge=1, description="worker processes")
    fd: int | None = Field(
        None, ge=0, description="a listening socket that was inherited, by its number; host and port are its own then"
    )
    drain_grace_ms: float = Field(
        2_000,
        ge=0,
        description="after SIGTERM: how long new requests are still answered while /readyz says 503, so that a load"
        " balancer notices",
    )
    drain_limit_ms: float = Field(
        25_000, ge=0, description="after that: how long running requests and streams may take to finish"
    )
    public_url: str | None = Field(
        None, description="the address links are made with; absent: what the request came to"
    )
    allowed_hosts: list[str] = Field(
        ["127.0.0.1", "localhost", "[::1]", "testserver"],
        description="Host headers answered; ['*'] answers any. The public URL's host is always among them",
    )
    allowed_origins: list[str] = Field([], description="CORS origins that may call the API")
    trusted_proxies: list[str] = Field([], description="addresses whose X-Forwarded-* headers are believed")
    body_bytes_max: int = Field(1_000_000, gt=0, description="largest request body")
    connections_max: int = Field(
        4_096, ge=1, description="open connections; beyond it whoever waited longest without a request is hung up on"
    )
    keep_alive_ms: Milliseconds = Field(5_000, description="longest silence of a connection between two requests")
    request_head_ms: Milliseconds = Field(
        10_000, description="longest wait for a request's headers, from the connection or their first byte"
    )
    client_stall_ms: Milliseconds = Field(
        60_000, description="a client that takes nothing of what is sent for so long is hung up on"
    )
    query_bytes_max: int = Field(64_000, gt=0, description="longest query, in bytes of UTF-8")
    top_k: int = Field(10, ge=1, le=1000, description="passages returned by default")
    dense_weight: float | None = Field(
        None, ge=0, le=1, description="the dense leg's weight in fusion; absent: as calibrated for the index, else 0.8"
    )
    dense_feedback: float = Field(
        0.2,
        ge=0,
        lt=1,
        description="share of the best passages' vectors in the question's for a second look; 0: none",
    )
    lexical_feedback: bool = Field(
        default=False, description="add telling terms of the best passages for a second look (RM3)"
    )
    answer_passages: int = Field(5, ge=1, le=50, description="passages an answer may draw on")
    document_passages: int = Field(
        3, ge=1, le=50, description="of these, one document's at most while other documents have something"
    )
    guardrail: GuardrailMode = Field("verified", description="withhold unsupported sentences, or flag them")
    quote_when_withheld: bool = Field(
        default=False,
        description="where nothing that a chat model wrote could be verified, answer with sentences of the passages"
        " instead of abstaining; not where it said itself that they do not answer",
    )
    rerank: bool = Field(default=False, description="rerank by default; needs a reranker")
    rerank_depth: int = Field(50, ge=1, le=100, description="candidates that are reranked at most")
    rerank_weight: float = Field(
        0.5, ge=0, le=1, description="the reranker's weight in the final score; the fused score has the rest"
    )
    reranker: Path | None = Field(
        None, description="folder of an exported cross-encoder (footnote export-reranker); used where rerank is on"
    )
    generator: Literal["extractive", "openai", "anthropic", "scripted"] = Field(
        "extractive",
        description="what writes answers: sentences of the passages, or a chat model, for which the first stands in"
        " where it fails before its first word",
    )
    generator_model: str | None = Field(None, description="the chat model's name at its provider")
    generator_base_url: str | None = Field(
        None, description="where the provider is; absent: its own address. Any server that speaks OpenAI's API does"
    )
    generator_api_key: SecretStr | None = Field(
        None, description="the provider's key; absent: OPENAI_API_KEY or ANTHROPIC_API_KEY"
    )
    generator_grammar: GrammarKind = Field(
        "none", description="what the chat model's server holds it to: nothing, a gbnf grammar, or a json_schema"
    )
    generator_script: Path | None = Field(None, description="replies of the scripted chat model, JSON lines")
    generator_fallbacks: list[Fallback] = Field(
        [],
        description="chat models that stand in, in order, before sentences of the passages do:"
        ' [{"generator": "anthropic", "model": "MODEL"}], also with base_url, api_key, grammar, script',
    )
    generator_tokens_max: int = Field(800, ge=16, description="tokens that a chat model may write for an answer")
    generator_connect_ms: Milliseconds = Field(2_000, description="longest wait for a connection to a chat model")
    generator_first_text_ms: Milliseconds | None = Field(
        None,
        description="longest wait for a chat model's first text, retries included; absent, and at most where budgets"
        " are enforced: an equal share of first_sentence_budget_ms for each chat model",
    )
    generator_total_ms: Milliseconds | None = Field(
        None, description="longest call of a chat model; absent: answer_budget_ms, where budgets are enforced"
    )
    generator_retries: int = Field(
        1, ge=0, le=5, description="times that a chat model is asked again before its first text; never after it"
    )
    generator_retry_share: float = Field(0.1, ge=0, le=1, description="share of the requests that may be retried")
    generator_hedge: bool = Field(
        default=False,
        description="ask a chat model a second time beside a call whose first text takes unusually long, and read what"
        " comes first",
    )
    generator_hedge_share: float = Field(0.05, gt=0, le=0.05, description="share of the requests that may be hedged")
    generator_breaker_failures: int = Field(
        5, ge=1, description="failures in a row after which a chat model is left alone for a while"
    )
    generator_breaker_open_ms: Milliseconds = Field(
        2_000, description="how long it is left alone before one request tries it again"
    )
    generator_between_ms: Milliseconds = Field(10_000, description="longest silence within a chat model's answer")
    generator_prices: dict[str, Price] = Field(
        {}, description='US dollars a million tokens: {"MODEL": {"prompt": 0.5, "completion": 1.5}}'
    )
    verifier: Literal["bundled", "none"] | Path = Field(
        "bundled",
        description="the learned support scorer: the one that comes with Footnote, none (words and hard facts alone"
        " decide), or the folder of one (footnote train verifier)",
    )
    abstain_below: float | None = Field(
        None,
        ge=0,
        le=1,
        description="answer only if the estimated probability of sufficient evidence reaches this; absent: as"
        " calibrated for the index, else 0.5",
    )
    encoder_threads: int = Field(2, ge=1, description="ONNX Runtime threads for one batch of questions")
    inference_threads: int = Field(2, ge=1, description="batches of questions embedded at once")
    vector_cache_entries: int = Field(
        2_000, ge=0, description="vectors of questions that are kept, about 2 kB each; 0 embeds each question anew"
    )
    query_precision: Precision | None = Field(
        None,
        description="weights that questions are embedded with; int8 is quicker on a CPU with int8 dot products (VNNI)"
        " and refused where its vectors differ from the model's; absent: int8 where the CPU has them and the index"
        " admits it, else fp32",
    )
    cache_searches: bool = Field(
        default=False, description="keep whole, undegraded responses of /v1/search for equal requests"
    )
    cache_answers: Literal["none", "deterministic", "all"] = Field(
        "none",
        description="keep whole, undegraded answers for equal requests: none, those of the extractive generator, or a"
        " chat model's too, which would write another each time",
    )
    cache_entries: int = Field(10_000, ge=1, description="responses of each kind kept in a process")
    cache_bytes: int = Field(64_000_000, ge=1, description="bytes of responses of each kind kept in a process")
    cache_seconds: Seconds = Field(300, description="how long a response is kept at most, wherever it lies")
    redis_url: SecretStr | None = Field(
        None, description="a Redis that the workers share, redis://HOST:6379/0; absent: each keeps its own"
    )
    redis_budget_ms: Milliseconds = Field(20, description="longest wait for Redis; longer is a miss")
    search_concurrency_max: int = Field(32, ge=1, description="searches at once at most; fewer as they take longer")
    answer_concurrency_max: int = Field(
        64, ge=1, description="answers at once at most; without a chat model fewer as they take longer"
    )
    admission_queue_max: int = Field(64, ge=0, description="requests of each kind that may wait for their turn")
    admission_wait_ms: Milliseconds = Field(
        100,
        description="in a burst, whoever would wait longer for a turn is refused at once, and whoever does wait after"
        " twice as long",
    )
    admission_standing_ms: Milliseconds = Field(
        20, description="as admission_wait_ms, while the queue has not been empty for that long"
    )
    resume_grace_ms: Annotated[float, Field(ge=1_000)] = Field(
        30_000, description="longest work on a resumable answer while nobody reads it"
    )
    resume_kept_ms: Annotated[float, Field(ge=1_000)] = Field(
        60_000, description="how long a resumable answer can be read after its end"
    )
    resume_answers_max: int = Field(256, ge=1, description="resumable answers kept at once, in one worker")
    resume_bytes_max: int = Field(64_000_000, ge=100_000, description="bytes of their events, of all together")
    executor_threads: int = Field(4, ge=1, description="threads for retrieval and inference")
    reload_poll_ms: Milliseconds = Field(1_000, description="how often CURRENT is looked at")
    budgets: bool = Field(default=True, description="enforce the stage budgets")
    condense_with_model: bool = Field(
        default=True,
        description="let the chat model rewrite a follow-up question that rules cannot make stand for itself",
    )
    condense_budget_ms: Milliseconds | None = 1_000
    embed_budget_ms: Milliseconds | None = 50
    dense_budget_ms: Milliseconds | None = 50
    lexical_budget_ms: Milliseconds | None = 50
    fuse_budget_ms: Milliseconds | None = 5
    rerank_budget_ms: Milliseconds | None = 200
    first_sentence_budget_ms: Milliseconds | None = 5_000
    answer_budget_ms: Milliseconds | None = 30_000
    ground_budget_ms: Milliseconds | None = 100
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "warning", description="info: one line a request, without the question's text"
    )
    log_format: Literal["text", "json"] = Field("text", description="how log lines look: text, or an object a line")
    log_queries: bool = Field(
        default=False,
        description="log what was asked, and what exceptions say in their own words, which may repeat it",
    )
    otel: bool = Field(
        default=False,
        description="send traces to an OpenTelemetry collector; where it is, and what is sampled, say the standard"
        " OTEL_... variables. Needs footnote[otel]",
    )
    otel_content: bool = Field(default=False, description="put what was asked into traces")
    example_question: str | None = Field(None, description="the question printed at start; absent: one about a title")
    feedback: Literal["beside-index", "none"] | Path = Field(
        "beside-index",
        description="the SQLite file that ratings are kept in; beside-index: INDEX-feedback.sqlite beside the index"
        " folder; none: nothing can be rated, and nothing is remembered",
    )
    feedback_answers_max: int = Field(
        1_000, ge=1, description="answers that are remembered, for a day at most, so that they can be rated"
    )
    feedback_ratings_max: int = Field(100_000, ge=1, description="ratings that are kept; no more are taken then")
    admin_token: Annotated[SecretStr, Field(min_length=1)] | None = Field(
        None, description="bearer token that /v1/index/reload asks for, if set"
    )

    def without_caches(self) -> Self:
        """The same, and every request is worked on: for whoever measures, or asks once."""
        return self.model_copy(
            update={"vector_cache_entries": 0, "cache_searches": False, "cache_answers": "none", "redis_url": None}
        )

    @property
    def feedback_file(self) -> Path | None:
        """Where ratings are kept; None where they are not."""
        if self.feedback == "none":
            return None
        if self.feedback == "beside-index":
            return self.index.with_name(f"{self.index.name}-feedback.sqlite")
        assert isinstance(self.feedback, Path)
        return self.feedback

    def stage_budgets(self) -> Budgets:
        """The stage budgets, or none at all."""
        if not self.budgets:
            return Budgets.lifted()
        return Budgets(
            embed_ms=self.embed_budget_ms,
            dense_ms=self.dense_budget_ms,
            lexical_ms=self.lexical_budget_ms,
            fuse_ms=self.fuse_budget_ms,
            rerank_ms=self.rerank_budget_ms,
            first_sentence_ms=self.first_sentence_budget_ms,
            total_ms=self.answer_budget_ms,
            ground_ms=self.ground_budget_ms,
            condense_ms=self.condense_budget_ms,
        )
