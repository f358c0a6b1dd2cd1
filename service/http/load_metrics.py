"""What Prometheus is told of load: pools of places, calls to chat models, and kept answers; read when asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from service.adapters.tail import Tail
from service.admission import REFUSALS
from service.http.admission import Pool
from service.http.kept import KeptAnswers

_STATES = ("closed", "half_open", "open")


class LoadCollector(Collector):
    """Labels are pools, the reasons of refusals, and chat models by number and kind ("1:openai"): all few and fixed.

    Args:
        pools: of places.
        tails: of the chat models, in order.
    """

    def __init__(self, pools: Sequence[Pool], tails: Sequence[Tail]) -> None:
        self._pools = pools
        self._tails = {f"{number}:{one.provider}": one for number, one in enumerate(tails, 1)}

    def collect(self) -> Iterator[Metric]:
        """Every figure as it is now."""
        limit = GaugeMetricFamily("footnote_admission_limit", "Requests that may run at once", labels=["pool"])
        running = GaugeMetricFamily("footnote_admission_running", "Requests that run", labels=["pool"])
        waiting = GaugeMetricFamily("footnote_admission_waiting", "Requests that wait for a place", labels=["pool"])
        refused = CounterMetricFamily(
            "footnote_admission_refused", "Requests refused before work was spent on them", labels=["pool", "reason"]
        )
        for pool in self._pools:
            limit.add_metric([pool.name], pool.limit)
            running.add_metric([pool.name], pool.running)
            waiting.add_metric([pool.name], pool.waiting)
            for reason in REFUSALS:
                refused.add_metric([pool.name, reason], pool.refused[reason])
        yield from (limit, running, waiting, refused)
        yield from self._calls()

    def _calls(self) -> Iterator[Metric]:
        state = GaugeMetricFamily("footnote_generator_breaker", "1 for the state it is in", labels=["model", "state"])
        told = {
            "requests": "Requests that came to a call",
            "retries": "Calls made again before their first text",
            "hedges": "Second calls beside one whose first text took long",
            "hedges_won": "Second calls that came first",
            "refused": "Requests for which no call was made",
        }
        families = {
            name: CounterMetricFamily(f"footnote_generator_{name}", text, labels=["model"])
            for name, text in told.items()
        }
        for label, tail in self._tails.items():
            for one in _STATES:
                state.add_metric([label, one], float(tail.breaker.state == one))
            for name, family in families.items():
                family.add_metric([label], getattr(tail.counts, name))
        yield state
        yield from families.values()


class KeptCollector(Collector):
    """Resumable answers: how many are kept, and how large they are."""

    def __init__(self, kept: KeptAnswers) -> None:
        self._kept = kept

    def collect(self) -> Iterator[Metric]:
        """Every figure as it is now."""
        answers = GaugeMetricFamily("footnote_kept_answers", "Resumable answers that are kept", labels=["state"])
        answers.add_metric(["working"], self._kept.working)
        answers.add_metric(["ended"], self._kept.ended)
        yield answers
        yield GaugeMetricFamily("footnote_kept_answer_bytes", "Bytes of their events", value=self._kept.bytes)
