"""When a second call is made beside one that says nothing: after most of the last calls had their first text."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque

from service.adapters.breaker import CallBudget

_CALLS_SEEN = 400
_CALLS_MIN = 40
_SHARE_OF_BUDGET = 0.9  # of calls take longer than the delay, so that chance does not use the budget up


class Hedge:
    """Knows how long first texts take, and how many second calls there may be.

    Args:
        share: of the calls that may be made twice.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._took_s: deque[float] = deque(maxlen=_CALLS_SEEN)
        self._sorted: list[float] | None = None
        self._budget = CallBudget(share)

    def called(self) -> None:
        """A request made its first call."""
        self._budget.called()

    def took(self, seconds: float | None) -> None:
        """How long a first call took to its first text; None where it was overtaken or had none. One that was given up
        by whoever asked says nothing.
        """
        self._took_s.append(math.inf if seconds is None else seconds)
        self._sorted = None

    def delay_s(self) -> float | None:
        """Seconds after which a second call is worth making; None while too little is known, or most calls hang.

        Where more calls hang than may be made twice, it is the longest that one took which did not: the budget decides
        for how many.
        """
        if len(self._took_s) < _CALLS_MIN:
            return None
        if self._sorted is None:
            self._sorted = sorted(self._took_s)
        known = bisect_left(self._sorted, math.inf)
        if known * 2 < len(self._sorted):
            return None
        return self._sorted[min(int(len(self._sorted) * (1 - self._share * _SHARE_OF_BUDGET)), known - 1)]

    def take(self) -> bool:
        """Whether a second call may be made; it is counted then."""
        return self._budget.take()
