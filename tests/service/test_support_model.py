"""The support scorer that comes with Footnote: small enough, whole, and of use."""

from __future__ import annotations

import json

import numpy as np
import pytest

from service.adapters.token_encoder import OnnxTokenEncoder
from service.support import SupportCheck
from service.support_features import LAYERS
from service.verifier import BUNDLED, CARD, open_support
from store.analyzer import Analyzer


@pytest.fixture(scope="module")
def check():
    return SupportCheck(Analyzer(), open_support(BUNDLED))


def test_it_takes_no_more_than_25_mb():
    assert sum(file.stat().st_size for file in BUNDLED.iterdir()) <= 25_000_000


def test_its_card_names_what_it_was_trained_on():
    card = json.loads((BUNDLED / CARD).read_text())
    named = set(card["sources"])
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


def test_a_sentence_that_nothing_supports_makes_a_claim_worse(check):
    evidence = "In 1894 the king opened the bridge in front of a large crowd."
    good, bad = "The king opened the bridge.", "Elephants swim in the river every summer."
    assert check.score(good, evidence) > check.score(f"{good} {bad}", evidence) > check.score(bad, evidence)


def test_a_text_has_the_same_vectors_whatever_was_read_before():
    one, other = (OnnxTokenEncoder(BUNDLED) for _ in range(2))
    other.encode("Something long that was read before, of quite another kind and length.")
    first, second = (model.encode("The king opened the bridge.") for model in (one, other))
    np.testing.assert_array_equal(first.vectors, second.vectors)
    assert first.vectors.shape[0] == len(LAYERS)
    np.testing.assert_allclose(np.linalg.norm(first.vectors, axis=2), 1, atol=1e-4)


def test_nothing_and_very_much_are_scored_too(check):
    assert check.score("", "Some evidence.") == 0.0
    assert check.score("A claim.", "") == 0.0
    assert 0 <= check.score("word " * 5000, "other " * 5000) <= 1
