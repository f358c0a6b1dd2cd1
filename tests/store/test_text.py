"""Canonical text: the one form that all offsets refer to."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.text import canonical

ANY_TEXT = st.text(st.characters(exclude_categories=()))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("a\r\nb\rc\n", "a\nb\nc\n"),
        ("a\x00b", "ab"),
        ("\ud83dx", "\ufffdx"),
        ("e\u0301", "\u00e9"),
        ("", ""),
    ],
)
def test_each_rule_of_canonical_text(raw, expected):
    assert canonical(raw) == expected


@given(ANY_TEXT)
def test_canonical_text_stays_as_it_is(raw):
    once = canonical(raw)
    assert canonical(once) == once


@given(ANY_TEXT)
def test_canonical_text_can_be_written_as_utf8_and_is_composed(raw):
    text = canonical(raw)
    assert text.encode().decode() == text
    assert "\r" not in text
    assert "\x00" not in text
    assert unicodedata.is_normalized("NFC", text)


@given(ANY_TEXT, ANY_TEXT)
def test_canonical_pieces_joined_by_a_newline_are_canonical(left, right):
    """Loaders rely on it: offsets of blocks can be summed up before the text is joined."""
    joined = f"{canonical(left)}\n{canonical(right)}"
    assert canonical(joined) == joined
