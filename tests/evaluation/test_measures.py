"""Measures against their definitions."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.measures import best_passage_ranking, binary_auroc, percentile, ranking_measures


def test_ndcg_is_graded_and_recall_and_reciprocal_rank_are_as_defined():
    qrels = {"q": {"a": 3, "b": 1, "c": 2}, "none": {"z": 1}}
    runs = {"q": {"x": 4.0, "b": 3.0, "a": 2.0, "y": 1.0}, "none": {"x": 1.0}}

    means, by_question = ranking_measures(qrels, runs)

    gained = 1 / math.log2(3) + 3 / math.log2(4)
    ideal = 3 / math.log2(2) + 2 / math.log2(3) + 1 / math.log2(4)
    assert by_question["q"]["nDCG@10"] == pytest.approx(gained / ideal)
    assert by_question["q"]["RR@10"] == 0.5
    assert by_question["q"]["R@10"] == pytest.approx(2 / 3)
    assert means["RR@10"] == 0.25  # the question without a hit counts as 0


def test_a_question_without_any_result_counts_as_zero():
    means, _ = ranking_measures({"q": {"a": 1}, "p": {"a": 1}}, {"q": {"a": 1.0}, "p": {}})

    assert means["nDCG@10"] == 0.5


def test_a_document_ranks_where_its_best_passage_does():
    ranking = best_passage_ranking([("b", 0.9), ("a", 0.9), ("b", 0.8), ("c", 0.1)])

    assert sorted(ranking, key=lambda name: -ranking[name]) == ["b", "a", "c"]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200), st.floats(0, 100))
def test_a_percentile_is_one_of_the_values_and_bounds_its_share(values, percent):
    found = percentile(values, percent)

    assert found in values
    assert sum(value <= found for value in values) >= math.floor(percent / 100 * len(values))


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=60))
def test_auroc_counts_pairs(pairs):
    scores, labels = [score for score, _ in pairs], [label for _, label in pairs]
    good = [score for score, label in pairs if label]
    bad = [score for score, label in pairs if not label]
    if not good or not bad:
        assert math.isnan(binary_auroc(scores, labels))
        return

    wins = sum((a > b) + 0.5 * (a == b) for a in good for b in bad)

    assert binary_auroc(scores, labels) == pytest.approx(wins / (len(good) * len(bad)))
