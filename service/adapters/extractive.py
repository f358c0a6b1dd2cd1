"""The built-in generator: the best supported sentences, verbatim. No model, no key; the default and last fallback."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from service.adapters.generator import Ended, Piece
from service.contract import Result, Usage
from service.evidence import Evidence

MODEL = "extractive"
_SENTENCES_MAX = 3
_NEAR_BEST = 0.85  # a further sentence must score at least this share of the best one


class Extractive:
    """Answers with up to three sentences of the sources, in source order, each followed by its marker."""

    @property
    def usage(self) -> Usage:
        """Provider and model."""
        return Usage(provider="footnote", model=MODEL)

    async def generate(
        self,
        question: str,  # noqa: ARG002  # the evidence is ranked for it
        sources: Sequence[Result],  # noqa: ARG002
        evidence: Sequence[Evidence],
    ) -> AsyncGenerator[Piece, None]:
        """The chosen sentences, one piece each; prose on one line, every other unit on a line of its own."""
        for chosen in choose(evidence):
            text = " ".join(chosen.text.split("\n")) if chosen.kind == "prose" else chosen.text
            yield f"{text} [{chosen.source}]\n"
        yield Ended(self.usage)


def choose(evidence: Sequence[Evidence]) -> list[Evidence]:
    """The best sentence and those near it, without repetitions, in the order of their sources."""
    if not evidence:
        return []
    least = evidence[0].score * _NEAR_BEST
    chosen: list[Evidence] = []
    for one in evidence:
        if one.score < least or len(chosen) == _SENTENCES_MAX:
            break
        if all(one.text not in other.text and other.text not in one.text for other in chosen):
            chosen.append(one)
    best_source = chosen[0].source
    return sorted(chosen, key=lambda one: (one.source != best_source, one.source, one.start))
