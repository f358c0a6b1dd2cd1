"""The head of a support scorer, by hand-made figures: what is fitted, left out and calibrated."""

from __future__ import annotations

import numpy as np
import pytest

from service.support_features import NAMES
from service.verifier import probability
from training.support_head import WRONGLY_ACCEPTED, Scored, Seen, calibrate, fit, left_out, scores_of

NOTHING = np.zeros(0, np.float32)


def source(count, *, telling, other=0.0, seed=0):
    """So many examples of each label, told by one figure, with noise in the others; `other` sets the second figure."""
    dice = np.random.default_rng(seed)
    labels = np.repeat([1.0, 0.0], count)
    figures = dice.normal(size=(2 * count, len(NAMES)))
    figures[:, telling] = np.where(labels > 0, 1.0, -1.0) + dice.normal(scale=0.3, size=2 * count)
    figures[:, -1] += other
    return Seen(figures, labels)


def test_the_figure_that_tells_is_found():
    head = fit([source(400, telling=3)], 0.01, NOTHING)
    assert int(np.argmax(np.abs(head.weights))) == 3
    scores = scores_of(head, source(200, telling=3, seed=1).figures)
    assert scores[:200].min() > 0 > scores[200:].max()


def test_a_large_source_does_not_outvote_a_small_one():
    large, small = source(2000, telling=3), source(100, telling=7, seed=1)
    weights = fit([large, small], 0.1, NOTHING).weights
    assert weights[7] == pytest.approx(weights[3], rel=0.35)


def test_a_source_is_scored_by_a_head_that_never_saw_it():
    """The last one says the opposite of the others: a head that had seen it would know."""
    sources = [source(200, telling=3, seed=seed) for seed in range(6)]
    turned = Seen(sources[5].figures, 1 - sources[5].labels)
    scored = left_out([*sources[:5], turned], 0.1)
    assert (scored[5].scores[scored[5].labels > 0] < 0).mean() > 0.9
    assert (scored[0].scores[scored[0].labels > 0] > 0).mean() > 0.9


def test_of_one_source_no_example_is_scored_by_a_head_that_saw_it():
    """Labels drawn by lot can only be remembered, not learned."""
    dice = np.random.default_rng(4)
    lots = Seen(dice.normal(size=(150, len(NAMES))), np.repeat([1.0, 0.0], 75))
    (scored,) = left_out([lots], 1e-3)
    right = ((scored.scores > 0) == (lots.labels > 0)).mean()
    assert 0.3 < right < 0.7


def told_apart(count, score):
    """Supported ones at +score, others at -score."""
    return Scored(np.array([score, -score] * count), np.array([1.0, 0.0] * count))


def test_what_is_told_apart_is_told_apart_after_calibration():
    found = calibrate([told_apart(50, 2.0)])
    assert found.slope > 0
    assert probability(2.0, found) > found.threshold > probability(-2.0, found)
    assert found.accept_from <= probability(2.0, found) + 1e-3


def test_every_source_weighs_the_same_in_calibration_however_large():
    """The large source puts the border at 0, the small one at 2."""
    large, small = told_apart(500, 1.0), told_apart(5, 1.0)
    small = Scored(small.scores + 2, small.labels)
    found = calibrate([large, small])
    many = Scored(np.tile(small.scores, 100), np.tile(small.labels, 100))
    assert found.intercept == pytest.approx(calibrate([large, many]).intercept, abs=1e-3)
    assert found.intercept < 0


def test_hardly_any_unsupported_one_is_accepted():
    dice = np.random.default_rng(5)
    labels = dice.integers(0, 2, 4000).astype(float)
    found = calibrate([Scored(dice.normal(labels * 2, 1.0), labels)])
    scores = np.array([probability(one, found) for one in dice.normal(0, 1.0, 20_000).tolist()])
    assert (scores >= found.accept_from).mean() == pytest.approx(WRONGLY_ACCEPTED, abs=0.01)
    assert found.threshold < found.accept_from
