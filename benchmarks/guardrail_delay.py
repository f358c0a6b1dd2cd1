"""What the guardrail adds between the end of a sentence and its `sentence` event.

    python -m benchmarks.guardrail_delay ../shared/data/clapnq-a [--sentences 300]

A scripted model writes sentences of real passages, verbatim, lightly and far reworded. It begins after 30 ms (the
quickest providers take several times that), in which the sources are looked at, and marks the time when it has handed
over what a sentence needs to be known as ended: its last character and the beginning of the next. The time until the
event is taken from there, through the whole of `answer()`, with five passages sent. The last line is of one passage,
cut so that it and the longest of its sentences are at most 128 word pieces: a single pair for the scorer. A control
runs in the same minute: a handler that hands its text on unchecked.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from tokenizers import Tokenizer

from benchmarks.lie_kinds import Place, lead_in
from benchmarks.lies import sentences_of
from benchmarks.passages import passages
from evaluation.measures import percentile
from indexer.build import Request, build
from indexer.progress import Silent
from indexer.settings import IndexerSettings
from service.adapters.generator import Ended, Piece
from service.answer import answer
from service.budget import Budgets, Deadline
from service.contract import Result, SentenceEvent, Usage, WithheldEvent
from service.engine import Engine
from service.evidence import Evidence
from service.question import ANYONE, Question
from service.sentences import units
from service.settings import ServiceSettings
from service.verifier import BUNDLED
from service.wiring import Service
from store.index import IndexDirectory

BEGINS_AFTER_S = 0.03
PAIR_PIECES = 128
MARKS = 3
"""Around the two texts of a pair and between them."""


class Timed:
    """Writes one sentence of its first source and notes when it could be known to have ended."""

    def __init__(self, way: str, dice: random.Random) -> None:
        self._way = way
        self._dice = dice
        self.ended_at = 0.0

    @property
    def usage(self) -> Usage:
        """Provider and model."""
        return Usage(provider="footnote", model="timed")

    async def generate(
        self,
        question: str,  # noqa: ARG002
        sources: Sequence[Result],
        evidence: Sequence[Evidence],  # noqa: ARG002
    ) -> AsyncGenerator[Piece, None]:
        """A sentence, then the beginning of another that is never finished."""
        await asyncio.sleep(BEGINS_AFTER_S)
        own = [one for one, _ in sentences_of(sources[0].passage.text)] or [sources[0].passage.text[:120]]
        sentence = self._dice.choice(own)
        if self._way == "reworded":
            sentence = lead_in(Place(sentence, sources[0].passage.text, (), "", None), self._dice) or sentence
        elif self._way == "far":
            words = sentence[:-1].split()
            sentence = "It is told here that " + " ".join(word for word in words if self._dice.random() < 0.6) + "."
        yield f"{sentence[:-1]} [1]."
        self.ended_at = time.perf_counter()
        yield " The next sentence begins"
        await asyncio.sleep(0.2)  # nothing else is to be done meanwhile
        yield Ended(self.usage)


async def delays(engine: Engine, questions: Sequence[str], way: str, *, sources: int = 5) -> list[float]:
    """Milliseconds from the end of each sentence to its event; at most so many passages are sent."""
    found = []
    for number, text in enumerate(questions):
        model = Timed(way, random.Random(number))  # which sentence, not a secret
        armed = replace(engine, generator=model, abstain_below=0.0, budgets=Budgets.lifted())
        question = Question(request_id="r", text=text, principals=ANYONE, top_k=sources)
        async for event in answer(question, armed, Deadline(engine.clock, None)):
            if isinstance(event, SentenceEvent | WithheldEvent) and model.ended_at:
                found.append((time.perf_counter() - model.ended_at) * 1000)
                break
    return found


def first_sentences(texts: Sequence[str], count: int) -> list[str]:
    """Of each text that has one, as a question."""
    return [one[0][:120] for text in texts for one in list(sentences_of(text))[:1]][:count]


async def control(count: int) -> list[float]:
    """The same hand-over without anything between."""

    async def pieces() -> AsyncGenerator[float, None]:
        for _ in range(count):
            yield time.perf_counter()
            await asyncio.sleep(0.002)

    return [(time.perf_counter() - at) * 1000 async for at in pieces()]


@contextmanager
def served(texts: Sequence[str]) -> Iterator[Engine]:
    """An engine over an index of these texts, each a passage."""
    with tempfile.TemporaryDirectory() as name:
        rows = [json.dumps({"id": f"d{n}", "title": "", "text": text}) for n, text in enumerate(texts)]
        (Path(name) / "passages.jsonl").write_text("\n".join(rows))
        settings = IndexerSettings(index=Path(name) / "index", embedding_model="hash:256")
        build(IndexDirectory(settings.index), Request([str(Path(name) / "passages.jsonl")]), settings, Silent())
        with closing(Service(ServiceSettings(index=settings.index))) as service:
            service.reload()
            with service.holder.lease() as engine:
                yield engine


def cut(text: str, tokenizer: Tokenizer) -> str:
    """The first sentences of a text that, with the longest of them beside it, are a pair of at most PAIR_PIECES."""
    kept = ""
    longest = 0
    for one in units(text):
        longer = text[: one.end]
        pieces = len(tokenizer.encode(longer, add_special_tokens=False))
        longest = max(longest, len(tokenizer.encode(text[one.start : one.end], add_special_tokens=False)))
        if pieces + longest + MARKS > PAIR_PIECES:
            break
        kept = longer
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("--sentences", type=int, default=300, help="of each kind")
    asked = parser.parse_args()
    texts = [one.text for one in passages(asked.set)]
    found = {"control": asyncio.run(control(asked.sentences))}
    with served(texts) as engine:
        scorers = {"with scorer": engine} if engine.verifier is not None else {}
        for title, armed in {"hard checks": replace(engine, verifier=None), **scorers}.items():
            for way in ("verbatim", "reworded", "far"):
                found[f"{title}, {way}"] = asyncio.run(delays(armed, first_sentences(texts, asked.sentences), way))
    if scorers:
        tokenizer = Tokenizer.from_file(str(BUNDLED / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        short = [text for text in (cut(text, tokenizer) for text in texts) if text]
        with served(short) as engine:
            questions = first_sentences(short, asked.sentences)
            found["with scorer, far, one pair"] = asyncio.run(delays(engine, questions, "far", sources=1))
    print(f"{'ms':28}{'n':>6}{'p50':>8}{'p99':>8}{'most':>8}")
    for title, taken in found.items():
        cells = f"{percentile(taken, 50):>8.2f}{percentile(taken, 99):>8.2f}{max(taken):>8.2f}"
        print(f"{title:28}{len(taken):>6}{cells}")


if __name__ == "__main__":
    main()
