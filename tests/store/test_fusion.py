"""Fusion: the published formula, and what follows from it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.fusion import blended, convex, normalised

dense_scores = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(-1, 1, width=32), max_size=8)
lexical_scores = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0.125, 50, width=32), max_size=8)
weights = st.floats(0, 1)


def by_definition(dense, lexical, weight):
    """TM2C2 as Bruch, Gai and Ingber write it."""

    def unit(scores, minimum):
        best = max(scores.values())
        return {key: (score - minimum) / (best - minimum) if best > minimum else 0.0 for key, score in scores.items()}

    dense_unit, lexical_unit = (unit(dense, -1.0) if dense else {}), (unit(lexical, 0.0) if lexical else {})
    if not dense or not lexical:
        return dense_unit or lexical_unit
    return {
        key: weight * dense_unit.get(key, 0) + (1 - weight) * lexical_unit.get(key, 0) for key in {*dense, *lexical}
    }


@given(dense_scores, lexical_scores, weights)
def test_fused_scores_are_those_of_the_definition(dense, lexical, weight):
    assert convex(dense, lexical, dense_weight=weight) == pytest.approx(by_definition(dense, lexical, weight))


@given(dense_scores, lexical_scores, weights)
def test_fused_scores_lie_between_0_and_1(dense, lexical, weight):
    fused = convex(dense, lexical, dense_weight=weight)
    assert fused.keys() == dense.keys() | lexical.keys()
    assert all(-1e-9 <= score <= 1 + 1e-9 for score in fused.values())


@given(dense_scores.filter(bool), lexical_scores.filter(bool), weights)
def test_a_candidate_at_least_as_good_in_both_legs_is_fused_at_least_as_high(dense, lexical, weight):
    fused = convex(dense, lexical, dense_weight=weight)
    for one in fused:
        for other in fused:
            better_dense = dense.get(one, -1.0) >= dense.get(other, -1.0)
            if better_dense and lexical.get(one, 0.0) >= lexical.get(other, 0.0):
                assert fused[one] >= fused[other] - 1e-9


@given(dense_scores)
def test_with_one_leg_empty_the_other_decides_alone_and_unweighted(scores):
    assert convex(scores, {}, dense_weight=0.3) == normalised(scores, -1.0)
    assert convex({}, scores, dense_weight=0.3, lexical_minimum=-1.0) == normalised(scores, -1.0)


def test_nothing_fused_with_nothing_is_nothing():
    assert convex({}, {}) == {}


def test_weights_of_0_and_1_follow_one_leg():
    dense, lexical = {"a": 0.9, "b": 0.1}, {"a": 1.0, "b": 3.0}
    assert convex(dense, lexical, dense_weight=1.0) == pytest.approx({"a": 1.0, "b": 1.1 / 1.9})
    assert convex(dense, lexical, dense_weight=0.0) == pytest.approx({"a": 1 / 3, "b": 1.0})


@pytest.mark.parametrize(
    ("scores", "minimum", "expected"),
    [
        ({}, -1.0, {}),
        ({"a": -1.0, "b": -1.0}, -1.0, {"a": 0.0, "b": 0.0}),
        ({"a": 1.0, "b": 0.0}, -1.0, {"a": 1.0, "b": 0.5}),
        ({"a": -1.2, "b": 1.0}, -1.0, {"a": 0.0, "b": 1.0}),
    ],
)
def test_normalised_scores_start_at_the_least_possible_one(scores, minimum, expected):
    assert normalised(scores, minimum) == pytest.approx(expected)


fused_scores = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0, 1, width=16), max_size=8)
rerank_scores = st.dictionaries(st.sampled_from("abcdefghxyz"), st.floats(-20, 20, width=16), max_size=11)


@given(fused_scores, rerank_scores, weights)
def test_blending_favours_neither_what_was_reached_nor_what_was_not(fused, rerank, weight):
    final = blended(fused, rerank, weight=weight)
    both = fused.keys() & rerank.keys()

    assert final.keys() == fused.keys()
    assert {key: final[key] for key in fused.keys() - both} == {key: fused[key] for key in fused.keys() - both}
    assert sum(final[key] for key in both) == pytest.approx(sum(fused[key] for key in both), abs=1e-9)


@given(fused_scores, rerank_scores, weights, st.floats(0.5, 100), st.floats(-50, 50))
def test_blending_does_not_depend_on_the_scale_of_the_reranker(fused, rerank, weight, factor, offset):
    scaled = {key: factor * score + offset for key, score in rerank.items()}

    expected = blended(fused, rerank, weight=weight)
    assert blended(fused, scaled, weight=weight) == pytest.approx(expected, abs=1e-6)


@given(fused_scores, rerank_scores, weights)
def test_of_two_with_equal_fused_scores_the_better_reranked_is_not_below(fused, rerank, weight):
    level = dict.fromkeys(fused, 0.5) | {"a": 0.9, "b": 0.1}
    final = blended(level, rerank, weight=weight)
    both = [key for key in rerank if level.get(key) == 0.5]

    for one in both:
        for other in both:
            if rerank[one] >= rerank[other]:
                assert final[one] >= final[other] - 1e-9


def test_blending_by_hand():
    fused = {"a": 1.0, "b": 0.5, "c": 0.4}
    final = blended(fused, {"a": -3.0, "b": 5.0}, weight=0.75)

    assert final == pytest.approx({"a": 0.25 * 1.0 + 0.75 * 0.5, "b": 0.25 * 0.5 + 0.75 * 1.0, "c": 0.4})
    assert list(blended(fused, {"a": -3.0}, weight=1.0).values()) == [1.0, 0.5, 0.4]
    assert blended(fused, {}, weight=1.0) == fused
    assert blended({}, {"a": 1.0}, weight=1.0) == {}
