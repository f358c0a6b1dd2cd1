"""The entailment model that comes with Footnote: what it reads, what it does not, and what it is of use for."""

from __future__ import annotations

import shutil

import pytest

from service.adapters.entailment_model import PAIR, PAIR_TOKENS_MAX, EntailmentModel
from service.support_scorer import NOTHING_SAID
from service.verifier import BUNDLED

TEXT = "Otters\nThe otter sleeps five hours a day."


@pytest.fixture(scope="module")
def model():
    return EntailmentModel(BUNDLED)


@pytest.mark.parametrize("claim", ["", "  ", "otter " * 161, "otter " * 500, "x" * 3_000, "x" * 100_000])
def test_no_claim_has_no_score_nor_one_that_would_not_be_read_to_its_end(model, claim):
    found = model.score(claim, [TEXT, TEXT])
    assert found == [NOTHING_SAID, NOTHING_SAID] or claim == "x" * 3_000  # one unknown word


def test_a_text_that_would_not_be_read_to_its_end_has_none(model):
    """What is not read may take back the rest."""
    words = PAIR_TOKENS_MAX - 20
    assert model.score("Otters rest.", ["otter " * words])[0] != NOTHING_SAID
    assert model.score("Otters rest.", ["otter " * words * 2, TEXT * 1000]) == [NOTHING_SAID, NOTHING_SAID]


@pytest.mark.parametrize("text", ["", "\n", "\x00", "東京", "\ud83e\udda6 🦦" * 50])
def test_odd_texts_have_a_score_too(model, text):
    (found,) = model.score("The otter sleeps.", [text.encode("utf-8", "replace").decode()])
    assert -50 < found < 50


def test_a_score_does_not_depend_on_what_else_is_scored(model):
    others = ["Herons stand in water.", TEXT, "A much longer text about something else altogether, of many words."]
    assert model.score("Otters rest.", others)[1] == model.score("Otters rest.", [TEXT])[0]


@pytest.mark.parametrize(
    ("text", "honest", "lie"),
    [
        ("The bridge was closed because of snow.", "Snowfall shut the bridge.", "The bridge stayed open in the snow."),
        ("The drug lowers blood pressure.", "It reduces hypertension.", "It raises hypertension."),
        ("Some of the herons are fed by wardens.", "Wardens feed some herons.", "No heron is fed."),
    ],
)
def test_what_follows_scores_above_what_does_not(model, text, honest, lie):
    assert model.score(honest, [text])[0] > model.score(lie, [text])[0] + 1


def test_it_points_into_the_weights_beside_it(tmp_path):
    assert (BUNDLED / PAIR).stat().st_size < 2_000_000
    for name in (PAIR, "tokenizer.json"):
        shutil.copyfile(BUNDLED / name, tmp_path / name)
    with pytest.raises(Exception, match=r"model\.onnx"):
        EntailmentModel(tmp_path)
