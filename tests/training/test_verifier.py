"""A support scorer that is made, learns, and is used by the service; and what is refused before."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save

from indexer.model import locate
from indexer.progress import Silent
from indexer.settings import IndexerSettings
from service.adapters.entailment_model import PAIR
from service.support import SupportCheck
from service.support_features import LAYERS
from service.support_scorer import HEAD, read_head
from service.verifier import CARD, open_support, open_verifier
from store.analyzer import Analyzer
from store.errors import SpaceMismatch, UsageError
from training import scorer_export, verifier
from training.entailment import ADAPTER, HELD
from training.entailment import CARD as ADAPTER_CARD
from training.verifier import ADAPTER_RANK, VerifierRequest, make_verifier

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
    monkeypatch.setattr(scorer_export, "_token_parity", lambda *_: 0.5)
    with pytest.raises(SpaceMismatch, match="token parity"):
        scorer_export.export_token_encoder(locate("all-MiniLM-L6-v2"), tmp_path / "made" / "encoder", LAYERS)
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
    check = SupportCheck(Analyzer(), open_support(request.output))
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

    bundled = verifier.BUNDLED / PAIR
    assert (request.output / PAIR).read_bytes() == bundled.read_bytes(), "without an adapter the guardrail's is kept"
    with_adapter = replace(request, output=tmp_path / "adapted", adapter=adapter_in(tmp_path))
    made = make_verifier(with_adapter, IndexerSettings(), Silent())
    adapted = open_verifier(tmp_path / "adapted")
    assert made.bytes < 25_000_000
    assert (tmp_path / "adapted" / PAIR).stat().st_size < 1_000_000, "its encoder's weights lie in the other file"
    assert (tmp_path / "adapted" / PAIR).read_bytes() != bundled.read_bytes()
    (found,) = adapted.probabilities("The cup in the room is red.", ["In room 1 there is a red cup."])
    assert 0 < found < 1
    card = json.loads((tmp_path / "adapted" / CARD).read_text())
    assert card["adapter"] == {"made": "by a test", "rank_kept": ADAPTER_RANK}


@pytest.mark.model
def test_of_another_encoder_the_guardrails_scorer_is_not_kept(tmp_path, monkeypatch):
    folder = tmp_path / "bundled"
    folder.mkdir()
    (folder / CARD).write_text(json.dumps({"base": "another", "sha256": {"model.onnx": "0" * 64}}))
    monkeypatch.setattr(verifier, "BUNDLED", folder)
    path = tmp_path / "rooms.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in list(rooms(1))[:8]))
    with pytest.raises(UsageError, match="another export") as caught:
        make_verifier(request_for(tmp_path, path), IndexerSettings(), Silent())
    assert "--adapter" in (caught.value.fix or "")
    assert not (tmp_path / "out").exists()


def adapter_in(folder):
    """An adapter of one product of the embedding model, and rows held back of the rooms."""
    rng = np.random.default_rng(0)
    place = "encoder.layer.5.output.dense"
    weights = {f"{place}.A": (32, 1536), f"{place}.B": (384, 32), "h.weight": (2, 768), "h.bias": (2,)}
    made = folder / "adapter"
    made.mkdir()
    drawn = {name: (rng.normal(size=shape) / 50).astype(np.float16) for name, shape in weights.items()}
    (made / ADAPTER).write_bytes(save(drawn))
    lines = "".join(
        json.dumps({"claim": claim, "text": text, "supported": label == "supported", "source": "rooms"}) + "\n"
        for claim, text, label in (one.values() for one in rooms(2))
    )
    (made / HELD).write_bytes(gzip.compress(lines.encode()))
    (made / ADAPTER_CARD).write_text(json.dumps({"made": "by a test"}))
    return made
