"""How much of what people would say an answer says, by tokens: no model judges.

Tokens are compared as SQuAD compares them (Rajpurkar et al., EMNLP 2016): lower case, without punctuation and English
articles. Of several gold texts the one that fits best counts.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised_tokens(text: str) -> list[str]:
    """The words that are compared."""
    return _ARTICLES.sub(" ", text.casefold().translate(_NO_PUNCTUATION)).split()


def token_f1(answer: str, golds: Sequence[str]) -> float:
    """Harmonic mean of the shares of equal tokens in answer and gold text; 0 without a gold text."""
    return max((_f1(*_shared(answer, gold)) for gold in golds), default=0.0)


def token_coverage(answer: str, golds: Sequence[str]) -> float:
    """Share of a gold text's tokens that the answer has, each as often as it stands there; 0 without a gold text."""
    found = [_shared(answer, gold) for gold in golds]
    return max((shared / wanted for shared, _, wanted in found if wanted), default=0.0)


def contains(answer: str, strings: Sequence[str]) -> float:
    """1 where one of the strings stands in the answer as whole words, else 0."""
    said = f" {' '.join(normalised_tokens(answer))} "
    wanted = [" ".join(normalised_tokens(one)) for one in strings]
    return float(any(f" {one} " in said for one in wanted if one))


def _shared(answer: str, gold: str) -> tuple[int, int, int]:
    """How many tokens are shared, and how many answer and gold text have."""
    said, wanted = normalised_tokens(answer), normalised_tokens(gold)
    return (Counter(said) & Counter(wanted)).total(), len(said), len(wanted)


def _f1(shared: int, said: int, wanted: int) -> float:
    return 2 * shared / (said + wanted) if said + wanted else 0.0
