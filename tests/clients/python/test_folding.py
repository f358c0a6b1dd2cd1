"""Bytes to events to the answer: in any pieces, in any script, what the service gives as JSON."""

from __future__ import annotations

from itertools import pairwise

import pytest
from footnote_client import Fold, Utf16, errors, fold
from footnote_client.events import Done, EventParser, Failed, Meta, Other, Sentence
from given_answers import answers
from hypothesis import given
from hypothesis import strategies as st

TEXTS = st.text(st.sampled_from("a \n東é\u0301\U0001f600\U0001f1ee"), max_size=30)


def events_of(data: bytes, cuts=()):
    parser = EventParser()
    bounds = [0, *sorted(min(one, len(data)) for one in cuts), len(data)]
    return [event for a, b in pairwise(bounds) for event in parser.feed(data[a:b])]


@given(answers(), st.lists(st.integers(0, 3_000), max_size=8))
def test_events_fold_to_the_json_answer_however_they_are_cut(given_answer, cuts):
    events = events_of(b"".join(given_answer.frames), cuts)
    assert [one.id for one in events] == list(range(1, len(given_answer.frames) + 1))
    assert fold(events) == given_answer.json
    assert isinstance(events[0], Meta)
    assert isinstance(events[-1], Done)


@given(answers())
def test_what_was_put_together_on_the_way_is_the_answer_before_its_end(given_answer):
    made = Fold()
    for event in events_of(b"".join(given_answer.frames[:-1])):
        made.add(event)
    assert not made.complete
    assert made.text == given_answer.json["answer"]
    assert made.citations == given_answer.json["citations"]
    with pytest.raises(ValueError, match="not complete"):
        made.answer()


@given(answers())
def test_offsets_point_at_what_they_say_in_code_points_and_in_utf_16(given_answer):
    answer = fold(events_of(b"".join(given_answer.frames)))
    text = answer["answer"]
    units = text.encode("utf-16-le")
    offsets = Utf16(text)
    for one in answer["citations"]:
        for begin, end, expected in [
            (one["answer_start"], one["answer_end"], one["quote"]),
            (one["marker_start"], one["marker_end"], f"[{one['marker']}]"),
        ]:
            assert text[begin:end] == expected
            wide = slice(2 * offsets.offset(begin), 2 * offsets.offset(end))
            assert units[wide].decode("utf-16-le") == expected


@given(TEXTS)
def test_utf_16_offsets_are_those_of_the_encoding_and_go_back(text):
    offsets = Utf16(text)
    starts = [len(text[:at].encode("utf-16-le")) // 2 for at in range(len(text) + 1)]
    assert [offsets.offset(at) for at in range(len(text) + 1)] == starts
    assert [offsets.code_points(at) for at in starts] == list(range(len(text) + 1))
    for inside in set(range(starts[-1])) - set(starts):
        with pytest.raises(ValueError, match="inside"):
            offsets.code_points(inside)
    for outside in (-1, len(text) + 1):
        with pytest.raises(ValueError, match="outside"):
            offsets.offset(outside)
    for outside in (-1, starts[-1] + 1):
        with pytest.raises(ValueError, match="outside"):
            offsets.code_points(outside)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_may_end_as_the_standard_allows(end):
    data = f"\ufeff: ping{end}{end}event: sentence{end}data: {{{end}data:}}{end}id: 3{end}retry: 5{end}{end}".encode()
    for cut in range(len(data)):
        assert events_of(data + b"\n", [cut]) == [Sentence(3, {})]


def test_an_event_that_broke_off_is_none_and_a_new_kind_is_let_through():
    assert events_of(b'event: done\ndata: {"a": 1}\nid: 9\n') == []
    assert events_of(b"event: later\ndata: [1]\nid: x\n\n") == [Other(None, [1], "later")]
    made = Fold()
    made.add(Other(1, [1], "later"))


def test_an_error_event_is_raised():
    problem = {
        "type": "urn:footnote:problem:stage-overrun",
        "title": "t",
        "status": 504,
        "detail": "d",
        "request_id": "r",
    }
    with pytest.raises(errors.DeadlineExceeded) as raised:
        fold([Failed(1, problem)])
    assert (raised.value.slug, raised.value.request_id, raised.value.errors) == ("stage-overrun", "r", [])
