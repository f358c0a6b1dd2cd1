"""Which of the ranked passages an answer is made from: not all of one document, and none twice in other clothes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from service.contract import Result
from store.analyzer import Analyzer

ALIKE = 0.7
"""Passages with at least this share of their three-term runs in common (Jaccard; Broder 1997) count as one."""

_RUN = 3


def context(results: Sequence[Result], count: int, per_document: int, analyzer: Analyzer) -> list[Result]:
    """The first `count` results, at most `per_document` of a document while others are there, near-duplicates once.

    A document that was copied or written many times over to fill the context fills one place. Pure; what is left out
    for its document's sake comes back where places stay empty.
    """
    chosen: list[Result] = []
    seen: list[frozenset[tuple[str, ...]]] = []
    beyond: list[Result] = []
    taken: Counter[str] = Counter()
    for one in results:
        if len(chosen) == count:
            break
        runs = _runs(one.passage.text, analyzer)
        if any(_alike(runs, other) for other in seen):
            continue
        if taken[one.document.id] >= per_document:
            beyond.append(one)
            continue
        taken[one.document.id] += 1
        chosen.append(one)
        seen.append(runs)
    return sorted([*chosen, *beyond[: count - len(chosen)]], key=lambda one: one.rank)


def _runs(text: str, analyzer: Analyzer) -> frozenset[tuple[str, ...]]:
    terms = analyzer.terms(text)
    if len(terms) <= _RUN:
        return frozenset([tuple(terms)])
    return frozenset(tuple(terms[at : at + _RUN]) for at in range(len(terms) - _RUN + 1))


def _alike(one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> bool:
    return len(one & other) >= ALIKE * len(one | other)
