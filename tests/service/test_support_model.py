"""The support scorer that comes with Footnote: small enough, whole, and of use."""

from __future__ import annotations

import json

import pytest

from service.support import SupportCheck
from service.verifier import BUNDLED, CARD, open_verifier
from store.analyzer import Analyzer


@pytest.fixture(scope="module")
def check():
    return SupportCheck(Analyzer(), open_verifier(BUNDLED))


def test_it_takes_no_more_than_25_mb():
    assert sum(file.stat().st_size for file in BUNDLED.iterdir()) <= 25_000_000


def test_its_card_names_what_it_was_trained_on():
    card = json.loads((BUNDLED / CARD).read_text())
    named = {*card["sources"], *card["base"]["sources"]}
    assert {"scifact", "begin-dev", "halueval-qa-a", "wice", "summedits"} <= named
    assert not named & {"healthver-dev", "climate-fever-a", "expertqa-val", "qags-xsum", "faithbench-a"}


@pytest.mark.parametrize(
    ("claim", "evidence", "unsupported"),
    [
        (
            "Refunds are paid back in two weeks.",
            "Customers who send a product back get their money within 14 days.",
            "Refunds are never paid.",
        ),
        (
            "The bridge was opened by the king.",
            "In 1894 the king opened the bridge in front of a large crowd.",
            "The bridge was closed by the queen.",
        ),
    ],
)
def test_a_rewording_scores_above_what_is_not_said(check, claim, evidence, unsupported):
    assert check.score(claim, evidence) > check.score(unsupported, evidence)
    assert check.score(unsupported, evidence) < check.threshold


def test_a_claim_is_as_good_as_its_worst_sentence(check):
    evidence = "In 1894 the king opened the bridge in front of a large crowd."
    good, bad = "The king opened the bridge.", "Elephants swim in the river every summer."
    assert check.score(f"{good} {bad}", evidence) == pytest.approx(check.score(bad, evidence))


def test_nothing_and_very_much_are_scored_too(check):
    assert check.score("", "Some evidence.") == 0.0
    assert check.score("A claim.", "") == 0.0
    assert 0 <= check.score("word " * 5000, "other " * 5000) <= 1
