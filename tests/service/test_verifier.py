"""The support scorer: what is refused when it is opened, and how a score becomes a probability."""

from __future__ import annotations

import json
import math

import pytest

from service.verifier import CARD, FILES, SupportCalibration, Verifier, open_verifier
from store.errors import StoreCorrupt, UsageError

CALIBRATION = SupportCalibration(intercept=-1.0, slope=0.5, threshold=0.5, accept_from=0.9)


class Logits:
    """Stands in for a model: gives what it was told to."""

    name = "logits"

    def __init__(self, *values):
        self.values = values
        self.asked = []

    def score(self, question, texts):
        self.asked.append((question, list(texts)))
        return list(self.values)


def test_a_probability_is_of_the_score():
    (found,) = Verifier(Logits(3.0), CALIBRATION).probabilities("claim", ["part"])
    assert found == pytest.approx(1 / (1 + math.exp(-(-1 + 0.5 * 3))))


def test_all_parts_are_scored_in_one_call():
    model = Logits(1.0, -1.0)
    found = Verifier(model, CALIBRATION).probabilities("claim", ["a", "b"])
    assert found[0] > found[1]
    assert model.asked == [("claim", ["a", "b"])]


def test_nothing_costs_nothing():
    model = Logits()
    assert Verifier(model, CALIBRATION).probabilities("claim", []) == []
    assert model.asked == []


@pytest.mark.parametrize("logit", [1e6, -1e6])
def test_a_huge_logit_is_a_probability_still(logit):
    (found,) = Verifier(Logits(logit), CALIBRATION).probabilities("claim", ["part"])
    assert 0 <= found <= 1


def test_a_folder_that_holds_none_says_what_to_do(tmp_path):
    named = r"has no card.json and no model.onnx and no pair.onnx and no tokenizer.json and no head.json"
    with pytest.raises(UsageError, match=named) as caught:
        open_verifier(tmp_path)
    assert "footnote train verifier" in (caught.value.fix or "")


@pytest.fixture
def folder(tmp_path):
    for name in FILES:
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


@pytest.mark.parametrize("card", ["{", "{}", '{"sha256": {}, "calibration": {}, "entailment": {}}'])
def test_a_bad_card_is_refused(folder, card):
    (folder / CARD).write_text(card)
    with pytest.raises(UsageError, match="cannot be read"):
        open_verifier(folder)


def test_other_weights_than_the_cards_are_refused(folder):
    calibration = CALIBRATION.model_dump()
    card = {"sha256": {"model.onnx": "0" * 64}, "calibration": calibration, "entailment": calibration}
    (folder / CARD).write_text(json.dumps(card))
    with pytest.raises(StoreCorrupt, match=r"model\.onnx is damaged: expected sha256 0000"):
        open_verifier(folder)
