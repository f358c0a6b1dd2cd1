"""What Prometheus is told: one registry for each application, every label from a small fixed set."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from service.contract import AnswerResponse, StageReport
from service.holder import EngineHolder

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


class Metrics:
    """Counts requests, stages, degradations and answers; reads generation and readiness when asked.

    Args:
        holder: whose generation and readiness are shown.
        fallen_back: whether another generation is served than the one published last.
        others: what else is read when asked.
    """

    def __init__(
        self, holder: EngineHolder, fallen_back: Callable[[], bool] = lambda: False, others: Iterable[Collector] = ()
    ) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        for one in others:
            registry.register(one)
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
        generation = Gauge("footnote_snapshot_generation", "Generation that is served; 0: none", registry=registry)
        generation.set_function(lambda: holder.generation or 0)
        ready = Gauge("footnote_ready", "1 while a snapshot is open and warm", registry=registry)
        ready.set_function(lambda: float(holder.ready))
        fallback = Gauge(
            "footnote_snapshot_fallback",
            "1 while another generation is served than the one published last",
            registry=registry,
        )
        fallback.set_function(lambda: float(fallen_back()))

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered; `route` is a path template."""
        self._requests.labels(method if method in _METHODS else "other", route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def stages(self, reports: Iterable[StageReport], degraded: Iterable[str]) -> None:
        """What the stages of one question took, and which fell back ("rerank: 20 of 50 candidates scored")."""
        for report in reports:
            self._stage_seconds.labels(_stage(report.name), report.outcome).observe(report.took_ms / 1000)
        for message in degraded:
            self._degradations.labels(_stage(message.partition(":")[0])).inc()

    def answered(self, response: AnswerResponse) -> None:
        """An answer is complete."""
        self.stages(response.stages, response.degraded)
        self._answers.labels(response.verdict, response.finish_reason).inc()
        for withheld in response.withheld:
            self._withheld.labels(withheld.reason).inc()

    def render(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self._registry)


def _stage(name: str) -> str:
    return name if name in STAGES else "other"
