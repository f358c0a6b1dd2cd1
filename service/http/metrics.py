"""What Prometheus is told: one registry for each application, every label from a small fixed set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from service.budget import Deadline
from service.contract import AnswerResponse, StageReport
from service.holder import EngineHolder
from service.http.shared_metrics import DEATHS, DEATHS_HELP, Shared

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_METHODS = frozenset({"GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"})
STAGES = frozenset(
    {
        "queue",
        "cache",
        "shared",
        "condense",
        "embed",
        "dense",
        "lexical",
        "fuse",
        "rerank",
        "passages",
        "segments",
        "explain",
        "evidence",
        "generate",
        "ground",
    }
)


class _State(Collector):
    """What the process is, read when asked."""

    def __init__(self, holder: EngineHolder, fallen_back: Callable[[], bool]) -> None:
        self._holder = holder
        self._fallen_back = fallen_back

    def collect(self) -> Iterator[Metric]:
        """Every figure as it is now."""
        told: list[tuple[str, str, float]] = [
            ("footnote_snapshot_generation", "Generation that is served; 0: none", self._holder.generation or 0),
            ("footnote_ready", "1 while a snapshot is open and warm", self._holder.ready),
            (
                "footnote_snapshot_fallback",
                "1 while another generation is served than the one published last",
                self._fallen_back(),
            ),
            ("footnote_workers", "Processes that serve", 1),
        ]
        for name, text, value in told:
            yield GaugeMetricFamily(name, text, value=float(value))
        yield CounterMetricFamily(DEATHS, DEATHS_HELP, value=0)


class Metrics:
    """Counts requests, stages, degradations and answers; reads generation and readiness when asked.

    In a worker among several, all of them count in files that they share, and each shows the totals.

    Args:
        holder: whose generation and readiness are shown.
        fallen_back: whether another generation is served than the one published last.
        others: what else is read when asked.
    """

    def __init__(
        self, holder: EngineHolder, fallen_back: Callable[[], bool] = lambda: False, others: Iterable[Collector] = ()
    ) -> None:
        self._registry = registry = CollectorRegistry()
        read = [_State(holder, fallen_back), *others, ProcessCollector(registry=None)]
        for one in read:
            registry.register(one)
        self.shared = Shared.of_environment(read)
        self._requests = Counter(
            "footnote_http_requests", "Requests answered", ["method", "route", "status"], registry=registry
        )
        self._request_seconds = Histogram(
            "footnote_http_request_seconds",
            "From receipt to the response's last byte",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._stage_seconds = Histogram(
            "footnote_stage_seconds", "What a stage took", ["stage", "outcome"], buckets=_SECONDS, registry=registry
        )
        self._degradations = Counter("footnote_degradations", "Stages that fell back", ["stage"], registry=registry)
        self._answers = Counter("footnote_answers", "Answers given", ["verdict", "finish_reason"], registry=registry)
        self._withheld = Counter("footnote_withheld_sentences", "Sentences withheld", ["reason"], registry=registry)
        self._overruns = Counter(
            "footnote_stage_overruns", "Stages that took longer than they were given", ["stage"], registry=registry
        )
        self._first_sentence_seconds = Histogram(
            "footnote_first_sentence_seconds",
            "From receipt to the first sentence of an answer that was checked and may leave",
            buckets=_SECONDS,
            registry=registry,
        )
        self._tokens = Counter("footnote_generator_tokens", "Tokens of chat models", ["kind"], registry=registry)
        self._cost = Counter("footnote_generator_cost_usd", "US dollars, for models with a price", registry=registry)
        self._call_seconds = Histogram(
            "footnote_generator_call_seconds",
            "What one call to a chat model took; its outcome is ok, left (nobody wanted it any more) or the failure",
            ["model", "outcome"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._first_text_seconds = Histogram(
            "footnote_generator_first_text_seconds",
            "From the beginning of a call to a chat model's first text",
            ["model"],
            buckets=_SECONDS,
            registry=registry,
        )

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered; `route` is a path template."""
        self._requests.labels(known_method(method), route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def stages(self, reports: Iterable[StageReport], degraded: Iterable[str]) -> None:
        """What the stages of one question took, and which fell back ("rerank: 20 of 50 candidates scored")."""
        for report in reports:
            self._stage_seconds.labels(known_stage(report.name), report.outcome).observe(report.took_ms / 1000)
            if report.outcome == "timeout":
                self._overruns.labels(known_stage(report.name)).inc()
        for message in degraded:
            self._degradations.labels(known_stage(message.partition(":")[0])).inc()

    @contextmanager
    def counted(self, deadline: Deadline) -> Iterator[None]:
        """Where the block is cut short, what its stages took until then counts; else the response tells."""
        try:
            yield
        except BaseException:
            self.stages(deadline.report(), ())
            raise

    def answered(self, response: AnswerResponse) -> None:
        """An answer is complete."""
        self.stages(response.stages, response.degraded)
        self._answers.labels(response.verdict, response.finish_reason).inc()
        for withheld in response.withheld:
            self._withheld.labels(withheld.reason).inc()
        used = response.usage
        for kind, tokens in (("prompt", used.prompt_tokens), ("completion", used.completion_tokens)):
            self._tokens.labels(kind).inc(tokens)
        self._cost.inc(used.cost_usd or 0.0)

    def first_sentence(self, seconds: float) -> None:
        """An answer has its first sentence."""
        self._first_sentence_seconds.observe(seconds)

    def called(self, model: str, outcome: str, seconds: float, first_text_s: float | None) -> None:
        """A call to a chat model ended; `model` is its number and kind, "1:openai"."""
        self._call_seconds.labels(model, outcome).observe(seconds)
        if first_text_s is not None:
            self._first_text_seconds.labels(model).observe(first_text_s)

    def render(self) -> bytes:
        """The text that Prometheus reads. Blocking."""
        return generate_latest(self._registry) if self.shared is None else self.shared.render()


def known_method(method: str) -> str:
    """A request's method, "other" for one that nobody serves."""
    return method if method in _METHODS else "other"


def known_stage(name: str) -> str:
    """A stage's name, "other" for one that is not known: labels are few."""
    return name if name in STAGES else "other"
