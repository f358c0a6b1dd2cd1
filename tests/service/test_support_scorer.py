"""The model of the support scorer: its head's file, and how claims of several sentences and long texts are read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from service.adapters.token_encoder import TokenVectors
from service.support_features import LAYERS, NAMES
from service.support_scorer import (
    CLIP,
    NOTHING_SAID,
    SupportHead,
    SupportReader,
    SupportScorer,
    asserted,
    read_head,
    write_head,
)
from service.windows import WINDOW_CHARS
from store.analyzer import Analyzer
from store.errors import StoreCorrupt


class Letters:
    """Stands in for an encoder: a word piece for each word, whose vector is drawn by the word."""

    def __init__(self):
        self.read = []

    def encode(self, text):
        self.read.append(text)
        words = [word for word in text.lower().split() if any(map(str.isalnum, word))]
        ids = np.array([sum(map(ord, word)) % 50 for word in words], np.int64)
        vectors = np.array([np.random.default_rng(number).normal(size=8) for number in ids.tolist()]).reshape(-1, 8)
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        starts = [text.lower().index(word) for word in words]
        spans = np.array([(at, at + len(word)) for at, word in zip(starts, words, strict=True)], np.int64)
        stacked = np.stack([vectors] * len(LAYERS)).astype(np.float32)
        return TokenVectors(ids, spans.reshape(-1, 2), stacked, np.full(8, 8**-0.5, np.float32))


@pytest.fixture
def head():
    count = len(NAMES)
    weights = np.zeros(count)
    weights[NAMES.index("covered")] = 1.0
    return SupportHead(NAMES, np.zeros(count), np.ones(count), weights, -0.5, np.linspace(0, 9, 50, dtype=np.float32))


@pytest.fixture
def encoder():
    return Letters()


@pytest.fixture
def scorer(head, encoder):
    return SupportScorer(SupportReader(encoder, head.rarity, Analyzer("english")), head)


def test_a_head_of_other_figures_is_refused(tmp_path, head):
    write_head(replace(head, names=("one", *NAMES[1:])), tmp_path / "head.json")
    with pytest.raises(StoreCorrupt, match=r"figures of this version"):
        read_head(tmp_path / "head.json")


@pytest.mark.parametrize("kept", ["", "{}", '{"figures": [], "intercept": 0, "rarity": []}'])
def test_a_broken_head_is_refused(tmp_path, kept):
    (tmp_path / "head.json").write_text(kept)
    with pytest.raises(StoreCorrupt, match=r"cannot be read"):
        read_head(tmp_path / "head.json")


def test_a_head_is_read_as_it_was_written(tmp_path, head):
    write_head(head, tmp_path / "head.json")
    found = read_head(tmp_path / "head.json")
    assert found.names == NAMES
    for name in ("means", "scales", "weights"):
        np.testing.assert_array_equal(getattr(found, name), getattr(head, name))
    assert found.intercept == head.intercept
    np.testing.assert_allclose(found.rarity, head.rarity, atol=0.01)


def test_a_figure_far_from_what_was_seen_counts_no_more(head):
    far, farther = (head.score(np.full(len(NAMES), value)) for value in (CLIP, 1e9))
    assert far == farther == CLIP - 0.5


def test_texts_are_scored_each_by_itself(scorer):
    both = scorer.score("Otters sleep.", ["Otters sleep here.", "Beavers build dams."])
    assert both == [0.5, -0.5]
    assert scorer.score("Otters sleep.", ["Beavers build dams."]) == both[1:]


@pytest.mark.parametrize(("claim", "text"), [("", "A text."), ("A claim.", ""), ("?!", "A text."), ("A claim.", "...")])
def test_nothing_said_is_not_supported(scorer, claim, text):
    assert scorer.score(claim, [text]) == [NOTHING_SAID]


def test_a_claim_of_several_sentences_is_the_mean_of_them(scorer):
    text = "Otters sleep here."
    good, bad = (scorer.score(claim, [text])[0] for claim in ("Otters sleep.", "Beavers build."))
    assert scorer.score("Otters sleep. Beavers build.", [text]) == [pytest.approx((good + bad) / 2)]


def test_a_question_claims_nothing_unless_there_is_nothing_else():
    assert asserted("Who? Otters.", [(0, 4), (5, 12)]) == [(5, 12)]
    assert asserted("Who?", [(0, 4)]) == [(0, 4)]


def test_the_answer_to_a_question_is_read_after_it_and_counts_alone(scorer, encoder):
    assert scorer.score("Who sleeps? Otters sleep.", ["Otters sleep here."]) == [0.5]
    assert "Who sleeps? Otters sleep." in encoder.read


def test_a_long_text_is_read_in_runs_of_whole_sentences(scorer, encoder):
    sentence = "Otters sleep here for hours every day of the year and nobody wakes them."
    scorer.score("Otters sleep.", [" ".join([sentence] * 20)])
    runs = encoder.read[:-1] if encoder.read[-1] == "Otters sleep." else encoder.read[1:]
    assert len(runs) > 1
    assert all(len(run) <= WINDOW_CHARS and run.endswith("them.") for run in encoder.read if run != "Otters sleep.")
