"""Rows of a support scorer: what is read, what is refused, and what a claim is set beside."""

from __future__ import annotations

import json

import pytest

from store.analyzer import Analyzer
from store.errors import UsageError
from training.cross_encoder import batches_by_length
from training.examples import Example
from training.support import SupportRow, examples_of_support, read_support_rows


def written(tmp_path, *rows):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_only_supported_is_supported(tmp_path):
    rows = [
        {"claim": f"c{n}", "evidence": "e", "label": name} for n, name in enumerate(["supported", "refuted", "neutral"])
    ]
    found = read_support_rows(written(tmp_path, *rows), 10)
    assert found == [SupportRow("c0", "e", 1.0), SupportRow("c1", "e", 0.0), SupportRow("c2", "e", 0.0)]


@pytest.mark.parametrize(
    "row",
    [
        {"claim": "c", "evidence": "e", "label": "maybe"},
        {"claim": "c", "evidence": "e"},
        {"claim": " ", "evidence": "e", "label": "neutral"},
        {"claim": "c", "evidence": 3, "label": "neutral"},
    ],
)
def test_a_bad_row_is_named(tmp_path, row):
    path = written(tmp_path, {"claim": "c", "evidence": "e", "label": "neutral"}, row)
    with pytest.raises(UsageError, match=r"rows\.jsonl:2"):
        read_support_rows(path, 10)


def test_a_draw_is_the_same_twice_and_keeps_the_order(tmp_path):
    rows = [{"claim": f"c{n}", "evidence": "e", "label": "neutral"} for n in range(50)]
    path = written(tmp_path, *rows)
    drawn = read_support_rows(path, 5)
    assert drawn == read_support_rows(path, 5)
    assert len(drawn) == 5
    numbers = [int(one.claim[1:]) for one in drawn]
    assert numbers == sorted(numbers)


def test_a_claim_stands_beside_the_part_that_speaks_of_it():
    filler = " ".join(f"Sentence {n} speaks of nothing much, at some length." for n in range(40))
    row = SupportRow("Beavers live in lodges.", f"{filler} Beavers live in lodges of wood. {filler}", 1.0)
    (example,) = examples_of_support([row], Analyzer())
    assert "Beavers live in lodges of wood." in example.text
    assert len(example.text) < 3 * 500
    assert example == Example("Beavers live in lodges.", example.text, 1.0)


def test_batches_hold_every_position_once_and_are_alike_in_length():
    lengths = [(37 * n) % 101 for n in range(500)]
    batches = batches_by_length(lengths, 8, seed=3)
    assert sorted(position for batch in batches for position in batch) == list(range(500))
    assert batches == batches_by_length(lengths, 8, seed=3)
    assert batches != batches_by_length(lengths, 8, seed=4)
    assert max(max(lengths[p] for p in batch) - min(lengths[p] for p in batch) for batch in batches) < 20
    firsts = [lengths[batch[0]] for batch in batches]
    assert firsts != sorted(firsts), "the order of the batches tells no length"
