"""Fusions tried on legs that were asked once rank as the service would, and as their definitions say."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.configurations import Configuration
from evaluation.fusions import LegScores, fixed_weights, reciprocal_rank
from evaluation.retrieval import measure_retrieval
from evaluation.sets import read_set
from evaluation.shown import Shown
from service.settings import ServiceSettings
from service.wiring import Service
from store.fusion import DENSE_WEIGHT

SCORES = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0.1, 5), max_size=8)


def legs(dense, lexical, beyond=None):
    falling = [dict(sorted(leg.items(), key=lambda item: -item[1])) for leg in (dense, lexical)]
    return LegScores("question", *falling, beyond or {}, -1.0, 0.0)


def test_the_service_s_own_weight_ranks_as_the_service_does(animals, tmp_path, make_index):
    make_index(tmp_path / "index", animals / "corpus.jsonl", passage_tokens=32)
    (own,) = fixed_weights([DENSE_WEIGHT])
    chosen = [Configuration("hybrid", "hybrid"), Configuration(own.name, "hybrid", fusion=own)]
    service = Service(ServiceSettings(index=tmp_path / "index", budgets=False, dense_feedback=0.0))
    steps = []
    try:
        service.reload()
        with service.holder.lease() as engine:
            questions = read_set(str(animals))
            measuring = measure_retrieval(questions, engine, chosen, Shown(), lambda: steps.append(1))
            served, replayed = asyncio.run(measuring)
    finally:
        service.close()

    assert replayed.rankings == served.rankings
    assert replayed.measures == served.measures
    assert set(replayed.latency_by_question["q-otter"]) == set(served.latency_by_question["q-otter"])
    assert len(steps) == 2 * len(questions.judged)


@given(SCORES, SCORES)
def test_reciprocal_rank_is_the_sum_over_legs(dense, lexical):
    found = legs(dense, lexical)
    fused = reciprocal_rank().fuse(found)

    for key in dense.keys() | lexical.keys():
        ranks = [list(leg).index(key) + 1 for leg in (found.dense, found.lexical) if key in leg]
        assert fused[key] == pytest.approx(sum(1 / (60 + rank) for rank in ranks))
    assert sorted(fused) == sorted(dense.keys() | lexical.keys())


def test_the_outermost_weights_are_the_legs_alone():
    found = legs({"a": 0.9, "b": 0.2}, {"c": 7.0, "b": 3.0}, beyond={"c": 0.1})
    lexical, dense = fixed_weights([0.0, 1.0])

    assert found.ranked(lexical.fuse(found)) == ["c", "b", "a"]
    assert found.ranked(dense.fuse(found)) == ["a", "b", "c"]


def test_equal_scores_keep_the_legs_order_dense_first():
    found = legs({"x": 0.5, "m": 0.4}, {"a": 1.0})

    assert found.ranked(dict.fromkeys(["a", "m", "x"], 1.0)) == ["x", "m", "a"]
