"""How a provider is called so that its bad moments cost little: the one place that retries, hedges or does not call."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass

from service.adapters.breaker import Breaker, CallBudget, Usual
from service.adapters.generator import Ended, FailureReason, GeneratorFailed
from service.adapters.hedge import Hedge

Call = AsyncGenerator[str | Ended, None]

PAUSE_S_MAX = 60.0
"""A provider that asks to be left alone for longer is asked again after so many seconds."""
_BACKOFF_S = 0.1  # the first pause is up to this, each further one up to twice as much
_BACKOFF_S_MAX = 2.0
_LOOK_AGAIN_S = 0.02
_STALLED_S = 2.0
"""Silence in the middle of a text, in which whoever asked gives up, that counts as the provider's failure."""
_AGAIN: frozenset[FailureReason] = frozenset(
    {"unreachable", "server_error", "rate_limited", "timeout", "connect_timeout"}
)
_THEIR_DOING: frozenset[FailureReason] = _AGAIN - {"rate_limited"} | {
    "not_authorised",
    "first_text_timeout",
    "between_timeout",
    "bad_response",
}
"""Failures that count towards leaving a provider alone. A limit of rates has its own pause, a refusal is about one
request, and an answer that is too long is nobody's outage.
"""


@dataclass(slots=True)
class Counts:
    """What was done so far: requests that came to a call, calls made again, beside another (and which of these came
    first), and requests for which none was made.
    """

    requests: int = 0
    retries: int = 0
    hedges: int = 0
    hedges_won: int = 0
    refused: int = 0


