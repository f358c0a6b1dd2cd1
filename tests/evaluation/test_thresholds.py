"""The bound on wrong refusals: by hand, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.thresholds import at_most, highest_threshold, questions_needed, upper_bound


class TestBinomial:
    def test_by_hand(self):
        assert at_most(0, 3, 0.5) == pytest.approx(1 / 8)
        assert at_most(1, 3, 0.5) == pytest.approx(4 / 8)
        assert at_most(3, 3, 0.2) == pytest.approx(1.0)
        assert at_most(1, 10, 0.1) == pytest.approx(0.9**10 + 10 * 0.1 * 0.9**9)

    def test_many_questions_overflow_nothing(self):
        assert at_most(50_000, 100_000, 0.5) == pytest.approx(0.5, abs=0.01)


class TestBound:
    def test_none_of_n_is_the_rule_of_three(self):
        """1 - (1 - confidence) ** (1 / n), about 3 / n at 95 %."""
        assert upper_bound(0, 100, 0.95) == pytest.approx(1 - 0.05 ** (1 / 100), abs=1e-7)

    def test_as_in_tables(self):
        """Clopper and Pearson, 95 % one-sided: 1 of 10 is at most 0.394, 5 of 50 at most 0.199."""
        assert upper_bound(1, 10, 0.95) == pytest.approx(0.3942, abs=5e-4)
        assert upper_bound(5, 50, 0.95) == pytest.approx(0.1991, abs=5e-4)

    def test_all_of_them(self):
        assert upper_bound(4, 4, 0.9) == 1.0


class TestChoice:
    def test_too_few_questions_give_none(self):
        needed = questions_needed(0.1, 0.9)
        assert needed == 22
        assert highest_threshold([0.5] * (needed - 1), share_max=0.1, confidence=0.9) is None
        assert highest_threshold([], share_max=0.1, confidence=0.9) is None

    def test_with_just_enough_nothing_that_was_seen_is_refused(self):
        scores = [0.3 + number / 100 for number in range(22)]
        found = highest_threshold(scores, share_max=0.1, confidence=0.9)
        assert found is not None
        assert (found.below, found.questions, found.refused) == (0.3, 22, 0)
        assert found.bound <= 0.1

    def test_one_more_refusal_would_break_the_bound(self):
        scores = [number / 200 for number in range(200)]
        found = highest_threshold(scores, share_max=0.1, confidence=0.9)
        assert found is not None
        assert upper_bound(found.refused, 200, 0.9) <= 0.1 < upper_bound(found.refused + 1, 200, 0.9)
        assert found.below == scores[found.refused]

    def test_equal_scores_are_not_refused_together(self):
        found = highest_threshold([0.2] * 100 + [0.9] * 100, share_max=0.1, confidence=0.9)
        assert found is not None
        assert (found.below, found.refused) == (0.2, 0)

    @pytest.mark.parametrize(("count", "share_max"), [(30, 0.1), (250, 0.1), (100, 0.05)])
    def test_the_promise_is_broken_as_rarely_as_promised(self, count, share_max):
        """Of thresholds chosen on samples, at most 1 - confidence refuse more than share_max of the whole."""
        dice = np.random.default_rng(3)
        broken = 0
        for _ in range(1000):
            found = highest_threshold(dice.uniform(size=count).tolist(), share_max=share_max, confidence=0.9)
            broken += found is not None and found.below > share_max  # of uniform scores, the share below
        assert broken / 1000 <= 0.1 + 3 * (0.1 * 0.9 / 1000) ** 0.5
