"""Whether two systems differ, question by question: a paired randomisation test, effect size, and what could be seen.

Smucker, Allan, Carterette, "A Comparison of Statistical Significance Tests for Information Retrieval Evaluation", CIKM
2007: under the null hypothesis a question's two values could have come from either system, so each difference keeps or
changes its sign by the toss of a coin. Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979, for many
comparisons at once. Sakai, "Statistical Reform in Information Retrieval?", SIGIR Forum 48(1), 2014, on effect sizes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

PERMUTATIONS = 10_000
SEED = 0
ALPHA = 0.05
POWER = 0.8

_TIE = 1e-12  # sums that differ by less differ only in the order of their additions
_ROWS = 500  # permutations drawn together: memory stays below 500 x questions x 9 bytes


@dataclass(frozen=True, slots=True)
class Difference:
    """What paired values say about candidate less baseline.

    Args:
        questions: how many pairs.
        baseline, candidate: the mean values.
        difference: mean of candidate less baseline.
        effect_size: the mean difference in standard deviations of the differences; None where they do not vary.
        detectable: the smallest true mean difference that a two-sided test at 0.05 would find in four of five such
            samples (normal approximation); None for fewer than two pairs.
        p: of a paired randomisation test, two-sided.
        wins, losses, ties: questions on which the candidate is better, worse and equal.
    """

    questions: int
    baseline: float
    candidate: float
    difference: float
    effect_size: float | None
    detectable: float | None
    p: float
    wins: int
    losses: int
    ties: int


def paired_difference(
    baseline: Sequence[float], candidate: Sequence[float], *, permutations: int = PERMUTATIONS, seed: int = SEED
) -> Difference:
    """Compare two systems on the same questions, in the same order. Raises ValueError for different lengths or none."""
    if not baseline:
        raise ValueError("there is no question to compare on")
    differences = [new - old for old, new in zip(baseline, candidate, strict=True)]
    count = len(differences)
    mean = math.fsum(differences) / count
    deviation = _deviation(differences, mean)
    return Difference(
        questions=count,
        baseline=math.fsum(baseline) / count,
        candidate=math.fsum(candidate) / count,
        difference=mean,
        effect_size=mean / deviation if deviation else None,
        detectable=None if deviation is None else smallest_detectable(deviation, count),
        p=randomisation_p(differences, permutations=permutations, seed=seed),
        wins=sum(one > 0 for one in differences),
        losses=sum(one < 0 for one in differences),
        ties=sum(one == 0 for one in differences),
    )


def randomisation_p(differences: Sequence[float], *, permutations: int = PERMUTATIONS, seed: int = SEED) -> float:
    """Two-sided p of a mean this far from zero were every sign a coin's toss.

    (1 + r) / (1 + permutations), r being how many random signs give a mean at least as far: never 0, and valid for any
    number of permutations. Equal input and seed give an equal p.
    """
    import numpy as np

    values = np.array([one for one in differences if one != 0.0], np.float64)  # a zero has no sign to change
    observed = abs(math.fsum(values))
    reach = observed - _TIE * max(1.0, float(np.abs(values).sum()))
    random = np.random.default_rng(seed)
    as_far = 0
    for at in range(0, permutations, _ROWS):
        rows = min(_ROWS, permutations - at)
        tossed = random.integers(0, 2, (rows, len(values)), np.int8).astype(np.float64)
        sums = np.abs((2.0 * tossed - 1.0) @ values)
        as_far += int((sums >= reach).sum())
    return (1 + as_far) / (1 + permutations)


def smallest_detectable(deviation: float, count: int, *, alpha: float = ALPHA, power: float = POWER) -> float:
    """(z(1 - alpha / 2) + z(power)) * deviation / sqrt(count): the true mean difference found with that power."""
    normal = NormalDist()
    return (normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)) * deviation / math.sqrt(count)


def holm(values: Sequence[float]) -> list[float]:
    """The p values adjusted for being one of many (Holm, 1979), in the order given: reject those below alpha."""
    adjusted = [0.0] * len(values)
    highest = 0.0
    for step, position in enumerate(sorted(range(len(values)), key=lambda one: values[one])):
        highest = max(highest, min((len(values) - step) * values[position], 1.0))
        adjusted[position] = highest
    return adjusted


def _deviation(values: Sequence[float], mean: float) -> float | None:
    """Sample standard deviation; None for fewer than two values."""
    if len(values) < 2:
        return None
    return math.sqrt(math.fsum((one - mean) ** 2 for one in values) / (len(values) - 1))
