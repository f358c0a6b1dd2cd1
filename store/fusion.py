"""Fusion arithmetic: a convex combination of two legs' scores with theoretical-minimum normalisation (TM2C2).

Bruch, Gai, Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval", ACM TOIS 42(1), 2023, section 4: each leg's
score is shifted by its smallest possible value (cosine: -1, BM25: 0) and divided by the query's largest shifted score;
the fused score is alpha * dense + (1 - alpha) * lexical.

A reranker's scores are blended with the fused ones, not put in their place: what both legs agree on is evidence too,
and a reranker that knows little of these texts must not undo it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

DENSE_WEIGHT = 0.8


def normalised(scores: Mapping[str, float], smallest_possible: float) -> dict[str, float]:
    """Scores of one leg on [0, 1]: 0 at the leg's theoretical minimum, 1 at this query's best."""
    return _weighed(scores, smallest_possible, 1.0)


def _weighed(scores: Mapping[str, float], smallest_possible: float, weight: float) -> dict[str, float]:
    """The normalised scores, each times a weight."""
    top = max(scores.values(), default=smallest_possible) - smallest_possible
    if top <= 0:
        return dict.fromkeys(scores, 0.0)
    return {
        key: weight * (above / top) if (above := score - smallest_possible) > 0 else 0.0
        for key, score in scores.items()
    }


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
    if not lexical:
        return normalised(dense, dense_minimum)
    if not dense:
        return normalised(lexical, lexical_minimum)
    fused = _weighed(dense, dense_minimum, dense_weight)
    for key, part in _weighed(lexical, lexical_minimum, 1.0 - dense_weight).items():
        fused[key] = fused.get(key, 0.0) + part
    return fused


def blended(fused: Mapping[str, float], rerank: Mapping[str, float], *, weight: float) -> dict[str, float]:
    """(1 - weight) * fused + weight * rerank for every candidate of `fused`, whether it has a rerank score or not.

    Rerank scores have no scale of their own (logits, sums of cosines). They are brought to the fused scores' mean and
    spread over the candidates that have both, so that blending moves their mean nowhere. For a candidate that was not
    reached the fused score stands in: on that scale it is the score that changes nothing, so that the candidate is
    neither favoured nor punished for not having been reached. One candidate alone, or equal scores, say nothing about
    an order: the fused scores stay.

    Args:
        fused: scores of all candidates.
        rerank: finite scores of some of them, on any scale; others are ignored.
        weight: of the rerank scores, 0 to 1.
    """
    both = [key for key in rerank if key in fused]
    theirs_mean, theirs_spread = _mean_and_spread([rerank[key] for key in both])
    if theirs_spread == 0:
        return dict(fused)
    mean, spread = _mean_and_spread([fused[key] for key in both])
    found = dict(fused)
    for key in both:
        on_scale = mean + (rerank[key] - theirs_mean) / theirs_spread * spread
        found[key] = (1 - weight) * fused[key] + weight * on_scale
    return found


def _mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation; no spread where it is lost in rounding."""
    if not values:
        return 0.0, 0.0
    mean = math.fsum(values) / len(values)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
    return mean, spread if spread > 1e-9 * max(map(abs, values)) else 0.0
