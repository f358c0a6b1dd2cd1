"""A support scorer's calibration by hand-made figures; and one that is made, learns, and is used by the service."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from indexer.progress import Silent
from indexer.settings import IndexerSettings
from service.support import SupportCheck
from service.verifier import CARD, open_verifier, probability
from store.analyzer import Analyzer
from store.errors import UsageError
from training.cross_encoder import Recipe
from training.verifier import VerifierRequest, calibrate, make_verifier

COLOURS = ["red", "green", "blue", "yellow", "black", "white", "brown", "purple"]
THINGS = ["cup", "chair", "lamp", "table", "coat", "bicycle"]


def told_apart(count, logit):
    """Supported ones at +logit, others at -logit, words telling nothing."""
    return np.array([(logit, 0.5, 1.0), (-logit, 0.5, 0.0)] * count)


def test_what_is_told_apart_is_told_apart_after_calibration():
    found = calibrate([told_apart(50, 2.0)])
    assert found.logit > 0
    assert probability(2.0, 0.5, found) > found.threshold > probability(-2.0, 0.5, found)
    assert found.accept_from <= probability(2.0, 0.5, found) + 1e-3


def test_every_source_weighs_the_same_however_large():
    """The large source says that a logit of 1 is support, the small one that only words are."""
    large = np.array([(1.0, 0.5, 1.0), (-1.0, 0.5, 0.0)] * 500)
    small = np.array([(0.0, 0.9, 1.0), (0.0, 0.1, 0.0)] * 5)
    found = calibrate([large, small])
    assert found.coverage > 0
    assert found.coverage == pytest.approx(calibrate([large, np.tile(small, (100, 1))]).coverage, abs=1e-3)


def test_hardly_any_unsupported_one_is_accepted():
    dice = np.random.default_rng(5)
    labels = dice.integers(0, 2, 4000).astype(float)
    seen = np.column_stack([dice.normal(labels * 2, 1.0), dice.uniform(0.5, 1.0, 4000), labels])
    found = calibrate([seen])
    scores = np.array([probability(logit, share, found) for logit, share, _ in seen.tolist()])
    unsupported = scores[labels == 0]
    assert (unsupported >= found.accept_from).mean() == pytest.approx(0.02, abs=0.002)
    assert found.threshold < found.accept_from


def request_for(tmp_path, path):
    recipe = Recipe(layers=6, tokens_max=48, batch_size=16, epochs=4, positive_weight=1.0, by_length=True)
    return VerifierRequest([path], [], tmp_path / "out", tmp_path / "work", {}, None, recipe)


def test_a_file_that_is_not_there_cannot_be_limited(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"claim": "c", "evidence": "e", "label": "neutral"}))
    request = replace(request_for(tmp_path, path), most={"other": 3})
    with pytest.raises(UsageError, match="no training file called other"):
        make_verifier(request, IndexerSettings(), Silent())


def test_an_output_that_is_there_is_left_alone(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("")
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="exists already"):
        make_verifier(request_for(tmp_path, path), IndexerSettings(), Silent())


@pytest.mark.model
@pytest.mark.slow
def test_it_learns_what_follows_and_is_used(tmp_path):
    rows = []
    for number, (colour, thing) in enumerate((c, t) for c in COLOURS for t in THINGS):
        evidence = f"In room {number} there is a {colour} {thing}. Nobody knows who left it there."
        wrong = COLOURS[(COLOURS.index(colour) + 1 + number % 5) % len(COLOURS)]
        rows += [
            {"claim": f"The {thing} in the room is {colour}.", "evidence": evidence, "label": "supported"},
            {"claim": f"The {thing} in the room is {wrong}.", "evidence": evidence, "label": "refuted"},
        ]
    path = tmp_path / "rooms.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows * 4))
    request = request_for(tmp_path, path)

    made = make_verifier(request, IndexerSettings(), Silent())

    assert made.examples == {"rooms": 4 * len(rows)}
    assert made.kept_back > 0
    assert made.difference < 0.5
    check = SupportCheck(Analyzer(), open_verifier(request.output))
    evidence = "In room 99 there is a {} sofa. Nobody knows who left it there."
    right = sum(
        check.score(f"The sofa in the room is {one}.", evidence.format(one))
        > check.score(f"The sofa in the room is {one}.", evidence.format(other))
        for one, other in zip(COLOURS, COLOURS[1:] + COLOURS[:1], strict=True)
    )
    assert right >= 7
    card = json.loads((request.output / CARD).read_text())
    assert card["sources"]["rooms"]["examples"] == 4 * len(rows)

    on = replace(request, output=tmp_path / "further", base=made.trained, calibrating=[path])
    further = make_verifier(replace(on, recipe=replace(request.recipe, epochs=0.1)), IndexerSettings(), Silent())
    assert json.loads((on.output / CARD).read_text())["base"]["sources"] == card["sources"]
    assert further.auroc > 0.8, "it did not begin anew"
