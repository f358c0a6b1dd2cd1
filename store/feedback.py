"""Pseudo-relevance feedback: the best passages of a first look, taken as if somebody had called them relevant.

Dense: the question's vector moves towards theirs (Rocchio's formula with vectors of a dense encoder: Li et al., "Pseudo
Relevance Feedback with Deep Language Models and Dense Retrievers", ACM TOIS 41(3), 2023, section 3.2). Lexical: the
question gets terms that are telling in them (RM3: Abdul-Jaleel et al., "UMass at TREC 2004: Novelty and HARD", TREC
2004). In both a passage counts by a softmax over fused scores, so that one that stands out counts alone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from store.embedding import Vectors

DENSE_TEMPERATURE = 0.01
LEXICAL_TEMPERATURE = 0.04
"""Of the softmax, in units of the fused score."""


def trust(scores: Sequence[float], temperature: float) -> npt.NDArray[np.float64]:
    """How far each passage counts: float64, shape (passages,), summing to 1."""
    values = np.asarray(scores, np.float64) / temperature
    shares = np.exp(values - values.max(initial=-np.inf))
    return np.asarray(shares / max(float(shares.sum()), 1e-12), np.float64)


def moved(query: Vectors, vectors: Vectors, scores: Sequence[float], share: float) -> Vectors:
    """The question's vector moved towards those of its best passages; of the length that it had.

    Args:
        query: float32, shape (dimension,).
        vectors: float32, shape (passages, dimension).
        scores: their fused scores.
        share: of the passages in the result, 0 to 1.
    """
    centre = trust(scores, DENSE_TEMPERATURE) @ vectors if len(vectors) else np.zeros_like(query)
    lengths = [_length(one) for one in (query, centre)]
    if min(lengths) == 0:
        return query
    mixed = (1 - share) * query / lengths[0] + share * centre / lengths[1]
    return np.asarray(mixed * (lengths[0] / max(_length(mixed), 1e-12)), np.float32)


def _length(vector: npt.NDArray[np.floating[Any]]) -> float:
    return math.sqrt(float(vector @ vector))


def telling_terms(
    passages: Sequence[Sequence[str]],
    scores: Sequence[float],
    weights: Mapping[str, float],
    known: Collection[str],
    size: int,
) -> list[str]:
    """Terms that tell the best passages from others, best first, at most `size`, none of those `known`.

    Args:
        passages: the terms of each.
        scores: their fused scores.
        weights: inverse passage frequency by term; one that is not in it is left out.
        known: the question's own terms.
    """
    told: Counter[str] = Counter()
    for terms, share in zip(passages, trust(scores, LEXICAL_TEMPERATURE).tolist(), strict=True):
        for term, times in Counter(terms).items():
            if term in weights and term not in known:
                told[term] += share * times / len(terms) * weights[term]
    return sorted(told, key=lambda term: (-told[term], term))[:size]
