"""How many requests may run at once, how long one may wait for its turn, and which is refused: no I/O, no waiting."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import median
from typing import Literal

Refusal = Literal["full", "slow", "waited", "late", "abandoned"]
"""Why no work is spent on a request: the queue is full; its turn would not come soon enough; it did not come, against
expectation; the request's own deadline has passed; its client left.
"""
REFUSALS: tuple[Refusal, ...] = ("full", "slow", "waited", "late", "abandoned")

_HEADROOM = 1.2
_WINDOW = 20
_BASE_WINDOW = 10
_UNLOADED = 2
_PATIENCE = 2.0


class ConcurrencyLimit:
    """A limit that follows latency: up while work takes what it takes unloaded, down as it takes longer.

    A gradient controller as in Envoy (adaptive concurrency): limit * gradient + sqrt(limit) / 2, the gradient being
    1.2 times the unloaded latency / the latency now, between 0.5 and 1, medians of windows. The unloaded latency is
    measured while one or two requests run where many could; where that has not happened for a while, the limit falls
    to two for as long as it takes to measure it again.

    Args:
        clock: monotonic seconds.
        least, initial, most: requests at once.
        recheck_s: after so long without a request that ran unloaded that latency is measured again.
        adapts: False holds the limit at `most`.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        least: int = 2,
        initial: int = 8,
        most: int = 64,
        recheck_s: float = 60.0,
        adapts: bool = True,
    ) -> None:
        self._clock = clock
        self._least = min(least, most)
        self._most = most
        self._recheck_s = recheck_s
        self._adapts = adapts
        self._limit = float(min(initial, most) if adapts else most)
        self._window: list[float] = []
        self._base_window: list[float] = []
        self._base_ms: float | None = None
        self._based_at = clock()
        self._rechecking = False

    @property
    def limit(self) -> int:
        """Requests that may run at once now."""
        return min(_UNLOADED, self._most) if self._rechecking else int(self._limit)

    @property
    def base_ms(self) -> float | None:
        """What work takes unloaded; None before that is known."""
        return self._base_ms

    def took(self, ms: float, running: int) -> None:
        """Work ended that took so long; so many ran when it began or ended, whichever is more, itself included."""
        if not self._adapts:
            return
        if running <= (_UNLOADED if self._rechecking else max(min(_UNLOADED, self.limit // 3), 1)):
            self._base_window.append(ms)
            if not self._rechecking:
                self._based_at = self._clock()
            if len(self._base_window) == _BASE_WINDOW:
                self._base_ms = median(self._base_window)
                self._base_window.clear()
                self._based_at, self._rechecking = self._clock(), False
        if self._rechecking:
            return
        self._window.append(ms)
        if len(self._window) == _WINDOW:
            self._adapt(median(self._window), running)
            self._window.clear()
        if self._clock() - self._based_at >= self._recheck_s:
            self._rechecking = True
            self._window.clear()

    def _adapt(self, now_ms: float, running: int) -> None:
        self._base_ms = now_ms if self._base_ms is None else min(self._base_ms, now_ms)
        gradient = min(max(_HEADROOM * self._base_ms / max(now_ms, 1e-6), 0.5), 1.0)
        if gradient == 1.0 and running < self._limit / 2:
            return  # a limit that is not reached is not tested by this
        self._limit = min(max(self._limit * gradient + math.sqrt(self._limit) / 2, self._least), self._most)


class QueueRule:
    """Who may wait for their turn: whoever would have it soon. Nobody is made to wait only to be refused.

    How often places get free is known from what work takes while all are taken (Little 1961), so that a refusal comes
    at once. In a burst one may wait longer than while the queue has not been empty for long: as in CoDel (Nichols and
    Jacobson 2012), a queue that empties absorbs bursts, one that stands only adds to latency.

    Args:
        clock: monotonic seconds.
        length_max: requests that may wait.
        burst_ms: longest wait that may be expected.
        standing_ms: the same where the queue has been standing for `burst_ms`.
    """

    def __init__(self, clock: Callable[[], float], *, length_max: int, burst_ms: float, standing_ms: float) -> None:
        self.length_max = length_max
        self.patience_ms = _PATIENCE * burst_ms
        """After so long one who waits is refused after all: places get free less often than was expected."""
        self._clock = clock
        self._burst_ms = burst_ms
        self._standing_ms = min(standing_ms, burst_ms)
        self._empty_at = clock()
        self._turn_ms: float | None = None

    def emptied(self) -> None:
        """Nobody waits any more."""
        self._empty_at = self._clock()

    def took(self, ms: float, running: int) -> None:
        """Work ended that took so long while all places were taken, so many: they get free every `ms / running`."""
        turn_ms = ms / running
        self._turn_ms = turn_ms if self._turn_ms is None else 0.9 * self._turn_ms + 0.1 * turn_ms

    def worth_ms(self) -> float:
        """The longest wait that one who comes now may expect."""
        standing = (self._clock() - self._empty_at) * 1000 >= self._burst_ms
        return self._standing_ms if standing else self._burst_ms

    def refusal(self, waiting: int, left_ms: float | None) -> Refusal | None:
        """Why one who comes now while so many wait need not wait at all; None where they may.

        Args:
            waiting: before them.
            left_ms: until their own deadline.
        """
        if left_ms is not None and left_ms <= 0:
            return "late"
        if waiting >= self.length_max:
            return "full"
        expected_ms = (waiting + 1) * (self._turn_ms or 0.0)
        return "slow" if expected_ms > min(self.worth_ms(), math.inf if left_ms is None else left_ms) else None

    def retry_after_s(self, waiting: int) -> int:
        """Whole seconds after which asking again makes sense."""
        return min(max(math.ceil(waiting * (self._turn_ms or 0.0) / 1000), 1), 30)
