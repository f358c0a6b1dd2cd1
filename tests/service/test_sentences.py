"""Where sentences begin and end, in finished text and in text that is still arriving."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.sentences import SentenceStream, units


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
