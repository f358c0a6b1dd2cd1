"""Deadlines and stage budgets: how much time a stage has, what it took, and what happens when it takes too long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from service.contract import StageOutcome, StageReport
from store.errors import FootnoteError

Clock = Callable[[], float]
"""Monotonic seconds."""

T = TypeVar("T")

StageWatcher = Callable[[str, float | None, float, float, StageOutcome], None]
"""Is told of every stage that ended: name, budget in ms, when it began and ended by the clock, outcome."""


@dataclass(frozen=True, slots=True)
class Budgets:
    """Milliseconds a stage may take; None lifts the limit (DESIGN section 7)."""

    embed_ms: float | None = 50
    dense_ms: float | None = 50
    lexical_ms: float | None = 50
    fuse_ms: float | None = 5
    rerank_ms: float | None = 200
    first_sentence_ms: float | None = 5_000
    total_ms: float | None = 30_000
    ground_ms: float | None = 100
    condense_ms: float | None = 1_000

    @staticmethod
    def lifted() -> Budgets:
        """No limits at all: what evaluation uses, so that quality never depends on noise."""
        return Budgets(None, None, None, None, None, None, None, None, None)


_BADNESS: tuple[StageOutcome, ...] = ("skipped", "ok", "degraded", "timeout", "failed")


class StageOverrun(FootnoteError):  # what happened
    """A stage did not end within what it was given."""

    def __init__(self, stage: str, budget_ms: float) -> None:
        super().__init__(f"{stage} did not end within {budget_ms:.0f} ms")
        self.stage = stage
        self.budget_ms = budget_ms


class Deadline:
    """One absolute point in time for a whole request, and the record of what its stages took.

    Args:
        clock: monotonic seconds; handed in, so that tests need no sleeping.
        total_ms: from now; None for no limit.
    """

    def __init__(self, clock: Clock, total_ms: float | None) -> None:
        self.clock = clock
        self._end = None if total_ms is None else clock() + total_ms / 1000
        self._stages: dict[str, StageReport] = {}
        self.watcher: StageWatcher | None = None

    def left_ms(self) -> float | None:
        """Milliseconds left, never below 0; None for no limit."""
        return None if self._end is None else max((self._end - self.clock()) * 1000, 0.0)

    def allow_ms(self, budget_ms: float | None, *, share: float = 1.0) -> float | None:
        """The smaller of a stage's own budget and what is left, or its share of that where it can be done without: what
        comes after it needs time too.
        """
        left_ms = self.left_ms()
        limits = [limit for limit in (budget_ms, None if left_ms is None else left_ms * share) if limit is not None]
        return min(limits, default=None)

    def record(self, name: str, budget_ms: float | None, started: float, outcome: StageOutcome) -> None:
        """Note what a stage took, `started` being the clock's value when it began.

        A stage that runs more than once (ground, for each sentence) is one entry: times added, the worst outcome kept.
        """
        ended = self.clock()
        if self.watcher is not None:
            self.watcher(name, budget_ms, started, ended, outcome)
        took_ms = (ended - started) * 1000
        before = self._stages.get(name)
        if before is not None:
            took_ms += before.took_ms
            outcome = max(outcome, before.outcome, key=_BADNESS.index)
        self._stages[name] = StageReport(name=name, budget_ms=budget_ms, took_ms=round(took_ms, 3), outcome=outcome)

    def report(self) -> list[StageReport]:
        """The stages so far, in the order they first ended."""
        return list(self._stages.values())

    async def stage(self, name: str, budget_ms: float | None, work: Awaitable[T], *, share: float = 1.0) -> T:
        """Await a stage within its budget. Raises StageOverrun, or what the stage raised; both are recorded."""
        allowed = self.allow_ms(budget_ms, share=share)
        started = self.clock()
        outcome: StageOutcome = "failed"
        try:
            async with asyncio.timeout(None if allowed is None else allowed / 1000):
                result = await work
            outcome = "ok"
        except TimeoutError as error:
            outcome = "timeout"
            raise StageOverrun(name, allowed or 0.0) from error
        else:
            return result
        finally:
            self.record(name, budget_ms, started, outcome)
