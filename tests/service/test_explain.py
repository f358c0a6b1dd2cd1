"""How a ranking came about, and what became of a document."""

from __future__ import annotations

import dataclasses

import pytest

from service.budget import Budgets
from store.filters import parse_filter
from tests.service.test_retrieval import Wrapped, ask, hang


def told(engine, text, document, **question):
    return ask(engine, text, why=document, **question).explain["why"]


def test_candidates_are_told_step_by_step(engine):
    response = ask(engine, "otter river fish", explain=True)
    steps = response.explain["candidates"]
    assert [one["passage_id"] for one in steps][: len(response.results)] == [one.passage.id for one in response.results]
    assert [one["rank"] for one in steps] == list(range(1, len(steps) + 1))
    for leg in ("dense", "lexical"):
        found = sorted((one[leg] for one in steps if one[leg]["rank"]), key=lambda one: one["rank"])
        assert [one["rank"] for one in found] == list(range(1, len(found) + 1))
        scores = [one["score"] for one in found]
        assert scores == sorted(scores, reverse=True)
    assert all(one["rerank"] is None for one in steps)


def test_without_being_asked_nothing_is_told(engine):
    assert ask(engine, "otter").explain is None


def test_a_result_says_its_rank(engine):
    found = told(engine, "otter river fish", "otters")
    assert found["outcome"] == "result"
    assert found["reason"] == "Its best passage is number 1 of the results."
    assert found["passages"][0]["rank"] == 1


def test_one_that_others_beat_says_by_how_much(engine):
    found = told(engine, "heron shallow water fish", "otters", top_k=1)
    assert found["outcome"] == "outranked"
    assert "the last of 1 results" in found["reason"]


def test_one_that_no_leg_found_says_what_it_would_have_needed(engine):
    lexical = told(engine, "heron", "otters", mode="lexical")
    assert (lexical["outcome"], lexical["reason"]) == ("not_found", "It shares no term with the question.")
    assert lexical["passages"][0]["dense"] == {"rank": None, "score": None}


def test_beyond_the_legs_depth_both_scores_are_told(engine, monkeypatch):
    monkeypatch.setattr("service.answer.LEG_DEPTH_MIN", 1)
    found = told(engine, "heron shallow water", "otters", top_k=1)
    assert found["outcome"] == "not_found"
    assert "The dense leg's best 1 passages end at a cosine of" in found["reason"]
    assert "shares no term" in found["reason"]


@pytest.mark.parametrize("document", ["nobody", "plan", ""])
def test_one_that_is_not_there_and_one_that_may_not_be_read_are_told_alike(engine, document):
    found = told(engine, "secret otter plan", document)
    assert found["outcome"] == "unknown"
    assert found["passages"] == []


def test_one_that_the_filter_leaves_out(engine):
    found = told(engine, "otter", "otters", filter=parse_filter({"year": 1990}))
    assert found["outcome"] == "filtered"


def test_a_leg_that_fell_out_is_not_told_of(engine):
    broken = dataclasses.replace(engine, snapshot=Wrapped(engine.snapshot, dense=hang))
    response = ask(
        broken, "heron", why="otters", budgets=Budgets(dense_ms=30, embed_ms=None, lexical_ms=None, fuse_ms=None)
    )
    assert response.explain["why"]["reason"] == "It shares no term with the question."


def test_where_time_is_up_the_results_are_there_all_the_same(engine):
    async def never(**_):
        await hang()

    slow = dataclasses.replace(engine, snapshot=Wrapped(engine.snapshot, document=never))
    response = ask(slow, "otter", why="otters", total_ms=400)
    assert response.results
    assert "why" not in response.explain
    assert any(message.startswith("explain") for message in response.degraded)
