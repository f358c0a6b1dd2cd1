"""What is kept of an answer while it can be resumed: its frames in order, wherever they are kept."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol


class AnswerGone(Exception):
    """The answer was kept once and is no more: it ended too long ago, nobody read it, or others needed its room."""


class AnswersUnreachable(Exception):
    """Where answers are kept for all workers cannot be asked at the moment."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Frames that follow each other; `last` says that the final one, which may have been read before, is the terminal
    event.
    """

    frames: Sequence[bytes]
    last: bool


class AnswerLog(Protocol):
    """One kept answer, as a reader sees it. The frame at position n (from 1) is the event with id n."""

    async def after(self, number: int) -> Batch:
        """The frames after that number, waiting until there is one or the answer has ended.

        May be cancelled without loss. Raises AnswerGone, AnswersUnreachable.
        """
        ...

    async def reached(self, number: int) -> Batch:
        """What there is after that number, without waiting for more work. Raises LookupError where the answer is not
        that far, AnswerGone, AnswersUnreachable.
        """
        ...

    def reading(self) -> AbstractContextManager[None]:
        """For as long as somebody reads: the work goes on."""
        ...


class SharedAnswers(Protocol):
    """Where the workers of one service keep answers for each other. Keys name answers and tell nothing else.

    Every method raises AnswersUnreachable where the place cannot be asked.
    """

    async def write(self, key: str, number: int, frame: bytes, owner: str) -> bool:
        """Keep a frame; False where those before it are lost, so that all are to be written again from the first.

        Args:
            owner: whose the answer is, told again to those who find it.
        """
        ...

    async def end(self, key: str, number: int) -> bool:
        """The frame of that number was the terminal one; False as above."""
        ...

    async def keep_alive(self, key: str) -> None:
        """Say that the work still goes on; an answer of which nobody says so is lost with its worker."""
        ...

    async def drop(self, key: str) -> None:
        """Keep it no longer; that it was there is remembered for a while."""
        ...

    async def stop(self, key: str) -> None:
        """Keep it no longer, and let the worker that makes it know that nobody wants it."""
        ...

    async def stopped(self, keys: Sequence[str]) -> set[str]:
        """Those of these answers that nobody wants any more."""
        ...

    async def read_within_s(self, key: str) -> float:
        """Seconds for which the work is to go on since another worker's client reads it; 0: none does."""
        ...

    async def find(self, key: str, owner: str) -> AnswerLog | None:
        """An answer of this owner; None where there is none. Raises AnswerGone where there was one."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...
