"""Which stretch of a passage may support a reworded sentence."""

from __future__ import annotations

import time

import pytest

from benchmarks.passages import Text, sources
from service.framing import no_claim_reason
from service.ground import Draft, check, support_score
from service.source_text import compared_windows, terms_of
from store.analyzer import Analyzer

SUPPORTED = 0.8
SETTINGS = (
    "At most max_connections connections can be active. The default value is three connections. "
    "The value must be less than max_connections."
)


@pytest.mark.parametrize(
    ("claim", "evidence"),
    [
        ("The default value of max_connections is three connections.", SETTINGS),
        ("The heron eats 15 kg of fish.", "The heron stands in water. Otters eat 15 kg of fish."),
        ("Anna Lind won the prize.", "Anna Lind lost. Bea Roth won the prize."),
    ],
)
def test_what_is_said_of_one_thing_does_not_support_the_same_of_another(claim, evidence):
    assert support_score(claim, evidence, Analyzer("english")) < SUPPORTED


@pytest.mark.parametrize(
    ("claim", "evidence"),
    [
        ("The default value is three connections.", SETTINGS),
        ("The otter eats 15 kg of fish.", "The otter is a mammal. It eats 15 kg of fish."),
        ("Supported formats are JSON and CSV.", "Supported formats:\n\n- JSON and CSV\n- XML"),
    ],
)
def test_a_sentence_that_refers_back_goes_with_the_one_before(claim, evidence):
    assert support_score(claim, evidence, Analyzer("english")) >= SUPPORTED


NOTHING = [
    ("", "no_words"),
    ("***", "no_words"),
    ("# Summary", "heading"),
    ("## Short answer", "heading"),
    ("Note:", "introduction"),
    ("The following are the steps:", "introduction"),
    ("\u56de\u7b54\uff1a", "introduction"),
    ("\u624b\u9806\uff1a", "introduction"),
    ("# Installing", "heading"),
    ("## How it works", "heading"),
]
CLAIMS = [
    "Sure.",
    "Yes:",
    "# The otter flies",
    "The otter flies:",
    "# 42",
    "# Otters",
    "## Moving to Berlin",
    "# A heading\nand a line",
    "It costs 3 euros:",
    "Three steps:",
    "In June:",
    "According to Professor Smith:",
    "The answer is not:",
    "Note:\nOtters fly:",
    "Of course, it is safe.",
]


@pytest.mark.parametrize(("claim", "reason"), NOTHING)
def test_what_has_only_framing_words_is_no_claim_and_says_why(claim, reason):
    assert no_claim_reason(claim) == reason
    finding = check(Draft(claim, (), "", ""), sources([Text("", SETTINGS)]), Analyzer("english"))
    assert (finding.verdict, finding.reason) == ("no_claim", reason)


@pytest.mark.parametrize("claim", CLAIMS)
def test_whatever_may_say_something_is_a_claim(claim):
    assert no_claim_reason(claim) is None
    finding = check(Draft(claim, (), "", ""), sources([Text("", SETTINGS)]), Analyzer("english"))
    assert finding.verdict == "unsupported"


def found(claim, *texts, markers=(1,)):
    return check(Draft(claim, markers, "", ""), sources([Text("", one) for one in texts]), Analyzer("english"))


RIVER = "The river is deep and cold in winter. It freezes if the wind is calm. Boats may pass in spring."


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        ("It freezes", "scope_mismatch"),
        ("pass in spring", "modality_mismatch"),
        ("\u201cThe river is wide and cold in winter\u201d.", "quote_not_exact"),
        ("The river is deep and cold in winter, which drowned forty sheep.", "not_supported"),
    ],
)
def test_a_part_may_not_lose_nor_gain_what_turns_it(claim, reason):
    finding = found(claim, RIVER)
    assert (finding.verdict, finding.reason) == ("unsupported", reason)


@pytest.mark.parametrize(
    ("claim", "quote"),
    [
        ("In short, the river is deep and cold in winter.", "The river is deep and cold in winter."),
        ("The river is deep and cold in winter; it freezes if the wind is calm.", RIVER.rpartition(" Boats")[0]),
        ("He said \u201cthe river is deep\u201d: the river is deep and cold in winter.", None),
    ],
)
def test_lead_ins_and_joints_say_nothing(claim, quote):
    finding = found(claim, RIVER)
    if quote is None:
        assert finding.verdict == "unsupported"
    else:
        (support,) = finding.supports
        assert RIVER[support.start : support.end] == quote


def test_a_predicate_is_not_lent_to_a_word_of_its_subject():
    text = "Orders for the war were given by William Shirley of Boston in secret."
    assert found("The war was given by William Shirley of Boston in secret.", text).reason == "fused_sources"
    assert found(text, text).verdict == "supported"


def test_what_is_remembered_of_texts_holds_after_the_index_was_opened_anew():
    sent = sources([Text("Bridge", "The bridge over the river was opened in May 1932.")])
    draft = Draft("The bridge was opened in 1932.", (1,), "", "")
    first = check(draft, sent, Analyzer.from_name("unicode-bigram-2:auto:english"))
    assert first.verdict == "supported"
    misses = [cached.cache_info().misses for cached in (terms_of, compared_windows)]
    again = check(draft, sent, Analyzer.from_name("unicode-bigram-2:auto:english"))
    assert [cached.cache_info().misses for cached in (terms_of, compared_windows)] == misses
    assert again == first


def test_a_sentence_longer_than_passages_costs_no_more_than_they_do():
    long = " ".join(f"word{number % 700}" for number in range(3_000))
    began = time.process_time()
    assert found(long, long[: len(long) // 2]).verdict == "unsupported"
    assert time.process_time() - began < 2


ROW = (
    "pg_read | Read all, even without having it said. This role has no way to write. If rows are kept, it may see them."
)
BRACKETS = "(Somebody must be the blocker, because there is no other. It would be necessary to look. That is all.)"


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        ("This role has no way to write.", ROW),
        ("It would be necessary to look.", BRACKETS),
        ("(Somebody must be the blocker, because there is no other.", BRACKETS),
    ],
)
def test_sentences_of_a_row_or_of_brackets_are_not_turned_by_the_ones_beside_them(claim, text):
    assert found(claim, text).verdict == "supported"


def test_a_title_is_no_end_of_a_sentence():
    text = "- It is not true, as Capt. Smith says, that Prof. Jones lives here."
    assert found("Jones lives here.", text).reason == "negation_mismatch"
    assert found("Smith says, that Prof. Jones lives here.", text).reason == "negation_mismatch"
