"""When a provider is left alone because it fails: a circuit breaker, and a budget for calls beyond the first."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

BreakerState = Literal["closed", "open", "half_open"]

SILENCE_S = 1.0
"""Less is never held against a provider."""


class Breaker:
    """Lets calls through while they succeed; after failures in a row none, then one at a time to see.

    Calls that began before a change of state say nothing about it: an outcome counts only under the permit of its time.

    Args:
        clock: monotonic seconds.
        failures_max: failed calls in a row that open it.
        open_s: seconds until a probe is let through.
    """

    def __init__(self, clock: Callable[[], float], *, failures_max: int = 5, open_s: float = 2.0) -> None:
        self._clock = clock
        self._failures_max = failures_max
        self._open_s = open_s
        self._failures = 0
        self._epoch = 0
        self._opened_at: float | None = None
        self._probing = False

    @property
    def state(self) -> BreakerState:
        """What the next call meets."""
        if self._opened_at is None:
            return "closed"
        return "half_open" if self._probing or self._clock() >= self._opened_at + self._open_s else "open"

    def admit(self) -> int | None:
        """A permit for one call, to be handed back with its outcome; None where none may be made."""
        state = self.state
        if state == "open" or self._probing:
            return None
        self._probing = state == "half_open"
        return self._epoch

    def succeeded(self, permit: int) -> None:
        """The call went well."""
        if permit == self._epoch:
            self._failures = 0
            if self._opened_at is not None:
                self._change(None)

    def failed(self, permit: int) -> None:
        """The call failed by the provider's doing."""
        if permit == self._epoch:
            self._failures += 1
            if self._opened_at is not None or self._failures >= self._failures_max:
                self._change(self._clock())

    def left(self, permit: int) -> None:
        """The call was given up and says nothing of the provider; a probe's place is free again."""
        if permit == self._epoch:
            self._probing = False

    def _change(self, opened_at: float | None) -> None:
        self._opened_at, self._probing, self._failures = opened_at, False, 0
        self._epoch += 1


class Usual:
    """How long first texts take, as mean and mean deviation smoothed as for a retransmission timeout (RFC 6298)."""

    def __init__(self) -> None:
        self._mean_s: float | None = None
        self._deviation_s = 0.0

    def took(self, seconds: float) -> None:
        """A call had its first text after so long."""
        if self._mean_s is None:
            self._mean_s, self._deviation_s = seconds, seconds / 2
            return
        self._deviation_s += (abs(seconds - self._mean_s) - self._deviation_s) / 4
        self._mean_s += (seconds - self._mean_s) / 8

    @property
    def overdue_s(self) -> float:
        """Silence that is the provider's doing, whoever's patience ends first; endless while nothing is known."""
        return math.inf if self._mean_s is None else max(self._mean_s + 4 * self._deviation_s, SILENCE_S)


class CallBudget:
    """Tokens for calls beyond each request's first: never more of them than `share` of the requests so far.

    Args:
        share: of the requests.
        saved_max: tokens that quiet times may save.
    """

    def __init__(self, share: float, saved_max: float = 10.0) -> None:
        self._share = share
        self._saved_max = saved_max
        self._tokens = 0.0

    def called(self) -> None:
        """A request made its first call."""
        self._tokens = min(self._tokens + self._share, self._saved_max)

    def take(self) -> bool:
        """Whether one more call may be made; it is counted then."""
        if self._tokens < 1 - 1e-9:  # shares are added up in binary
            return False
        self._tokens -= 1
        return True
