"""Where sentences begin and end, in finished text and in text that is still arriving."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.sentences import PIECE_CHARS_MAX, Overlong, SentenceStream, units


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It costs 3.5 euros. Dr. Smith left. Why?", ["It costs 3.5 euros.", "Dr. Smith left.", "Why?"]),
        ("Use a leg, e.g. the dense one. Then stop.", ["Use a leg, e.g. the dense one.", "Then stop."]),
        ("A badger digs deep\nsetts. It sleeps.", ["A badger digs deep\nsetts.", "It sleeps."]),
        ("Kinds:\n- one. two\n- three", ["Kinds:", "- one. two", "- three"]),
        ("a | b. c | d\nprose here.", ["a | b. c | d", "prose here."]),
        ("    SELECT 1. 2;\nDone.", ["SELECT 1. 2;", "Done."]),
        ("東京は首都です。人口は多い。", ["東京は首都です。", "人口は多い。"]),
        ("Fish 🐟 swim. Otters 🦦 too!", ["Fish 🐟 swim.", "Otters 🦦 too!"]),
        ("", []),
        (" \n\n ", []),
    ],
)
def test_units_are_sentences_and_self_standing_lines(text, expected):
    assert [text[one.start : one.end] for one in units(text)] == expected


TEXTS = st.text(st.sampled_from(list("ab Z.!?\n`[]12。-#|:'\"🦦")), max_size=120) | st.lists(
    st.sampled_from(
        [
            "One two. ",
            "Three [1]. ",
            "Four. [2] ",
            "[3]",
            "\n",
            "\n\n",
            "```\nx = 1.\n```\n",
            "- item\n",
            "e.g. ",
            "3.5 ",
        ]
    ),
    max_size=12,
).map("".join)


@given(TEXTS, st.data())
def test_pieces_join_to_the_text_and_how_it_arrived_makes_no_difference(text, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    chunks = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    pieces = cut(chunks)

    assert "".join(pieces) == text
    assert pieces == cut([text])


def cut(chunks):
    stream = SentenceStream()
    return [piece for chunk in chunks for piece in stream.feed(chunk)] + list(stream.finish())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Foo sleeps. [1] Bar eats.", ["Foo sleeps. [1] ", "Bar eats."]),
        ("Foo sleeps [1]. Bar eats.", ["Foo sleeps [1]. ", "Bar eats."]),
        ("Foo sleeps [1][2]. Bar.", ["Foo sleeps [1][2]. ", "Bar."]),
        ("Foo sleeps. [1][2] Bar eats.", ["Foo sleeps. [1][2] ", "Bar eats."]),
    ],
)
def test_markers_stay_with_the_sentence_before_them(text, expected):
    assert cut(list(text)) == expected


def test_a_fenced_block_is_one_piece():
    text = "Run this:\n```sql\nSELECT 1. SELECT 2.\n\nDROP x;\n```\nThen stop."

    assert cut([text]) == ["Run this:\n", "```sql\nSELECT 1. SELECT 2.\n\nDROP x;\n```\n", "Then stop."]


@pytest.mark.parametrize(
    "text",
    ["word " * 40_000, "x" * 200_000, "a. " * 60_000, "```\n" + "code\n" * 30_000, "1.2.3 " * 30_000, "，" * 100_000],
    ids=["no end", "no space", "ends all the time", "code", "decimals", "commas"],
)
def test_an_endless_text_is_cut_in_time_and_nothing_is_lost(text):
    stream = SentenceStream()
    began = time.perf_counter()
    pieces = [*stream.feed(text), *stream.finish()]
    assert time.perf_counter() - began < 10, "about linear: these take a tenth of a second each, and took minutes"
    assert "".join(pieces) == text
    assert max(map(len, pieces)) <= PIECE_CHARS_MAX


def test_a_sentence_that_is_too_long_is_marked_in_all_its_pieces_and_the_next_is_not():
    long = "word " * 2_000 + "end. "
    stream = SentenceStream()
    pieces = [*stream.feed(f"A short one. {long}Another short one. And one."), *stream.finish()]
    assert pieces[0] == "A short one. "
    assert not isinstance(pieces[0], Overlong)
    assert [isinstance(one, Overlong) for one in pieces[1:-2]] == [True] * (len(pieces) - 3)
    assert not any(isinstance(one, Overlong) for one in pieces[-2:])
    assert "".join(pieces[-2:]) == "Another short one. And one."


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("It rains [1]. It snows [2].", ["It snows [2]."]),
        ("It rains [1]. It snows. [2][3] ", ["It snows. [2][3] "]),
        ("It rains [1]. It snows [2]", []),  # "... but never in July"
        ("It rains [1]. It snows.", []),  # its marker is still to come
        ("It rains [1]. It sn", []),
        ("", []),
    ],
)
def test_where_the_text_breaks_off_only_a_sentence_with_stop_and_markers_has_ended(text, left):
    stream = SentenceStream()
    assert [*stream.feed(text), *stream.broken_off()] == (["It rains [1]. "] if text else []) + left
    assert list(stream.finish()) == []
