"""Windows are whole sentences, cover the text, and none lies within another."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from service.sentences import units
from service.windows import likeliest, merged, runs, windows
from store.analyzer import Analyzer

TEXT = "The otter sleeps five hours. It eats fish. Beavers build dams of wood. They live in lodges."


def test_as_many_whole_sentences_as_fit():
    assert [TEXT[start:end] for start, end in windows(TEXT, chars_max=48)] == [
        "The otter sleeps five hours. It eats fish.",
        "It eats fish. Beavers build dams of wood.",
        "Beavers build dams of wood. They live in lodges.",
    ]


def test_a_text_that_fits_is_one_window():
    assert windows(TEXT) == [(0, len(TEXT))]


def test_nothing_has_no_window():
    assert windows(" \n ") == []
    assert likeliest({"otter"}, "", Analyzer(), 3) == []


def test_a_sentence_longer_than_a_window_is_one():
    long = "word " * 200 + "end."
    assert windows(f"Short one. {long}", chars_max=60) == [(0, 10), (11, 11 + len(long))]


def test_runs_follow_one_another_and_leave_nothing_out():
    assert [TEXT[start:end] for start, end in runs(TEXT, chars_max=48)] == [
        "The otter sleeps five hours. It eats fish.",
        "Beavers build dams of wood. They live in lodges.",
    ]
    assert runs(" \n ") == []
    long = "word " * 200 + "end."
    assert runs(f"Short one. {long}", chars_max=60) == [(0, 10), (11, 11 + len(long))]


def test_spans_that_overlap_are_one():
    assert merged([(20, 30), (0, 5), (25, 40), (5, 8)]) == [(0, 5), (5, 8), (20, 40)]
    assert merged([]) == []


def test_the_likeliest_holds_most_of_the_words():
    found = likeliest(set(Analyzer().terms("Beavers live in lodges")), TEXT, Analyzer(), 2, chars_max=50)
    assert TEXT[slice(*found[0])] == "Beavers build dams of wood. They live in lodges."
    assert len(found) == 2


@given(st.lists(st.sampled_from(["A cat sat.", "Dogs bark loudly at night.", "- an item", "x" * 70, "第一句。"])))
def test_every_sentence_is_in_a_window(parts):
    text = "\n".join(parts)
    found = windows(text, chars_max=60)
    assert all(any(start <= one.start and one.end <= end for start, end in found) for one in units(text))
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in itertools.pairwise(found))
