"""Whether a context of so many words covers an answer."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from evaluation.coverage import NAMES, Stretch, coverage

TEXT = " ".join(f"w{number:04}" for number in range(6000))  # word n starts at 6 n


def piece(first: int, last: int, document: str = "d") -> tuple[Stretch, str]:
    start, end = 6 * first, 6 * last - 1
    return Stretch(document, start, end), TEXT[start:end]


def answer(first: int, last: int) -> list[Stretch]:
    return [piece(first, last)[0]]


def test_within_the_first_passage_it_is_covered_at_every_length():
    assert list(coverage([piece(0, 150)], answer(10, 20)).values()) == [1.0, 1.0, 1.0]


def test_beyond_what_was_returned_it_never_is():
    assert list(coverage([piece(0, 150)], answer(140, 151)).values()) == [0.0, 0.0, 0.0]
    assert list(coverage([piece(0, 150, "other")], answer(10, 20)).values()) == [0.0, 0.0, 0.0]
    assert list(coverage([], answer(1, 2)).values()) == [0.0, 0.0, 0.0]


def test_the_last_passage_is_cut_at_a_word():
    ranked = [piece(500, 600, "other"), piece(0, 300)]
    assert coverage(ranked, answer(90, 100))[NAMES[0]] == 1.0
    assert coverage(ranked, answer(90, 101))[NAMES[0]] == 0.0
    assert coverage(ranked, answer(90, 101))[NAMES[1]] == 1.0


def test_two_neighbours_cover_what_lies_across_them():
    assert coverage([piece(100, 150), piece(50, 100)], answer(95, 105))[NAMES[0]] == 1.0
    assert coverage([piece(101, 150), piece(50, 100)], answer(95, 105))[NAMES[0]] == 0.0


def test_words_that_were_there_before_are_not_counted_again():
    ranked = [piece(0, 150), piece(0, 150), piece(150, 200)]
    assert coverage(ranked, answer(190, 200))[NAMES[0]] == 1.0


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 30)), max_size=40), st.integers(0, 1000))
def test_it_is_what_the_words_taken_one_by_one_say(pieces, first):
    ranked = [piece(25 * left, 25 * left + 10 * size) for left, size in pieces]
    wanted = set(range(first, first + 7))
    seen: list[int] = []
    for _, text in ranked:
        for word in re.findall(r"\d+", text):
            if int(word) not in seen:
                seen.append(int(word))
    expected = [float(wanted <= set(seen[:length])) for length in (200, 1000, 4000)]
    assert list(coverage(ranked, answer(first, first + 7)).values()) == expected
