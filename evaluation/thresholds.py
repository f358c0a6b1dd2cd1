"""Where to stop answering: a threshold on a score with a finite-sample bound on wrong refusals.

Of answerable questions still to come, those below the k-th smallest score of n such questions are a share distributed
as Beta(k, n - k + 1), whatever the scores' distribution, and less where scores are equal (Wilks, "Determination of
Sample Sizes for Setting Tolerance Limits", 1941). It is above `share_max` with a chance of
P(Binomial(n, share_max) <= k - 1), the tail by which Clopper and Pearson (1934) bound a share of which k - 1 of n were
seen. Testing thresholds one after another from the lowest, as in Learn then Test (Angelopoulos et al., 2021, fixed
sequence testing), comes down to the same.

The bound holds for questions that are exchangeable with those it was chosen on, and for no others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Threshold:
    """What refusing below a score does.

    Args:
        below: scores under this one are refused.
        questions: how many answerable questions it was chosen on.
        refused: how many of them it refuses.
        bound: the share of wrong refusals that is exceeded with a chance of at most 1 - confidence.
    """

    below: float
    questions: int
    refused: int
    bound: float


def questions_needed(share_max: float, confidence: float) -> int:
    """How many answerable questions there must be for any threshold to be had."""
    return math.ceil(math.log(1 - confidence) / math.log(1 - share_max))


def highest_threshold(answerable: Sequence[float], *, share_max: float, confidence: float) -> Threshold | None:
    """The highest threshold that refuses more than `share_max` of answerable questions with a chance of at most
    1 - `confidence`. None where there are too few.

    Args:
        answerable: the scores of questions that should be answered.
        share_max: of answerable questions that may be refused, above 0 and below 1.
        confidence: above 0 and below 1.
    """
    ordered = sorted(answerable)
    count = len(ordered)
    allowed = -1
    while allowed + 1 < count and at_most(allowed + 1, count, share_max) <= 1 - confidence:
        allowed += 1
    if allowed < 0:
        return None
    below = ordered[allowed]
    refused = sum(score < below for score in ordered)  # fewer than allowed where scores are equal
    return Threshold(below, count, refused, upper_bound(allowed, count, confidence))


def upper_bound(happened: int, count: int, confidence: float) -> float:
    """Clopper and Pearson's one-sided upper bound of a share seen `happened` times among `count`, by bisection."""
    if happened >= count:
        return 1.0
    low, high = happened / count, 1.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if at_most(happened, count, middle) > 1 - confidence else (low, middle)
    return high


def at_most(happened: int, count: int, share: float) -> float:
    """P(Binomial(count, share) <= happened), for a share above 0 and below 1."""
    chances = (
        math.lgamma(count + 1)
        - math.lgamma(one + 1)
        - math.lgamma(count - one + 1)
        + one * math.log(share)
        + (count - one) * math.log1p(-share)
        for one in range(happened + 1)
    )
    return min(math.fsum(map(math.exp, chances)), 1.0)
