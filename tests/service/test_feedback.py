"""A second look at the candidates."""

from __future__ import annotations

import dataclasses

import pytest

from service.budget import Budgets
from tests.service.test_retrieval import Wrapped, ask, hang


def order(response):
    return [one.passage.id for one in response.results]


@pytest.fixture
def calm(engine):
    return dataclasses.replace(engine, dense_feedback=0.0, lexical_feedback=False)


def test_what_the_best_passage_says_moves_others(calm):
    """Badgers are not asked for; with the best passage's vector alone, its neighbours decide."""
    plain = ask(calm, "otter", top_k=6)
    strong = ask(dataclasses.replace(calm, dense_feedback=0.9), "otter", top_k=6)
    assert order(strong)[0] == order(plain)[0]
    assert {one.passage.id: one.score for one in strong.results} != {one.passage.id: one.score for one in plain.results}
    told = [(one.scores.dense, one.scores.lexical) for one in plain.results]
    by_id = {one.passage.id: (one.scores.dense, one.scores.lexical) for one in strong.results}
    assert [by_id[key] for key in order(plain)] == told, "what the legs said is told as they said it"


def test_terms_of_the_best_find_what_the_question_does_not_name(calm):
    plain = ask(calm, "Tamar", top_k=6, mode="hybrid")
    again = ask(dataclasses.replace(calm, lexical_feedback=True), "Tamar", top_k=6)
    assert order(again)[0] == order(plain)[0]
    assert not again.degraded


@pytest.mark.parametrize("mode", ["dense", "lexical"])
def test_a_single_leg_is_looked_at_once(calm, mode):
    fed = dataclasses.replace(calm, dense_feedback=0.9, lexical_feedback=True)
    assert order(ask(fed, "otter", mode=mode)) == order(ask(calm, "otter", mode=mode))


def test_without_a_lexical_hit_there_is_nothing_to_agree_on(calm):
    fed = dataclasses.replace(calm, dense_feedback=0.9, lexical_feedback=True)
    assert order(ask(fed, "zzz qqq")) == order(ask(calm, "zzz qqq"))


def test_a_second_look_that_takes_too_long_leaves_the_first(calm):
    slow = dataclasses.replace(calm, dense_feedback=0.5, snapshot=Wrapped(calm.snapshot, vectors=hang))
    response = ask(slow, budgets=Budgets(embed_ms=None, dense_ms=None, lexical_ms=None, fuse_ms=200))
    assert order(response) == order(ask(calm))
    assert any("second look" in message for message in response.degraded)


def test_what_an_asker_may_not_read_says_nothing(calm):
    fed = dataclasses.replace(calm, dense_feedback=0.5, lexical_feedback=True)
    assert all(one.document.id != "plan" for one in ask(fed, "secret otter plan").results)


def test_an_explanation_tells_of_it(calm):
    told = ask(dataclasses.replace(calm, dense_feedback=0.3), explain=True).explain
    assert told["feedback"] == {"dense_share": 0.3, "lexical": False}
