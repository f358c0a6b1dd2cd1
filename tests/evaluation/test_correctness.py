"""How much of a gold answer is said; every right value was worked out by hand."""

from __future__ import annotations

import pytest

from evaluation.correctness import contains, normalised_tokens, token_coverage, token_f1

GOLD = "The otter sleeps five hours a day."


def test_case_punctuation_and_articles_do_not_count():
    assert normalised_tokens("The Otter's den, a HOLE (in an oak).") == ["otters", "den", "hole", "in", "oak"]


@pytest.mark.parametrize(
    ("answer", "f1", "coverage"),
    [
        ("the otter sleeps five hours a day", 1.0, 1.0),
        ("Otters sleep.", 0.0, 0.0),
        ("", 0.0, 0.0),
        ("It sleeps five hours.", 2 * 3 / (4 + 5), 3 / 5),  # shared: sleeps five hours; 4 and 5 tokens
        ("five five five", 2 * 1 / (3 + 5), 1 / 5),  # a token counts as often as both have it
    ],
)
def test_tokens_are_shared(answer, f1, coverage):
    assert token_f1(answer, [GOLD]) == pytest.approx(f1)
    assert token_coverage(answer, [GOLD]) == pytest.approx(coverage)


def test_of_several_gold_texts_the_one_that_fits_best_counts():
    assert token_f1("bread", ["fish and bread", "bread"]) == 1.0
    assert token_coverage("fish", ["fish and bread", "the fish"]) == 1.0


@pytest.mark.parametrize("golds", [[], [""], ["The."]])
def test_without_a_word_of_gold_nothing_is_right(golds):
    assert (token_f1("", golds), token_coverage("fish", golds), contains("fish", golds)) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("answer", "strings", "found"),
    [
        ("It was in the 10th century [1].", ["10th century"], 1.0),
        ("It is in France.", ["Normandy", "france"], 1.0),
        ("A party.", ["art"], 0.0),
        ("5 hours", ["15 hours"], 0.0),
    ],
)
def test_a_short_answer_stands_in_it_as_whole_words(answer, strings, found):
    assert contains(answer, strings) == found
