"""Fusion arithmetic: a convex combination of two legs' scores with theoretical-minimum normalisation (TM2C2).

Bruch, Gai, Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval", ACM TOIS 42(1), 2023, section 4: each leg's
score is shifted by its smallest possible value (cosine: -1, BM25: 0) and divided by the query's largest shifted score;
the fused score is alpha * dense + (1 - alpha) * lexical.
"""

from __future__ import annotations

from collections.abc import Mapping

DENSE_WEIGHT = 0.8


def normalised(scores: Mapping[str, float], smallest_possible: float) -> dict[str, float]:
    """Scores of one leg on [0, 1]: 0 at the leg's theoretical minimum, 1 at this query's best."""
    top = max(scores.values(), default=smallest_possible) - smallest_possible
    if top <= 0:
        return dict.fromkeys(scores, 0.0)
    return {key: max(score - smallest_possible, 0.0) / top for key, score in scores.items()}


def convex(
    dense: Mapping[str, float],
    lexical: Mapping[str, float],
    *,
    dense_weight: float = DENSE_WEIGHT,
    dense_minimum: float = -1.0,
    lexical_minimum: float = 0.0,
) -> dict[str, float]:
    """Fused scores on [0, 1] for the union of both legs' candidates.

    A candidate one leg did not return counts as that leg's minimum, so give each leg's true score where it is known.
    With one leg empty the other's normalised scores are the result, unweighted.
    """
    dense_unit = normalised(dense, dense_minimum)
    lexical_unit = normalised(lexical, lexical_minimum)
    if not lexical_unit:
        return dense_unit
    if not dense_unit:
        return lexical_unit
    keys = dense_unit.keys() | lexical_unit.keys()
    return {
        key: dense_weight * dense_unit.get(key, 0.0) + (1.0 - dense_weight) * lexical_unit.get(key, 0.0) for key in keys
    }
