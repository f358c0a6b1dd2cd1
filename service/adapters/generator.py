"""The protocol behind which answers are written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from service.contract import Result, Usage


@dataclass(frozen=True, slots=True)
class Source:
    """A passage as a generator sees it: cited in its text as `[number]`."""

    number: int
    result: Result


class Generator(Protocol):
    """Writes an answer from sources, as a stream of text with `[n]` markers. What it writes is checked, not trusted."""

    @property
    def usage(self) -> Usage:
        """Provider and model; counts are those of no particular request."""
        ...

    def generate(self, question: str, sources: Sequence[Source]) -> AsyncIterator[str]:
        """Pieces of the answer's text, in order. Closing the iterator stops the work behind it."""
        ...
