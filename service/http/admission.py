"""Who comes in: a pool of places for each kind of work, each with a queue of its own, and refusals that cost little."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from service.admission import ConcurrencyLimit, QueueRule, Refusal
from service.budget import Deadline, StageOverrun
from service.contract import StageOutcome
from service.http.exchange import exchange_of
from service.http.problems import ProblemError, problem_response
from service.settings import ServiceSettings


@dataclass(frozen=True, slots=True)
class _Path:
    """Stands for the route of a request that came to none."""

    path: str


class Place:
    """A place in a pool, taken until `leave`, which may be called more than once."""

    def __init__(self, pool: Pool, running: int, began: float) -> None:
        self._pool: Pool | None = pool
        self._running = running
        self._began = began
        self._well = False

    def ended_well(self) -> None:
        """The work came to its end: what it took tells of the load."""
        self._well = True

    def leave(self) -> None:
        """Free the place."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.freed(self._began if self._well else None, self._running)


class Pool:
    """Places for requests of one kind; on one event loop.

    Args:
        name: for metrics.
        limit: how many places there are.
        rule: who may wait for one.
        clock: monotonic seconds.
    """

    def __init__(self, name: str, limit: ConcurrencyLimit, rule: QueueRule, clock: Callable[[], float]) -> None:
        self.name = name
        self.running = 0
        self.refused: Counter[Refusal] = Counter()
        self._limit = limit
        self._rule = rule
        self._clock = clock
        self._queue: deque[asyncio.Future[None]] = deque()

    @property
    def limit(self) -> int:
        """Requests that may run at once now."""
        return self._limit.limit

    @property
    def waiting(self) -> int:
        """Requests that wait for a place."""
        return len(self._queue)

    @property
    def refusal(self) -> Refusal | None:
        """Why whoever comes now would be refused, whatever they ask; None where they may come in or wait."""
        return self._rule.refusal(self.waiting, None) if self._must_wait() else None

    def refuse(self, why: Refusal) -> ProblemError:
        """Count a refusal; the problem that tells it."""
        self.refused[why] += 1
        after = self._rule.retry_after_s(self.waiting)
        return ProblemError(
            "overloaded",
            f"More is asked at the moment than can be answered in time. Ask again in {after} s.",
            headers={"retry-after": str(after)},
        )

    async def enter(self, deadline: Deadline) -> Place:
        """A place, at once or after waiting. Cancelled, it leaves the queue. Raises ProblemError (503) where none can
        be had in time, StageOverrun where the request's own deadline has passed: before any work was spent on it.
        """
        left_ms = deadline.left_ms()
        if left_ms == 0:
            raise self._late(0.0)
        if self._must_wait():
            why = self._rule.refusal(self.waiting, left_ms)
            if why is not None:
                raise self.refuse(why)
            await self._wait(deadline)
        else:
            self.running += 1
        return Place(self, self.running, self._clock())

    @asynccontextmanager
    async def place(self, deadline: Deadline) -> AsyncIterator[Place]:
        """A place for the length of a block; raises as `enter` does."""
        place = await self.enter(deadline)
        try:
            yield place
        finally:
            place.leave()

    def freed(self, began: float | None, running: int) -> None:
        """A request ended: whoever waits longest comes in.

        Args:
            began: when, by the clock; None where it did not end well.
            running: beside it when it began, itself included.
        """
        if began is not None:
            took_ms, running = (self._clock() - began) * 1000, max(running, self.running)
            if running >= self.limit:
                self._rule.took(took_ms, min(running, self.limit))
            self._limit.took(took_ms, running)
        self.running -= 1
        self._let_in()

    def _must_wait(self) -> bool:
        return bool(self._queue) or self.running >= self.limit

    async def _wait(self, deadline: Deadline) -> None:
        """Until there is a place, which is then taken."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self._queue:
            self._rule.emptied()
        self._queue.append(turn)
        began = self._clock()
        patience_ms = self._rule.patience_ms
        allowed_ms = deadline.allow_ms(patience_ms) or 0.0
        outcome: StageOutcome = "ok"
        try:
            async with asyncio.timeout(allowed_ms / 1000):
                await turn
        except TimeoutError:
            outcome = "timeout"
            self._give_up(turn)
            raise self._late(allowed_ms) if allowed_ms < patience_ms else self.refuse("waited") from None
        except BaseException:
            self.refused["abandoned"] += 1
            self._give_up(turn)
            raise
        finally:
            deadline.record("queue", patience_ms, began, outcome)

    def _give_up(self, turn: asyncio.Future[None]) -> None:
        if turn in self._queue:
            self._queue.remove(turn)
            if not self._queue:
                self._rule.emptied()
        elif turn.done() and not turn.cancelled():  # let in at the same moment
            self.running -= 1
            self._let_in()

    def _let_in(self) -> None:
        while self._queue and self.running < self.limit:
            turn = self._queue.popleft()
            if not turn.done():
                self.running += 1
                turn.set_result(None)
            if not self._queue:
                self._rule.emptied()

    def _late(self, allowed_ms: float) -> StageOverrun:
        self.refused["late"] += 1
        return StageOverrun("queue", allowed_ms)


def open_pools(
    settings: ServiceSettings, *, with_chat_model: bool, clock: Callable[[], float] = time.monotonic
) -> dict[str, Pool]:
    """The pools `search` and `answer`; what is in neither (health, metrics, documents) waits for nobody.

    Args:
        with_chat_model: answers wait for a provider most of their time, and what they take says little of the load
            here: their limit is fixed.
    """

    def pool(name: str, most: int, *, adapts: bool = True) -> Pool:
        rule = QueueRule(
            clock,
            length_max=settings.admission_queue_max,
            burst_ms=settings.admission_wait_ms,
            standing_ms=settings.admission_standing_ms,
        )
        limit = ConcurrencyLimit(clock, most=most, adapts=adapts)
        return Pool(name, limit, rule, clock)

    return {
        "search": pool("search", settings.search_concurrency_max),
        "answer": pool("answer", settings.answer_concurrency_max, adapts=not with_chat_model),
    }


class Turnstile:
    """ASGI middleware: who would be refused anyway is refused before anything of the request is read.

    Args:
        pools: by path.
    """

    def __init__(self, app: ASGIApp, pools: Mapping[str, Pool]) -> None:
        self._app = app
        self._pools = pools

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        pool = self._pools.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        why = None if pool is None else pool.refusal
        if pool is None or why is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = _Path(scope["path"])
        error = pool.refuse(why)
        await problem_response(error, exchange_of(scope))(scope, receive, send)
