"""What Prometheus is told of caches; read when asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from service.cache_counts import CacheCounts

_COUNTED = {
    "hits": "Times that a cache had what was asked for",
    "misses": "Times that it had not",
    "shared": "Requests given what an equal one beside them was being given",
    "evictions": "Entries given up for room",
    "errors": "Times that it could not be asked, or gave what was no entry of it",
}
_HELD = {"entries": "Entries held in this process", "bytes": "Bytes of them"}


class CacheCollector(Collector):
    """The only label is the cache: "vectors", "searches" or "answers".

    Args:
        counts: of each.
    """

    def __init__(self, counts: Sequence[CacheCounts]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        """Every figure as it is now."""
        for name, told in _COUNTED.items():
            counter = CounterMetricFamily(f"footnote_cache_{name}", told, labels=["cache"])
            for one in self._counts:
                counter.add_metric([one.name], getattr(one, name))
            yield counter
        for name, told in _HELD.items():
            gauge = GaugeMetricFamily(f"footnote_cache_{name}", told, labels=["cache"])
            for one in self._counts:
                gauge.add_metric([one.name], getattr(one, name))
            yield gauge
