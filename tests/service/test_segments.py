"""Neighbouring results merged, and grown by what stands around them."""

from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.budget import Budgets
from service.contract import DocumentHeaderModel, PassageModel, Result, Scores
from service.segments import grown, with_segments
from tests.service.test_retrieval import Wrapped, ask, hang

TEXT = " ".join(f"w{number:03}" for number in range(200))  # word n starts at 5 n


def result(first: int, last: int, document: str = "d", rank: int = 1) -> Result:
    start, end = 5 * first, 5 * last - 1
    passage = PassageModel(
        id=f"{document}{first}", document_id=document, text=TEXT[start:end], start=start, end=end, section=[]
    )
    header = DocumentHeaderModel(id=document, version="v", title="", metadata={})
    return Result(rank=rank, score=1.0, scores=Scores(fused=1.0), passage=passage, document=header)


def spans(found):
    return [(one.segment.start // 5, (one.segment.end + 1) // 5, one.segment.passage_ids) for one in found]


def test_neighbours_become_one_at_the_place_of_the_better_one():
    found = with_segments([result(10, 20), result(50, 60), result(20, 30)], {"d": TEXT}, 0)
    assert spans(found) == [(10, 30, ["d10", "d20"]), (50, 60, ["d50"])]
    assert [one.rank for one in found] == [1, 2]


def test_a_third_joins_two():
    found = with_segments([result(30, 40), result(10, 20), result(20, 30)], {"d": TEXT}, 0)
    assert spans(found) == [(10, 40, ["d30", "d10", "d20"])]


def test_documents_are_kept_apart():
    found = with_segments([result(10, 20), result(20, 30, "e")], {"d": TEXT, "e": TEXT}, 0)
    assert len(found) == 2


def test_a_document_that_cannot_be_read_stays_as_it_is():
    found = with_segments([result(10, 20), result(20, 30)], {}, 100)
    assert [one.segment for one in found] == [None, None]


@pytest.mark.parametrize(("first", "last", "expected"), [(50, 52, (46, 56)), (0, 2, (0, 10)), (198, 200, (190, 200))])
def test_it_grows_to_both_sides_as_far_as_there_is_text(first, last, expected):
    start, end = grown(TEXT, 5 * first, 5 * last - 1, 10)
    assert (start // 5, (end + 1) // 5) == expected


def test_a_text_shorter_than_wanted_is_taken_whole():
    assert grown(TEXT, 50, 60, 1_000) == (0, len(TEXT))


def test_no_word_is_halved_in_a_text_without_white_space():
    text = "x" * 5_000
    assert grown(text, 2_000, 2_010, 10) == (2_000, 2_010)


def test_two_characters_are_a_word_where_nothing_lies_between_words():
    for text in ("字" * 5_000, ("字" * 90 + "。\n") * 60):
        start, end = grown(text, 2_000, 2_300, 200)
        assert 390 <= end - start <= 420
        assert start < 2_000 < 2_300 < end


@given(st.lists(st.integers(0, 19), unique=True, max_size=20), st.integers(0, 60))
def test_no_text_is_returned_twice_and_every_hit_is_in_one_segment(tens, words):
    results = [result(10 * ten, 10 * ten + 10) for ten in tens]
    found = with_segments(results, {"d": TEXT}, words)
    returned = [word for one in found for word in re.findall(r"w\d+", one.segment.text)]
    assert len(returned) == len(set(returned))
    assert sorted(key for one in found for key in one.segment.passage_ids) == sorted(one.passage.id for one in results)
    places = {one.passage.id: place for place, one in enumerate(results)}
    kept = [places[one.passage.id] for one in found]
    assert kept == sorted(kept)
    for one in found:
        members = [places[key] for key in one.segment.passage_ids]
        assert members == sorted(members)
        assert members[0] == places[one.passage.id]
        assert one.segment.text == TEXT[one.segment.start : one.segment.end]
        assert one.segment.start <= one.passage.start < one.passage.end <= one.segment.end
        assert len(one.segment.text.split()) >= min(words, 200)


def test_the_service_merges_on_request_alone(engine):
    assert all(one.segment is None for one in ask(engine, "otter").results)
    merged = ask(engine, "otter", segment_words=500)
    ids = [one.document.id for one in merged.results]
    assert len(ids) == len(set(ids)), "each document is short enough to be one segment"
    assert merged.results[0].segment.text.startswith("The otter sleeps")


def test_where_time_is_up_results_stay_as_they_are(engine):
    async def never(**_):
        await hang()

    slow = dataclasses.replace(engine, snapshot=Wrapped(engine.snapshot, document=never))
    response = ask(slow, "otter", segment_words=100, total_ms=400, budgets=Budgets.lifted())
    assert response.results
    assert all(one.segment is None for one in response.results)
    assert any(message.startswith("segments") for message in response.degraded)
