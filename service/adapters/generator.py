"""The protocol behind which answers are written."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from service.contract import Result, Usage
from service.evidence import Evidence

EndReason = Literal[
    "stop",
    "length",  # the limit of tokens, or of what the model can read
    "refused",  # it, or its provider's filter, went no further
    "tool_call",  # it asked for a tool, though none was offered
]
FailureReason = Literal[
    "not_authorised",
    "rate_limited",
    "refused_request",
    "timeout",  # of the provider's own, or of its connection
    "connect_timeout",
    "first_text_timeout",
    "between_timeout",
    "total_timeout",
    "circuit_open",  # it failed so often that it is left alone for a while
    "unreachable",
    "server_error",
    "bad_response",
]


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a generator's text: why it ended, and what it took."""

    usage: Usage
    reason: EndReason = "stop"


@dataclass(frozen=True, slots=True)
class Told:
    """What people should know of how the text came about: goes into `degraded`."""

    message: str


class GeneratorFailed(Exception):
    """A provider failed. The message holds nothing of what the provider said: that may repeat a key or a document.

    Args:
        provider: its name.
        reason: what went wrong.
        status: of the HTTP response, where there was one.
        retry_after_s: how long the provider asks to be left alone.
    """

    def __init__(
        self, provider: str, reason: FailureReason, *, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(f"{provider}: {reason}{'' if status is None else f' (HTTP {status})'}")
        self.reason = reason
        self.status = status
        self.retry_after_s = retry_after_s


Piece = str | Told | Ended


class Generator(Protocol):
    """Writes an answer from sources, as a stream of text with `[n]` markers. What it writes is checked, not trusted."""

    @property
    def usage(self) -> Usage:
        """Provider and model; its counts are those of no particular request."""
        ...

    def generate(
        self, question: str, sources: Sequence[Result], evidence: Sequence[Evidence]
    ) -> AsyncGenerator[Piece, None]:
        """Pieces of the answer's text, in order; the n-th source is cited as `[n]`, counting from 1. One that counts
        what it uses says so at the end by `Ended`.

        Args:
            question: as it was retrieved for.
            sources: the passages that may be drawn on.
            evidence: their sentences, best first.

        Closing the iterator stops the work behind it.
        """
        ...
