"""A support scorer that is made, learns, and is used by the service; and what is refused before."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from indexer import encoder
from indexer.model import locate
from indexer.progress import Silent
from indexer.settings import IndexerSettings
from service.support import SupportCheck
from service.support_features import LAYERS
from service.support_scorer import HEAD, read_head
from service.verifier import CARD, open_verifier
from store.analyzer import Analyzer
from store.errors import SpaceMismatch, UsageError
from training.verifier import VerifierRequest, make_verifier

COLOURS = ["red", "green", "blue", "yellow", "black", "white", "brown", "purple"]
THINGS = ["cup", "chair", "lamp", "table", "coat", "bicycle"]


def request_for(tmp_path, *paths):
    return VerifierRequest(list(paths), [], tmp_path / "out", tmp_path / "work", {}, ridge=0.01)


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


def test_a_file_of_one_label_teaches_nothing_and_is_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"claim": "A cup.", "evidence": "A red cup.", "label": "supported"}))
    with pytest.raises(UsageError, match=r"rows\.jsonl: needs claims that are supported and claims that are not, two"):
        make_verifier(request_for(tmp_path, path), IndexerSettings(), Silent())


def rooms(rng):
    """Claims about rooms; half name another colour than the evidence."""
    for number, (colour, thing) in enumerate((c, t) for c in COLOURS for t in THINGS):
        evidence = f"In room {rng * 100 + number} there is a {colour} {thing}. Nobody knows who left it there."
        wrong = COLOURS[(COLOURS.index(colour) + 1 + number % 5) % len(COLOURS)]
        yield {"claim": f"The {thing} in the room is {colour}.", "evidence": evidence, "label": "supported"}
        yield {"claim": f"The {thing} in the room is {wrong}.", "evidence": evidence, "label": "refuted"}


@pytest.mark.model
def test_an_export_unlike_the_model_is_refused_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(encoder, "_token_parity", lambda *_: 0.5)
    with pytest.raises(SpaceMismatch, match="token parity"):
        encoder.export_token_encoder(locate("all-MiniLM-L6-v2"), tmp_path / "made" / "encoder", LAYERS)
    assert list((tmp_path / "made").iterdir()) == []


@pytest.mark.model
@pytest.mark.slow
def test_it_learns_what_follows_and_is_used(tmp_path):
    path = tmp_path / "rooms.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rooms(1)))
    request = request_for(tmp_path, path)

    made = make_verifier(request, IndexerSettings(), Silent())

    assert made.examples == {"rooms": 2 * len(COLOURS) * len(THINGS)}
    assert made.auroc > 0.9
    check = SupportCheck(Analyzer(), open_verifier(request.output))
    evidence = "In room 99 there is a {} sofa. Nobody knows who left it there."
    right = sum(
        check.score(f"The sofa in the room is {one}.", evidence.format(one))
        > check.score(f"The sofa in the room is {one}.", evidence.format(other))
        for one, other in zip(COLOURS, COLOURS[1:] + COLOURS[:1], strict=True)
    )
    assert right >= 7
    card = json.loads((request.output / CARD).read_text())
    assert card["sources"]["rooms"]["examples"] == made.examples["rooms"]
    rarity = read_head(request.output / HEAD).rarity
    assert rarity.min() < 1 < rarity.max(), "words of every room are common, others rare"

    again = replace(request, output=tmp_path / "again")
    make_verifier(again, IndexerSettings(), Silent())
    assert (again.output / HEAD).read_bytes() == (request.output / HEAD).read_bytes()
    assert np.isfinite(read_head(again.output / HEAD).weights).all()
