"""A generator that says what it was told to: for tests and demonstrations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from service.contract import Result, Usage
from service.evidence import Evidence


class Scripted:
    """Yields the given pieces of text, whatever was asked.

    Args:
        pieces: the text, as it is to arrive.
        error_after: raise RuntimeError after so many pieces.
        stall_after: never go on after so many pieces.
    """

    def __init__(
        self, pieces: Sequence[str], *, error_after: int | None = None, stall_after: int | None = None
    ) -> None:
        self._pieces = pieces
        self._error_after = error_after
        self._stall_after = stall_after
        self.closed = False

    @property
    def usage(self) -> Usage:
        """Provider and model."""
        return Usage(provider="footnote", model="scripted")

    async def generate(
        self,
        question: str,  # noqa: ARG002  # it was told what to say
        sources: Sequence[Result],  # noqa: ARG002
        evidence: Sequence[Evidence],  # noqa: ARG002
    ) -> AsyncGenerator[str, None]:
        """The pieces in order; `closed` tells whether the iterator was left."""
        try:
            for number, piece in enumerate(self._pieces):
                if number == self._error_after:
                    raise RuntimeError("scripted failure")
                if number == self._stall_after:
                    await asyncio.Event().wait()
                yield piece
            if self._error_after == len(self._pieces):
                raise RuntimeError("scripted failure")
        finally:
            self.closed = True
