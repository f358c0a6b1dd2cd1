"""The built-in generator: the best supported sentences, verbatim. No model, no key; the default and last fallback."""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncGenerator, Iterable, Sequence

from service.adapters.generator import Ended, Piece
from service.contract import Result, Usage
from service.evidence import Evidence, stands_alone
from service.sentences import Whole, refers_back, units

MODEL = "extractive"
_SENTENCES_MAX = 3
_NEAR_BEST = 0.85  # a further sentence must score at least this share of the best one
_PASSAGE_SHARE = 0.2  # how much of a sentence's score is its passage's, that of the best passage being 1
_SAME_WORDS = 0.8  # of the shorter sentence, and every number: then the two say the same
_GAP_CHARS = 2  # of white space between neighbours: a space, or the break between two paragraphs
_WORD = re.compile(r"\w+")


class Extractive:
    """Answers with up to three sentences of the sources, each followed by its marker, and those that they lean on."""

    @property
    def usage(self) -> Usage:
        """Provider and model."""
        return Usage(provider="footnote", model=MODEL)

    async def generate(
        self,
        question: str,  # noqa: ARG002  # the evidence is ranked for it
        sources: Sequence[Result],
        evidence: Sequence[Evidence],
    ) -> AsyncGenerator[Piece, None]:
        """The chosen sentences, one piece each; prose on one line, every other unit on a line of its own."""
        for chosen in choose(evidence, sources):
            text = " ".join(chosen.text.split("\n")) if chosen.kind == "prose" else chosen.text
            yield Whole(f"{text} [{chosen.source}]\n")
        yield Ended(self.usage)


def choose(evidence: Sequence[Evidence], sources: Sequence[Result]) -> list[Evidence]:
    """The best sentence and those near it, without repetitions, each after the one that its "It" or "This" speaks of.

    Neighbours in a passage stay together. What holds the best sentence comes first, then what else its passage says,
    then the other passages.
    """
    if not evidence:
        return []
    top = max((one.score for one in sources), default=0.0)
    scores = {one: _score(one, sources, top) for one in evidence}
    ranked = sorted(evidence, key=lambda one: -scores[one])
    chosen: list[Evidence] = []
    for one in ranked:
        if scores[one] < scores[ranked[0]] * _NEAR_BEST or len(chosen) == _SENTENCES_MAX:
            break
        if not any(_repeats(one, other) for other in chosen):
            chosen.append(one)
    runs = _runs([*chosen, *filter(None, (_before(one, sources) for one in chosen))])
    best = chosen[0]
    runs.sort(key=lambda run: (best not in run, run[0].source != best.source))
    return list(itertools.chain.from_iterable(runs))


def _score(one: Evidence, sources: Sequence[Result], top: float) -> float:
    passage = sources[one.source - 1].score / top if top > 0 and one.source <= len(sources) else 0.0
    return (1 - _PASSAGE_SHARE) * one.score + _PASSAGE_SHARE * passage


def _repeats(one: Evidence, other: Evidence) -> bool:
    """Whether two sentences say the same: one is in the other, or nearly all its words and all its numbers are."""
    if one.text in other.text or other.text in one.text:
        return True
    words, known = (set(_WORD.findall(each.text.casefold())) for each in (one, other))
    numbers, known_numbers = ({word for word in each if word[0].isdigit()} for each in (words, known))
    return numbers == known_numbers and len(words & known) >= _SAME_WORDS * min(len(words), len(known))


def _before(one: Evidence, sources: Sequence[Result]) -> Evidence | None:
    """The sentence before one that speaks of what it says; None where it needs none or there is none."""
    if one.kind != "prose" or not refers_back(one.text) or one.source > len(sources):
        return None
    text = sources[one.source - 1].passage.text
    for previous, found in itertools.pairwise(units(text)):
        if found.start == one.start and previous.kind == "prose":
            sentence = text[previous.start : previous.end]
            if stands_alone(sentence):
                return Evidence(one.source, previous.start, previous.end, sentence, "prose", None, 0.0)
    return None


def _runs(sentences: Iterable[Evidence]) -> list[list[Evidence]]:
    """Sentences of one source that follow each other, together; in the order of sources and places, each once."""
    by_place = {(one.source, one.start): one for one in sentences}
    runs: list[list[Evidence]] = []
    for place in sorted(by_place):
        one = by_place[place]
        if runs and runs[-1][-1].source == one.source and one.start - runs[-1][-1].end <= _GAP_CHARS:
            runs[-1].append(one)
        else:
            runs.append([one])
    return runs
