"""Which of the ranked passages an answer is made from: not all of one document, and none twice in other clothes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from service.contract import Result
from service.fact_words import MAY, MUST, SHOULD
from service.negation import negations
from store.analyzer import Analyzer

ALIKE = 0.7
"""Passages with at least this share of their three-term runs in common (Jaccard; Broder 1997) count as one."""

VERSIONS_MAX = 2
"""Copies of one text that say something else by a number, a negation or an obligation."""

_RUN = 3
_NUMBER = re.compile(r"(?<![\w.,])\d+(?:[.,]\d+)*")
_WORD = re.compile(r"[^\W\d_]+")

_Facts = tuple[tuple[str, ...], int, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Kind:
    """Passages of much the same words, and what those that were taken say of numbers, negation and obligation."""

    runs: frozenset[tuple[str, ...]]
    facts: list[_Facts] = field(default_factory=list)


def context(results: Sequence[Result], count: int, per_document: int, analyzer: Analyzer) -> list[Result]:
    """The first `count` results, at most `per_document` of a document while others are there, near-duplicates once.

    A document that was copied or written many times over to fill the context fills one place; two where copies differ
    in a number, a negation or an obligation, so that a copy with another dose does not hide the one it was made of.
    Pure; what is left out for its document's sake comes back where places stay empty.
    """
    chosen: list[Result] = []
    seen: list[_Kind] = []
    beyond: list[Result] = []
    taken: Counter[str] = Counter()
    for one in results:
        if len(chosen) == count:
            break
        runs, facts = _runs(one.passage.text, analyzer), _facts(one.passage.text)
        kind = next((other for other in seen if _alike(runs, other.runs)), None)
        if kind is not None and (facts in kind.facts or len(kind.facts) == VERSIONS_MAX):
            continue
        if taken[one.document.id] >= per_document:
            beyond.append(one)
            continue
        taken[one.document.id] += 1
        chosen.append(one)
        if kind is None:
            kind = _Kind(runs)
            seen.append(kind)
        kind.facts.append(facts)
    return sorted([*chosen, *beyond[: count - len(chosen)]], key=lambda one: one.rank)


def _runs(text: str, analyzer: Analyzer) -> frozenset[tuple[str, ...]]:
    terms = analyzer.terms(text)
    if len(terms) <= _RUN:
        return frozenset([tuple(terms)])
    return frozenset(tuple(terms[at : at + _RUN]) for at in range(len(terms) - _RUN + 1))


def _alike(one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> bool:
    return len(one & other) >= ALIKE * len(one | other)


def _facts(text: str) -> _Facts:
    words = (one.casefold() for one in _WORD.findall(text))
    numbers, strengths = sorted(_NUMBER.findall(text)), sorted(one for one in words if one in MUST | SHOULD | MAY)
    return tuple(numbers), negations(text), tuple(strengths)
