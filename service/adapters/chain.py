"""Several generators, each standing in for the one before while nothing was written yet."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from service.adapters.generator import Ended, Generator, GeneratorFailed, Piece, Told
from service.contract import Result, Usage
from service.evidence import Evidence

_LOG = logging.getLogger("footnote.generate")


class Chain:
    """Asks the first generator; where that fails before it wrote anything, or ends without a word, the next one.

    Args:
        generators: in order; the last one's failure is everybody's.
    """

    def __init__(self, generators: Sequence[Generator]) -> None:
        self._generators = list(generators)

    @property
    def usage(self) -> Usage:
        """Provider and model of the first."""
        return self._generators[0].usage

    async def generate(
        self, question: str, sources: Sequence[Result], evidence: Sequence[Evidence]
    ) -> AsyncGenerator[Piece, None]:
        """What the first one writes that does; `Told` for each that did not."""
        *before, last = self._generators
        for one in before:
            wrote = False
            try:
                async with aclosing(one.generate(question, sources, evidence)) as text:
                    async for piece in text:
                        if isinstance(piece, str) and not wrote and not piece.strip():
                            continue
                        if isinstance(piece, Ended) and not wrote:
                            break
                        wrote = True
                        yield piece
                if wrote:
                    return
                why = f"{one.usage.model} wrote nothing"
            except Exception as error:
                if wrote:
                    raise
                # Only what is known to be safe: a provider's own words may repeat a key.
                why = str(error) if isinstance(error, GeneratorFailed) else type(error).__name__
                _LOG.info("%s failed: %s", one.usage.model, why)  # `degraded` tells, and is counted
            yield Told(f"generate: {why}; {self._called(one)} instead")
        async with aclosing(last.generate(question, sources, evidence)) as text:
            async for piece in text:
                yield piece

    def _called(self, failed: Generator) -> str:
        following = self._generators[self._generators.index(failed) + 1]
        usage = following.usage
        return "sentences of the passages" if usage.provider == "footnote" else usage.model
