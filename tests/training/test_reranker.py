"""A reranker is made, learns, goes on where it was stopped, and is used by the service."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from indexer.progress import Silent
from indexer.settings import IndexerSettings
from service.adapters.reranker import OnnxCrossEncoder
from store.errors import UsageError
from training.cross_encoder import Recipe
from training.reranker import RerankerRequest, make_reranker

pytestmark = [pytest.mark.model, pytest.mark.slow]

COLOURS = ["red", "green", "blue", "yellow", "black", "white", "brown", "purple"]
THINGS = ["cup", "chair", "lamp", "table", "coat", "bicycle"]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "colours.jsonl"
    path.write_text(
        "".join(
            json.dumps(
                {
                    "query": f"{colour} {thing}",
                    "positive": {"title": "", "text": f"Room {number} has a {colour} {thing}. It was bought new."},
                }
            )
            + "\n"
            for number, (colour, thing) in enumerate((c, t) for c in COLOURS for t in THINGS)
        )
    )
    return path


@pytest.fixture(scope="module")
def request_(rows, tmp_path_factory):
    work = tmp_path_factory.mktemp("work")
    recipe = Recipe(layers=6, tokens_max=48, batch_size=16, epochs=3)
    return RerankerRequest([rows], work / "out", work / "kept", negatives=3, pseudo_share=0.2, recipe=recipe)


@pytest.fixture(scope="module")
def made(request_):
    return make_reranker(request_, IndexerSettings(), Silent())


def test_it_learns_what_belongs_together(made, request_):
    assert made.examples["colours"] > len(COLOURS) * len(THINGS) * 3
    assert made.difference < 0.5
    model = OnnxCrossEncoder(request_.output)
    right = 0
    for colour in COLOURS:
        texts = [f"Room 77 has a {other} sofa. It was bought new." for other in COLOURS]
        scores = model.score(f"{colour} sofa", texts)
        right += scores.index(max(scores)) == COLOURS.index(colour)
    assert right >= 6


def test_its_card_tells_what_it_was_made_of(made, request_):
    card = json.loads((request_.output / "card.json").read_text())
    assert card["sources"]["colours"]["examples"] == made.examples["colours"]
    assert len(card["sources"]["colours"]["sha256"]) == 64
    assert card["recipe"]["layers"] == 6
    assert (request_.output / "model.onnx").stat().st_size < 25e6


def test_a_folder_that_is_there_is_not_written_over(made, request_):
    with pytest.raises(UsageError, match="exists already"):
        make_reranker(request_, IndexerSettings(), Silent())


class Stopped(Exception):
    """The run was stopped."""


class StopsWhileTraining(Silent):
    """Stops the run after some steps."""

    def __init__(self) -> None:
        self.training = False
        self.steps = 0

    def phase(self, name, total=None):
        self.training = name.startswith("Training")

    def advance(self, steps=1):
        if self.training:
            self.steps += steps
            if self.steps >= 8 * 16:
                raise Stopped


class Remembers(Silent):
    def __init__(self) -> None:
        self.phases = []

    def phase(self, name, total=None):
        self.phases.append(name)


def test_a_run_that_was_stopped_goes_on_from_its_checkpoint(made, request_):
    recipe = replace(request_.recipe, layers=1, epochs=1)
    again = replace(request_, output=request_.work / "again", recipe=recipe)
    with pytest.raises(Stopped):
        make_reranker(again, IndexerSettings(), StopsWhileTraining())
    seen = Remembers()
    make_reranker(again, IndexerSettings(), seen)
    assert seen.phases[0].startswith("Training, from checkpoint-"), seen.phases  # nothing is mined again
    assert (again.output / "model.onnx").is_file()


def test_more_layers_than_there_are_cannot_be_kept(made, request_):
    with pytest.raises(UsageError, match="has 6 layers; 7 cannot be kept"):
        make_reranker(
            replace(request_, output=request_.work / "deep", recipe=Recipe(layers=7)), IndexerSettings(), Silent()
        )
