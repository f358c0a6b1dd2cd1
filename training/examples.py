"""What a cross-encoder is trained on: a question, a text, and whether the one answers the other."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.pseudo_questions import PseudoQuestion
from store.document import embedded_text
from training.rows import TrainingRow, TrainingText


@dataclass(frozen=True, slots=True)
class Example:
    """One pair and its label: 1.0 where the text answers the question, else 0.0."""

    question: str
    text: str
    label: float


@dataclass(frozen=True, slots=True)
class Found:
    """What each leg found for a question, best first, as it is embedded: never what answers it."""

    dense: Sequence[str]
    lexical: Sequence[str]


def as_embedded(text: TrainingText) -> str:
    """The text as passages are embedded, indexed and reranked."""
    return embedded_text(text.title, (), text.text)


def examples_of_row(row: TrainingRow, found: Found, negatives: int, seed: int) -> list[Example]:
    """The answer, and so many texts that are none: the source's own first, then the legs' by turns, drawn at random."""
    own = [as_embedded(text) for text in row.negatives]
    return _examples(row.question, as_embedded(row.positive), own, found, negatives, seed)


def examples_of_pseudo_question(one: PseudoQuestion, found: Found, negatives: int, seed: int) -> list[Example]:
    """The passage without the sentence that was taken from it, and so many others."""
    return _examples(one.text, one.rest, [], found, negatives, seed)


def _examples(
    question: str, positive: str, own: Sequence[str], found: Found, negatives: int, seed: int
) -> list[Example]:
    dice = random.Random(f"{seed} {question}")  # noqa: S311  # a sample, not a secret
    piles = [
        list(dict.fromkeys(text for text in pile if text != positive)) for pile in (own, found.dense, found.lexical)
    ]
    for pile in piles:
        dice.shuffle(pile)
    by_turns = (text for turn in itertools.zip_longest(*piles) for text in turn if text is not None)
    chosen = list(dict.fromkeys(by_turns))[:negatives]
    return [Example(question, positive, 1.0), *(Example(question, text, 0.0) for text in chosen)]
