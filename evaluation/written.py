"""What a generator wrote before anything was checked, kept from the very run whose answer is measured."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from evaluation.citations import Claim
from service.adapters.extractive import Extractive
from service.adapters.generator import Generator, Piece
from service.adapters.prompt import REFUSAL
from service.contract import AnswerResponse, Result, Usage
from service.drafts import DraftStream
from service.evidence import Evidence
from service.framing import no_claim_reason
from service.ground import parse


class Recorder:
    """A generator that keeps what another writes, and the sources that its markers number.

    Args:
        generator: the other one, asked once.
    """

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self.sources: Sequence[Result] = ()
        self.text = ""

    @property
    def usage(self) -> Usage:
        """The other's."""
        return self._generator.usage

    async def generate(
        self, question: str, sources: Sequence[Result], evidence: Sequence[Evidence]
    ) -> AsyncGenerator[Piece, None]:
        """The other's pieces."""
        self.sources = sources
        async with aclosing(self._generator.generate(question, sources, evidence)) as pieces:
            async for piece in pieces:
                if isinstance(piece, str):
                    self.text += piece
                yield piece


def is_stand_in(usage: Usage) -> bool:
    """Whether these are sentences of the passages, which no model wrote."""
    built_in = Extractive().usage
    return (usage.provider, usage.model) == (built_in.provider, built_in.model)


def written_claims(text: str, sources: Sequence[Result]) -> list[Claim]:
    """The claims of a generator's text with the passages that its own markers name; a refusal claims nothing."""
    stream = DraftStream("en", len(sources))
    pieces = [*stream.feed(text), *stream.finish()]
    drafts = [parse(piece, sources) for piece in pieces]
    return [
        Claim(one.claim, tuple(sources[number - 1] if 1 <= number <= len(sources) else None for number in one.markers))
        for one in drafts
        if no_claim_reason(one.claim) is None and one.claim != REFUSAL
    ]


def emitted_claims(response: AnswerResponse) -> list[Claim]:
    """The claims of an answer as it left, with the passages they cite."""
    sources = {one.passage.id: one for one in response.sources}
    citations = {one.id: one for one in response.citations}
    claims = []
    for sentence in response.sentences:
        if sentence.verdict == "no_claim":
            continue
        cited = [citations[one] for one in sentence.citations]
        text, at = "", sentence.start
        for one in cited:
            text += response.answer[at : one.marker_start].rstrip(" ")
            at = one.marker_end
        text += response.answer[at : sentence.end]
        claims.append(Claim(text.strip(), tuple(sources.get(one.passage_id) for one in cited)))
    return claims
