"""Several generators, each standing in for the one before while nothing was written yet."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

from service.adapters.extractive import MODEL as EXTRACTIVE
from service.adapters.generator import Ended, Generator, GeneratorFailed, Piece, Told
from service.adapters.priced import with_spent
from service.adapters.tail import PAUSE_S_MAX
from service.contract import Result, Usage
from service.evidence import Evidence

_LOG = logging.getLogger("footnote.generate")


class Chain:
    """Asks the first generator; where that fails before it wrote anything, or ends without a word, the next one.

    Args:
        generators: in order; the last one's failure is everybody's.
        clock: monotonic seconds. A provider that asks to be left alone for a while is left alone.
    """

    def __init__(self, generators: Sequence[Generator], clock: Callable[[], float] = time.monotonic) -> None:
        self._generators = list(generators)
        self._clock = clock
        self._paused_until = [0.0] * len(self._generators)

    @property
    def usage(self) -> Usage:
        """Provider and model of the first."""
        return self._generators[0].usage

    async def generate(
        self, question: str, sources: Sequence[Result], evidence: Sequence[Evidence]
    ) -> AsyncGenerator[Piece, None]:
        """What the first one writes that does; `Told` for each that did not, whose tokens the end counts too."""
        *before, last = self._generators
        spent: Usage | None = None
        for number, one in enumerate(before):
            if self._clock() < self._paused_until[number]:
                yield Told(f"generate: {one.usage.model} asked to be left alone; {self._called(number + 1)} instead")
                continue
            wrote = False
            try:
                async with aclosing(one.generate(question, sources, evidence)) as text:
                    async for piece in text:
                        if isinstance(piece, str) and not wrote and not piece.strip():
                            continue
                        if isinstance(piece, Ended) and not wrote:
                            spent = with_spent(piece.usage, spent)
                            break
                        wrote = True
                        yield _with(spent, piece)
                if wrote:
                    return
                why = f"{one.usage.model} wrote nothing"
            except Exception as error:
                if wrote:
                    raise
                why = self._noted(number, error)
                _LOG.info("%s failed: %s", one.usage.model, why)  # `degraded` tells, and is counted
            yield Told(f"generate: {why}; {self._called(number + 1)} instead")
        async with aclosing(last.generate(question, sources, evidence)) as text:
            async for piece in text:
                yield _with(spent, piece)

    def _noted(self, number: int, error: Exception) -> str:
        """What went wrong, as far as it is known to be safe: a provider's own words may repeat a key."""
        if not isinstance(error, GeneratorFailed):
            return type(error).__name__
        if error.retry_after_s is not None:
            self._paused_until[number] = self._clock() + min(error.retry_after_s, PAUSE_S_MAX)
        return str(error)

    def _called(self, number: int) -> str:
        model = self._generators[number].usage.model
        return "sentences of the passages" if model == EXTRACTIVE else model


def _with(spent: Usage | None, piece: Piece) -> Piece:
    """A piece; an end counts what those who wrote nothing took."""
    return replace(piece, usage=with_spent(piece.usage, spent)) if isinstance(piece, Ended) else piece
