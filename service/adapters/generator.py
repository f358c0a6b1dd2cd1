"""The protocol behind which answers are written."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from service.contract import Result, Usage
from service.evidence import Evidence


class Generator(Protocol):
    """Writes an answer from sources, as a stream of text with `[n]` markers. What it writes is checked, not trusted."""

    @property
    def usage(self) -> Usage:
        """Provider and model; its counts are those of no particular request."""
        ...

    def generate(
        self, question: str, sources: Sequence[Result], evidence: Sequence[Evidence]
    ) -> AsyncGenerator[str, None]:
        """Pieces of the answer's text, in order; the n-th source is cited as `[n]`, counting from 1.

        Args:
            question: as it was retrieved for.
            sources: the passages that may be drawn on.
            evidence: their sentences, best first.

        Closing the iterator stops the work behind it.
        """
        ...
