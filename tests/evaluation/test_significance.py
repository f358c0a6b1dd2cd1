"""Significance against enumeration, against itself with other seeds, and on what cannot differ."""

from __future__ import annotations

import itertools
import math
import random
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.significance import holm, paired_difference, randomisation_p, smallest_detectable


def test_no_question_at_all_and_unpaired_values_are_refused():
    with pytest.raises(ValueError, match="no question"):
        paired_difference([], [])
    with pytest.raises(ValueError, match="shorter"):
        paired_difference([0.1, 0.2], [0.3])


def test_equal_systems_have_p_1_and_no_effect():
    found = paired_difference([0.5, 0.1, 0.9], [0.5, 0.1, 0.9])

    assert (found.p, found.difference, found.effect_size, found.detectable) == (1.0, 0.0, None, 0.0)
    assert (found.wins, found.losses, found.ties) == (0, 0, 3)


def test_one_question_proves_nothing():
    found = paired_difference([0.0], [1.0])

    assert (found.p, found.effect_size, found.detectable) == (1.0, None, None)


@pytest.mark.parametrize("seed", range(6))
def test_p_is_that_of_all_sign_changes(seed):
    chance = random.Random(seed)
    differences = [chance.choice([-0.5, -0.1, 0.0, 0.1, 0.2, 0.4]) for _ in range(11)]
    observed = abs(math.fsum(differences))
    signs = itertools.product([1, -1], repeat=len(differences))
    sums = [abs(math.fsum(s * d for s, d in zip(one, differences, strict=True))) for one in signs]
    exact = sum(one >= observed - 1e-9 for one in sums) / len(sums)

    assert randomisation_p(differences, permutations=20_000) == pytest.approx(exact, abs=0.015)


@settings(max_examples=40)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40), st.integers(0, 5))
def test_the_same_seed_gives_the_same_p_and_the_sign_does_not_matter(differences, seed):
    once = randomisation_p(differences, permutations=200, seed=seed)

    assert once == randomisation_p(differences, permutations=200, seed=seed)
    assert once == randomisation_p([-one for one in differences], permutations=200, seed=seed)
    assert 1 / 201 <= once <= 1.0


def test_of_systems_that_do_not_differ_one_in_twenty_is_called_different():
    chance = random.Random(3)
    called = 0
    for _ in range(300):
        differences = [chance.gauss(0, 1) for _ in range(30)]
        called += randomisation_p(differences, permutations=400) < 0.05

    assert 0.02 <= called / 300 <= 0.09


def test_a_difference_of_the_detectable_size_is_found_in_four_of_five_samples():
    chance = random.Random(4)
    true = smallest_detectable(1.0, 60)
    found = sum(
        randomisation_p([chance.gauss(true, 1) for _ in range(60)], permutations=400) < 0.05 for _ in range(300)
    )

    assert 0.72 <= found / 300 <= 0.87


def test_effect_size_is_in_standard_deviations_of_the_differences():
    baseline, candidate = [0.1, 0.2, 0.3, 0.4], [0.2, 0.5, 0.2, 0.9]
    differences = [new - old for old, new in zip(baseline, candidate, strict=True)]

    found = paired_difference(baseline, candidate)

    assert found.effect_size == pytest.approx(statistics.mean(differences) / statistics.stdev(differences))
    assert found.difference == pytest.approx(found.candidate - found.baseline)
    assert (found.wins, found.losses, found.ties) == (3, 1, 0)


def test_holm_is_the_published_procedure():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_lowers_no_p_keeps_their_order_and_is_never_above_bonferroni(values):
    adjusted = holm(values)

    for value, after in zip(values, adjusted, strict=True):
        assert value <= after <= min(1.0, len(values) * value + 1e-12)
    order = sorted(range(len(values)), key=lambda position: values[position])
    assert [adjusted[position] for position in order] == sorted(adjusted)
