# brackets of other scripts
"""Markers in the forms that models write, in any pieces, and what only looks like one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.drafts import DraftStream
from service.markers import MarkerForms

FORMS = [
    ("It rains [1, 2].", "It rains [1][2]."),
    ("It rains [1,2].", "It rains [1][2]."),
    ("It rains [1 and 3].", "It rains [1][3]."),
    ("It rains [1-3].", "It rains [1][2][3]."),
    ("It rains [^1].", "It rains [1]."),
    ("It rains【1】.", "It rains[1]."),
    ("It rains【2†source】.", "It rains[2]."),
    ("It rains【2:0†page.pdf】.", "It rains[2]."),
    ("It rains ［1］.", "It rains [1]."),
    ("It rains [Source 1].", "It rains [1]."),
    ("It rains [Sources 1, 2].", "It rains [1][2]."),
    ("It rains (passage 1).", "It rains [1]."),
    ("It rains (sources 1 and 2).", "It rains [1][2]."),
    ("It rains [[1]].", "It rains [1]."),
    ("It rains [1][2].", "It rains [1][2]."),
    ("It rains [1] [2].", "It rains [1] [2]."),
]
STAY = [
    "It rains (1).",
    "It rains (in 1999).",
    "It rains [7, 8].",
    "It rains [0-9].",
    "See [the page](https://a.example).",
    "It rains [1, 2",
    "It rains [a very long remark that somebody put between brackets] here.",
    "Write `x[1, 2]` there.",
    "```\nx = [1, 2]\n```\nIt rains.",
    "a [b [c] d] e [",
]


def read(pieces, sources=3):
    forms = MarkerForms(sources)
    return "".join([forms.feed(one) for one in pieces]) + forms.rest()


@pytest.mark.parametrize(("written", "wanted"), FORMS)
def test_other_forms_become_the_one_that_is_read(written, wanted):
    assert read([written]) == wanted
    assert read(list(written)) == wanted


@pytest.mark.parametrize("text", STAY)
def test_what_is_no_marker_stays(text):
    assert read([text]) == text
    assert read(list(text)) == text


@given(st.text(alphabet="[]()［］【】†1,-^ `\nab", max_size=60), st.integers(1, 7))
def test_how_it_arrives_makes_no_difference(text, size):
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert read(pieces) == read([text])


def test_a_list_keeps_its_numbers_and_its_sentences():
    stream = DraftStream("en", 2)
    text = "1. Download the archive [1].\n2) Unpack it. It is large [1, 2].\n"
    pieces = [*stream.feed(text), *stream.finish()]
    assert pieces == ["1. Download the archive [1].\n", "2) Unpack it. ", "It is large [1][2].\n"]


def test_sentences_end_by_the_rules_of_their_language():
    stream = DraftStream("de", 1)
    text = "Der Vertrag gilt ab dem 3. Mai 2020 [1]. Er endet im 22. Jahrhundert [1]. Dann ist Schluss."
    pieces = [*stream.feed(text), *stream.finish()]
    assert [one.strip() for one in pieces] == [
        "Der Vertrag gilt ab dem 3. Mai 2020 [1].",
        "Er endet im 22. Jahrhundert [1].",
        "Dann ist Schluss.",
    ]
