"""Risk, coverage, and what is refused at a share of wrong refusals: by hand."""

from __future__ import annotations

import pytest

from evaluation.refusals import Refusals, Weighed, aurc, refused_within, risk_coverage

SCORES = [0.9, 0.8, 0.7, 0.2]
ANSWERABLE = [True, False, True, False]


def test_the_curve_by_hand():
    assert risk_coverage(SCORES, ANSWERABLE) == [
        (0.25, 0.0),
        (0.5, 0.5),
        (0.75, pytest.approx(1 / 3)),
        (1.0, 0.5),
    ]
    assert aurc(SCORES, ANSWERABLE) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)


def test_equal_scores_are_answered_together():
    assert risk_coverage([0.5, 0.5, 0.5], [True, False, True]) == [(1.0, pytest.approx(1 / 3))]
    assert aurc([0.5, 0.5], [False, True]) == aurc([0.5, 0.5], [True, False]) == 0.5


def test_the_order_that_is_right_has_the_smallest_area():
    assert aurc([0.9, 0.8, 0.2, 0.1], [True, True, False, False]) < aurc(SCORES, ANSWERABLE)


class TestRefusedWithin:
    def test_a_tenth_of_ten_may_be_refused_wrongly(self):
        kept = [number / 10 for number in range(1, 11)]
        scores, labels = [*kept, 0.05, 0.15, 0.25], [True] * 10 + [False] * 3
        assert refused_within(scores, labels, 0.0) == pytest.approx(1 / 3)
        assert refused_within(scores, labels, 0.1) == pytest.approx(2 / 3)
        assert refused_within(scores, labels, 1.0) == 1.0

    def test_equal_scores_cannot_be_parted(self):
        assert refused_within([0.5] * 4, [True, True, False, False], 0.5) == 0.0

    def test_sets_of_one_kind_say_nothing(self):
        assert refused_within([0.5, 0.6], [True, True], 0.1) == 0.0
        assert refused_within([0.5, 0.6], [False, False], 0.1) == 0.0


def test_the_threshold_in_force_is_counted_apart_from_the_curve():
    weighed = {
        str(at): Weighed(can_be, score, 0.5) for at, (score, can_be) in enumerate(zip(SCORES, ANSWERABLE, strict=True))
    }
    figures = Refusals(weighed, abstain_below=0.75).figures()
    assert figures["refused_unanswerable"] == figures["refused_answerable"] == 0.5
    assert figures["auroc"] == pytest.approx(0.75)
    assert figures["plain_auroc"] == 0.5
    assert figures["plain_refused_at_10%_wrong"] == 0.0
