"""Questions made of passages, for want of people's: a sentence is taken out and asked, and the rest of its passage is
what should be found (the inverse cloze task: Lee, Chang, Toutanova, "Latent Retrieval for Weakly Supervised Open Domain
Question Answering", ACL 2019, section 4).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from service.sentences import units
from store.analyzer import Analyzer
from store.document import embedded_text
from store.passages import StoredPassage

WORDS_MAX = 14
"""As long as people's questions get; of a longer sentence a run of words is taken."""

_TERMS_MIN = 4


@dataclass(frozen=True, slots=True)
class PseudoQuestion:
    """One question.

    Args:
        text: what is asked.
        passage_id: the passage it was taken from.
        rest: that passage's embedded text without the sentence.
        text_left: its text without the sentence.
    """

    text: str
    passage_id: str
    rest: str
    text_left: str


def pseudo_questions(
    passages: Iterable[StoredPassage], analyzer: Analyzer, *, header: bool = True, seed: int = 0
) -> Iterator[PseudoQuestion]:
    """A question of every passage that has at least two sentences, one of them telling enough to be asked."""
    dice = random.Random(seed)  # noqa: S311  # a sample, not a secret
    for one in passages:
        text = one.passage.text
        telling = [
            unit
            for unit in units(text)
            if unit.kind not in ("code", "heading")
            and len(analyzer.question_terms(text[unit.start : unit.end])) >= _TERMS_MIN
        ]
        if len(telling) < 2:
            continue
        chosen = dice.choice(telling)
        words = text[chosen.start : chosen.end].split()
        if len(words) > WORDS_MAX:
            start = dice.randrange(len(words) - WORDS_MAX + 1)
            words = words[start : start + WORDS_MAX]
        left = f"{text[: chosen.start]} {text[chosen.end :]}"
        whole = embedded_text(one.document.title, one.passage.section, left, header=header)
        yield PseudoQuestion(" ".join(words), one.passage.id, whole, left)
