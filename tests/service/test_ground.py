"""Which stretch of a passage may support a reworded sentence."""

from __future__ import annotations

import pytest

from service.ground import no_claim_reason, support_score
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


@pytest.mark.parametrize(
    ("unit", "reason"),
    [
        ("...", "no_words"),
        ("—", "no_words"),
        ("# Installing", "heading"),
        ("## How it works", "heading"),
        ("The steps are:", "introduction"),
        ("手順：", "introduction"),
        ("# Release 4", None),
        ("## Moving to Berlin", None),
        ("They moved to Berlin:", None),
        ("Sure.", None),
        ("# A heading\nand a line", None),
        ("It costs 3 euros:", None),
    ],
)
def test_what_claims_nothing_says_why_and_what_may_claim_is_checked(unit, reason):
    assert no_claim_reason(unit) == reason
