"""Fitting the head of a support scorer and bringing its scores to probabilities. Pure.

Every source weighs the same, and both labels in each. What a source's examples score, for calibration and thresholds,
is told by a head that was fitted without it: what the service is asked about is of no source that was trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.support_features import NAMES, Floats
from service.support_scorer import SupportHead, standardised
from service.verifier import SupportCalibration

WRONGLY_ACCEPTED = 0.025
"""Of the unsupported examples left out, the share that no hard check stops and that reaches `accept_from`."""

SOURCES_MIN = 3
"""With fewer, a share of the rows is left out in turn instead of a source."""
FOLDS = 5
_CALIBRATION_RIDGE = 1e-3
_SCALE_MIN = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """The examples of one source.

    Args:
        figures: float64, shape (examples, figures).
        labels: float64, shape (examples,): 1.0 where supported, else 0.0; two of each at least.
    """

    figures: Floats
    labels: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """What the examples of one source scored; both shape (examples,)."""

    scores: Floats
    labels: Floats


def fit(sources: Sequence[Seen], ridge: float, rarity: npt.NDArray[np.float32]) -> SupportHead:
    """The linear head of least squares from labels -1 and 1, each figure of mean 0 and deviation 1, with a penalty on
    squared weights.

    Args:
        sources: at least one.
        ridge: the penalty.
        rarity: what the figures were made with; kept in the head.
    """
    figures = np.concatenate([one.figures for one in sources])
    labels = np.concatenate([one.labels for one in sources])
    weights = np.concatenate([balanced(one.labels) for one in sources]) / len(sources)
    means = weights @ figures
    scales = np.sqrt(weights @ (figures - means) ** 2) + _SCALE_MIN
    design = np.column_stack([np.ones(len(figures)), standardised(figures, means, scales)])
    weighted = design.T * weights
    penalty = np.diag([0.0, *([ridge] * figures.shape[1])])
    found = np.linalg.solve(weighted @ design + penalty, weighted @ (2 * labels - 1))
    return SupportHead(NAMES, means, scales, found[1:], float(found[0]), rarity)


def scores_of(head: SupportHead, figures: Floats) -> Floats:
    """float64, shape (examples,)."""
    return standardised(figures, head.means, head.scales) @ head.weights + head.intercept


def left_out(sources: Sequence[Seen], ridge: float) -> list[Scored]:
    """What each source's examples score by a head that never saw the source; of few sources, the examples."""
    nothing = np.zeros(0, np.float32)
    if len(sources) >= SOURCES_MIN:
        heads = [fit([*sources[:at], *sources[at + 1 :]], ridge, nothing) for at in range(len(sources))]
        return [Scored(scores_of(head, one.figures), one.labels) for head, one in zip(heads, sources, strict=True)]
    found = [np.zeros(len(one.labels)) for one in sources]
    for fold in range(FOLDS):
        held = [_turns(one.labels) == fold for one in sources]
        head = fit([_rows(one, ~part) for one, part in zip(sources, held, strict=True)], ridge, nothing)
        for scores, one, part in zip(found, sources, held, strict=True):
            scores[part] = scores_of(head, one.figures[part])
    return [Scored(scores, one.labels) for scores, one in zip(found, sources, strict=True)]


def _turns(labels: Floats) -> npt.NDArray[np.int64]:
    """Which fold each example is left out in: of either label the first in the first, and so on."""
    found = np.zeros(len(labels), np.int64)
    for label in (0.0, 1.0):
        which = labels == label
        found[which] = np.arange(which.sum()) % FOLDS
    return found


def _rows(one: Seen, which: npt.NDArray[np.bool_]) -> Seen:
    return Seen(one.figures[which], one.labels[which])


def calibrate(sources: Sequence[Scored], stopped: Sequence[npt.NDArray[np.bool_]] | None = None) -> SupportCalibration:
    """A logistic model of the score (Platt 1999), by Newton's method, and thresholds.

    Args:
        sources: both labels in each.
        stopped: of each, shape (examples,): which are never accepted, whatever they score; None: there are none.
    """
    scores = np.concatenate([one.scores for one in sources])
    labels = np.concatenate([one.labels for one in sources])
    weights = np.concatenate([balanced(one.labels) for one in sources]) / len(sources)
    design = np.column_stack([np.ones(len(scores)), scores])
    found = np.zeros(2)
    for _ in range(50):
        likely = 1 / (1 + np.exp(-np.clip(design @ found, -50, 50)))
        gradient = design.T @ (weights * (likely - labels)) + _CALIBRATION_RIDGE * found
        hessian = (design.T * (weights * likely * (1 - likely))) @ design + _CALIBRATION_RIDGE * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        found = found - step
        if np.abs(step).max() < 1e-9:
            break
    intercept, slope = (round(float(one), 4) for one in found)
    likely = 1 / (1 + np.exp(-np.clip(design @ np.array([intercept, slope]), -50, 50)))
    reached = likely if stopped is None else np.where(np.concatenate(stopped), 0.0, likely)
    supported = labels > 0
    steps = np.arange(1, 200) / 200
    right = [weights[supported == (likely >= one)].sum() for one in steps]
    return SupportCalibration(
        intercept=intercept,
        slope=slope,
        threshold=float(steps[int(np.argmax(right))]),
        accept_from=_quantile(reached[~supported], weights[~supported], 1 - WRONGLY_ACCEPTED),
    )


def balanced(labels: Floats) -> Floats:
    """Weights, together 1: half for each label."""
    positive = labels.sum()
    return np.asarray(np.where(labels > 0, 0.5 / positive, 0.5 / (len(labels) - positive)), np.float64)


def _quantile(scores: Floats, weights: Floats, share: float) -> float:
    """The score that this share of the weight is below."""
    order = np.argsort(scores)
    below = np.cumsum(weights[order]) / weights.sum()
    return round(float(scores[order][min(int(np.searchsorted(below, share)), len(scores) - 1)]), 4)
