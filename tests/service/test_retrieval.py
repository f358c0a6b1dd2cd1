"""Retrieval on a budget: what happens when a leg, the encoder or the reranker does not keep up."""

from __future__ import annotations

import asyncio
import dataclasses

import numpy as np
import pytest

from service.answer import answer, search
from service.budget import Budgets, Deadline, StageOverrun
from service.contract import fold
from service.question import Question
from store.errors import LegUnavailable, SpaceMismatch
from store.filters import parse_filter


class Wrapped:
    """A snapshot whose legs can be made to fail or hang."""

    def __init__(self, snapshot, **changes):
        self._snapshot = snapshot
        self._changes = changes

    def __getattr__(self, name):
        return self._changes.get(name) or getattr(self._snapshot, name)


async def hang(*_):
    await asyncio.Event().wait()


async def fail(*_):
    raise OSError("/a/path: disk gone")


class Native(Exception):  # ONNX Runtime's own are such
    """Of no kind that one would think of."""


async def fail_natively(*_):
    raise Native("[ONNXRuntimeError] : 6 : /a/path")


class Broken:
    """An encoder that fails from its `after`-th call on."""

    def __init__(self, encoder, after=0):
        self._encoder, self._left = encoder, after

    def encode_queries(self, texts):
        self._left -= 1
        if self._left < 0:
            raise Native("[ONNXRuntimeError] : 6 : /a/path")
        return self._encoder.encode_queries(texts)


def ask(engine, text="otter fish", budgets=None, total_ms=None, **question):
    changed = engine if budgets is None else dataclasses.replace(engine, budgets=budgets)
    return asyncio.run(search(Question("r", text, **question), changed, Deadline(changed.clock, total_ms)))


@pytest.mark.parametrize(("leg", "other"), [("dense", "lexical"), ("lexical", "dense")])
@pytest.mark.parametrize("how", [hang, fail, fail_natively])
def test_hybrid_goes_on_with_the_leg_that_is_left_and_says_so(engine, leg, other, how):
    broken = dataclasses.replace(engine, snapshot=Wrapped(engine.snapshot, **{leg: how}))

    response = ask(broken, budgets=Budgets(dense_ms=30, lexical_ms=30, embed_ms=None, fuse_ms=None))

    assert response.results
    assert any(message.startswith(leg) for message in response.degraded)
    outcome = {stage.name: stage.outcome for stage in response.stages}
    assert outcome[leg] == ("timeout" if how is hang else "failed")
    assert outcome[other] == "ok"
    assert "/a/path" not in str(response.degraded)


def test_an_encoder_that_fails_as_native_libraries_do_leaves_the_lexical_leg(engine):
    broken = dataclasses.replace(engine, encoder=Broken(engine.encoder))

    response = ask(broken)

    assert response.results
    assert response.degraded == [
        "dense: the dense leg is not available: Native; its cause is in the service's log; the other leg alone"
    ]
    with pytest.raises(LegUnavailable):
        ask(broken, mode="dense")


@pytest.mark.parametrize("after", [0, 1])
def test_an_answer_is_made_without_such_an_encoder_too(engine, after):
    broken = dataclasses.replace(engine, encoder=Broken(engine.encoder, after), abstain_below=0)

    async def answered():
        question = Question("r", "How long does the otter sleep?")
        return fold([event async for event in answer(question, broken, Deadline(broken.clock, None))])

    response = asyncio.run(answered())
    assert response.finish_reason == "stop"
    assert "five hours" in response.answer
    assert response.degraded


@pytest.mark.parametrize("mode", ["dense", "lexical"])
def test_an_explicit_mode_never_becomes_the_other_leg(engine, mode):
    broken = dataclasses.replace(engine, snapshot=Wrapped(engine.snapshot, **{mode: hang}))

    with pytest.raises(StageOverrun):
        ask(broken, mode=mode, budgets=Budgets(dense_ms=20, lexical_ms=20, embed_ms=None))


def test_both_legs_gone_is_an_error(engine):
    broken = dataclasses.replace(engine, snapshot=Wrapped(engine.snapshot, dense=fail, lexical=fail))

    with pytest.raises(LegUnavailable, match="its cause is in the service's log"):
        ask(broken)


def test_without_an_encoder_a_vector_is_needed_and_is_enough(engine):
    blind = dataclasses.replace(engine, encoder=None)
    vector = engine.encoder.encode_queries(["otter"])[0]

    with pytest.raises(LegUnavailable, match="vector"):
        ask(blind, mode="dense")

    assert ask(blind, mode="dense", vector=vector).results
    assert any("dense" in message for message in ask(blind).degraded)


def test_a_vector_of_another_space_is_refused(engine):
    with pytest.raises(SpaceMismatch):
        ask(engine, mode="dense", vector=np.ones(3, np.float32))


def test_a_deadline_bounds_every_stage(engine):
    slow = dataclasses.replace(engine, snapshot=Wrapped(engine.snapshot, dense=hang, lexical=hang))

    with pytest.raises(StageOverrun):
        ask(slow, total_ms=50, budgets=Budgets.lifted())


def test_results_are_ranked_and_scored_by_stage(engine):
    response = ask(engine, "heron shallow water", explain=True)

    assert [one.rank for one in response.results] == list(range(1, len(response.results) + 1))
    assert response.results[0].document.id == "herons"
    assert response.results[0].scores.lexical > 0
    assert response.degraded == []
    assert {"embed", "dense", "lexical", "fuse", "passages"} == {stage.name for stage in response.stages}
    assert response.explain is not None


def test_asking_to_rerank_without_a_reranker_is_reported(engine):
    assert any("rerank" in message for message in ask(engine, rerank=True).degraded)


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ({"text": "?!", "mode": "lexical"}, "the question has no word that could be looked up"),
        ({"text": "the of and", "mode": "lexical"}, "the question has no word that could be looked up"),
        ({"text": "zebra", "mode": "lexical"}, "no passage shares a word with the question"),
        (
            {"text": "otter", "mode": "lexical", "filter": parse_filter({"year": 1066})},
            "no passage that the filter lets through shares a word with the question",
        ),
        (
            {"text": "otter", "filter": parse_filter({"year": 1066})},
            "there is no passage that the filter lets through that the asker may read",
        ),
    ],
)
def test_where_nothing_is_found_the_reason_is_told(engine, question, reason):
    response = ask(engine, **question)
    assert response.results == []
    assert response.empty_because == reason


def test_where_something_is_found_there_is_none(engine):
    assert ask(engine, "otter").empty_because is None


@pytest.mark.parametrize("mode", ["hybrid", "lexical", "dense"])
@pytest.mark.parametrize(
    "text",
    [
        "如何",
        "the of and",
        "?!...",
        "😀😀",
        "word " * 5_000,
        "otter река 東京",
        "\u202eotter\u202c",
        "a\u200bb",
        "a\x00b",
    ],
)
def test_odd_questions_end_well_and_no_hit_scores_zero(engine, text, mode):
    response = ask(engine, text, mode=mode)
    assert all(one.score > 0 for one in response.results)
    assert bool(response.results) == (response.empty_because is None)


def test_many_results_are_made_elsewhere_and_are_the_same(engine, monkeypatch):
    before = ask(engine, "otter fish heron")
    monkeypatch.setattr("service.answer._MADE_AT_ONCE", 0)
    assert len(before.results) > 2
    assert ask(engine, "otter fish heron").results == before.results