class Tail:
    """One provider's calls: within its breaker, with retries before the first text, and hedged where that is on.

    Args:
        provider: its name, for failures.
        breaker: of this provider.
        retries_max: of one request.
        retry_share: of all requests that may be retried.
        hedge: None makes no second call beside a slow one.
        clock: monotonic seconds.
        sleep: waits for so many seconds.
        jitter: a number from 0 to 1 at random.
    """

    def __init__(
        self,
        provider: str,
        breaker: Breaker,
        *,
        retries_max: int = 1,
        retry_share: float = 0.1,
        hedge: Hedge | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.provider = provider
        self.breaker = breaker
        self.counts = Counts()
        self._retries_max = retries_max
        self._retry_budget = CallBudget(retry_share)
        self._hedge = hedge
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._paused_until = 0.0
        self._usual = Usual()

    async def run(self, begin: Callable[[], Call], until: float) -> Call:
        """What a call says. Raises GeneratorFailed.

        Args:
            begin: makes a call; the last one that is made is the one that is read to its end.
            until: when the first text must be there, by the clock; no retry begins later.
        """
        piece: str | Ended | None
        piece, call, permit = await self._first(begin, until)
        outcome = self.breaker.left
        waits_since = math.inf
        try:
            async with aclosing(call):
                if self.breaker.state == "half_open":
                    self.breaker.succeeded(permit)
                while piece is not None:
                    waits_since = math.inf
                    yield piece
                    waits_since = self._clock()
                    piece = await anext(call, None)
            outcome = self.breaker.succeeded
        except GeneratorFailed as error:
            if error.reason in _THEIR_DOING:
                outcome = self.breaker.failed
            raise
        except asyncio.CancelledError:
            if self._clock() - waits_since >= _STALLED_S:
                outcome = self.breaker.failed
            raise
        finally:
            outcome(permit)

    async def _first(self, begin: Callable[[], Call], until: float) -> tuple[str | Ended, Call, int]:
        """The first piece of the first call that has one, that call, and the permit it runs under."""
        retries = 0
        while True:
            permit, began = self._permit(), self._clock()
            probing = self.breaker.state == "half_open"
            if retries == 0:
                self.counts.requests += 1
                self._retry_budget.called()
            try:
                piece, call = await (_begun(begin) if probing or retries else self._raced(begin))
            except GeneratorFailed as error:
                pause_s = self._failed(permit, error, retries, until)
                if pause_s is None or probing or retries == self._retries_max or not self._retry_budget.take():
                    raise
            except BaseException:
                overdue = self._clock() - began >= self._usual.overdue_s
                (self.breaker.failed if overdue else self.breaker.left)(permit)
                raise
            else:
                self._usual.took(self._clock() - began)
                return piece, call, permit
            retries += 1
            await self._sleep(pause_s)
            self.counts.retries += 1

    def _permit(self) -> int:
        """Raises GeneratorFailed where the provider is left alone."""
        paused_s = self._paused_until - self._clock()
        if paused_s > 0:
            self.counts.refused += 1
            raise GeneratorFailed(self.provider, "rate_limited", retry_after_s=paused_s)
        permit = self.breaker.admit()
        if permit is None:
            self.counts.refused += 1
            raise GeneratorFailed(self.provider, "circuit_open")
        return permit

    def _failed(self, permit: int, error: GeneratorFailed, retries: int, until: float) -> float | None:
        """Tell the breaker; seconds until another call is worth making, None where none is."""
        (self.breaker.failed if error.reason in _THEIR_DOING else self.breaker.left)(permit)
        pause_s = self._jitter() * min(_BACKOFF_S * 2**retries, _BACKOFF_S_MAX) + self._asked_to_wait(error)
        return pause_s if error.reason in _AGAIN and self._clock() + pause_s < until else None

    def _asked_to_wait(self, error: GeneratorFailed) -> float:
        """Seconds that the provider asks to be left alone, which it is."""
        asked_s = min(error.retry_after_s or 0.0, PAUSE_S_MAX)
        if asked_s > 0:
            self._paused_until = max(self._paused_until, self._clock() + asked_s)
        return asked_s

    async def _raced(self, begin: Callable[[], Call]) -> tuple[str | Ended, Call]:
        """The first piece of a call, or of the second one that is begun beside it when it takes long."""
        hedge = self._hedge
        if hedge is None:
            return await _begun(begin)
        hedge.called()
        began = self._clock()
        delay_s = hedge.delay_s()
        runners = [asyncio.create_task(_begun(begin))]
        won: asyncio.Task[tuple[str | Ended, Call]] | None = None
        try:
            if delay_s is None:
                await asyncio.wait(runners)
            else:
                await asyncio.wait(runners, timeout=delay_s)
                while not runners[0].done():
                    if hedge.take():
                        runners.append(asyncio.create_task(_begun(begin)))
                        self.counts.hedges += 1
                        break
                    await asyncio.wait(runners, timeout=_LOOK_AGAIN_S)
            won = await _first_that_works(runners)
            self.counts.hedges_won += won is not runners[0]
            return won.result()
        finally:
            if won is not None:
                first_won = won is runners[0] and not won.cancelled() and won.exception() is None
                hedge.took(self._clock() - began if first_won else None)
            for failed in await _let_go([one for one in runners if one is not won]):
                self._asked_to_wait(failed)


async def _begun(begin: Callable[[], Call]) -> tuple[str | Ended, Call]:
    """A call and its first piece; it is closed where it has none."""
    call = begin()
    try:
        return await anext(call), call
    except BaseException:
        await call.aclose()
        raise


async def _first_that_works(
    runners: list[asyncio.Task[tuple[str | Ended, Call]]],
) -> asyncio.Task[tuple[str | Ended, Call]]:
    """The first task that ended well; where none does, the first of them."""
    running = set(runners)
    while running:
        done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for one in runners:
            if one in done and one.exception() is None:
                return one
    return runners[0]


async def _let_go(runners: list[asyncio.Task[tuple[str | Ended, Call]]]) -> list[GeneratorFailed]:
    """End the calls that are not read, those included that had their first piece at the same moment; the failures among
    them.
    """
    failures = []
    for one in runners:
        one.cancel()
    for ended in await asyncio.gather(*runners, return_exceptions=True):
        if isinstance(ended, GeneratorFailed):
            failures.append(ended)
        elif not isinstance(ended, BaseException):
            await ended[1].aclose()
    return failures
