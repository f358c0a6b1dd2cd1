"""The arithmetic of pseudo-relevance feedback."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.feedback import moved, telling_terms, trust

SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=10)


@given(SCORES)
def test_trust_is_shared_out_by_score(scores):
    shares = trust(scores, 0.01)
    assert shares.sum() == pytest.approx(1)
    assert np.argsort(-shares, kind="stable")[0] == np.argsort(-np.array(scores), kind="stable")[0]
    assert all(shares[0] <= one for one, score in zip(shares, scores, strict=True) if score >= scores[0])


def test_trust_in_nobody_is_nothing():
    assert trust([], 0.01).shape == (0,)


def test_one_that_stands_out_counts_alone():
    assert trust([0.9, 0.7, 0.6], 0.01)[0] > 0.999


def test_the_vector_moves_towards_the_best_and_keeps_its_length():
    query, passages = np.array([3.0, 0.0], np.float32), np.array([[0.0, 1.0], [1.0, 0.0]], np.float32)
    found = moved(query, passages, [0.9, 0.1], 0.2)
    assert found.dtype == np.float32
    assert np.linalg.norm(found) == pytest.approx(3.0)
    assert found[1] / found[0] == pytest.approx(0.2 / 0.8)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_towards_itself_nothing_changes(share):
    query = np.array([0.6, 0.8], np.float32)
    assert moved(query, query[None], [1.0], share) == pytest.approx(query)


def test_nothing_to_move_towards_leaves_it():
    query = np.array([0.6, 0.8], np.float32)
    assert moved(query, np.zeros((0, 2), np.float32), [], 0.5) is query
    assert moved(query, np.zeros((1, 2), np.float32), [1.0], 0.5) is query
    assert moved(query * 0, query[None], [1.0], 0.5) == pytest.approx(query * 0)


def test_opposite_directions_give_no_nonsense():
    query = np.array([1.0, 0.0], np.float32)
    assert np.isfinite(moved(query, -query[None], [1.0], 0.5)).all()


def test_telling_terms_are_frequent_in_the_best_and_rare_elsewhere():
    passages = [["river", "otter", "the", "the"], ["heron", "the", "the", "the"]]
    weights = {"river": 3.0, "heron": 3.0, "the": 0.01, "otter": 2.0}
    assert telling_terms(passages, [0.9, 0.5], weights, {"otter"}, 2) == ["river", "the"]
    assert telling_terms(passages, [0.9, 0.9], weights, {"otter"}, 2) == ["heron", "river"]
    assert telling_terms([], [], {}, set(), 5) == []
