"""What a support scorer sees of a claim and a text, by token vectors made by hand: one direction for each word."""

from __future__ import annotations

import re

import numpy as np
import pytest

from service.adapters.token_encoder import TokenVectors
from service.support_features import LAYERS, NAMES, Read, support_features
from store.analyzer import Analyzer

VOCABULARY: dict[str, int] = {}
DIMENSION = 64
RARITY = np.full(DIMENSION, 2.0, np.float32)
LIKE = {"kid": "child"}
"""Words that point nearly where another does."""


def direction(word):
    at = VOCABULARY.setdefault(word, len(VOCABULARY) % DIMENSION)
    return np.eye(DIMENSION, dtype=np.float32)[at], at


def read(text):
    words = list(re.finditer(r"\w+", text))
    vectors, ids = [], []
    for word in words:
        own, number = direction(word.group().lower())
        if word.group().lower() in LIKE:
            own = 0.6 * own + 0.8 * direction(LIKE[word.group().lower()])[0]
        vectors.append(own)
        ids.append(number)
    stacked = np.array(vectors, np.float32).reshape(-1, DIMENSION)
    mean = stacked.sum(axis=0) if len(stacked) else np.ones(DIMENSION, np.float32)
    return Read(
        text,
        TokenVectors(
            np.array(ids, np.int64),
            np.array([word.span() for word in words], np.int64).reshape(-1, 2),
            np.stack([stacked] * len(LAYERS)),
            mean / np.linalg.norm(mean),
        ),
    )


def figures(claim, *parts):
    found = support_features(read(claim), [read(part) for part in parts], Analyzer("english"), RARITY)
    return dict(zip(NAMES, found.tolist(), strict=True))


@pytest.fixture(autouse=True)
def words_anew():
    VOCABULARY.clear()


@pytest.mark.parametrize(("claim", "parts"), [("", ["A text."]), ("A claim.", []), ("A claim.", ["...", "!"])])
def test_nothing_has_no_figures(claim, parts):
    with pytest.raises(ValueError, match="need a word each"):
        figures(claim, *parts)


def test_every_figure_has_one_name_and_is_finite():
    assert len(set(NAMES)) == len(NAMES)
    found = figures("One word.", "Another thing. And more, 5 of it, in Rome.", "x")
    assert np.isfinite(list(found.values())).all()


def test_what_stands_there_is_met_whole():
    found = figures("The child sings songs.", "In May the child sings songs. Nobody listens.")
    for name in ("layer6.mean", "layer6.least", "layer2.best_sentence", "covered", "pairs_in_common", "run"):
        assert found[name] == pytest.approx(1.0), name
    assert found["layer6.unmet_in_all"] == pytest.approx(0.0)
    assert found["layer6.lacking"] == 1.0, "nothing lacks"


def test_a_word_of_like_meaning_is_met_better_than_another():
    text = "The child sings."
    like, other = figures("The kid sings.", text), figures("The king sings.", text)
    assert like["layer6.lacking_least"] == pytest.approx(0.8)
    assert other["layer6.lacking_least"] == pytest.approx(0.0)
    assert like["covered"] == other["covered"] == pytest.approx(0.5)


def test_rare_words_that_lack_weigh_more():
    read("common rare text")
    RARITY[VOCABULARY["rare"]] = 8.0
    try:
        common, rare = figures("Common text.", "A rare text."), figures("Rare text.", "A common text.")
    finally:
        RARITY[VOCABULARY["rare"]] = 2.0
    assert common["layer6.mean"] == rare["layer6.mean"]
    assert common["layer6.by_rarity"] > rare["layer6.by_rarity"]
    assert common["covered_by_rarity"] > rare["covered_by_rarity"]
    assert rare["terms_lacking_rarest"] == pytest.approx(8.0)


def test_what_two_sentences_say_together_is_not_what_one_says():
    one = figures("Anna sings in Rome.", "Anna sings in Rome. Bert waits.")
    two = figures("Anna sings in Rome.", "Anna waits. Bert sings in Rome.")
    assert one["layer6.mean"] == two["layer6.mean"] == pytest.approx(1.0)
    assert one["layer6.best_sentence_gap"] == pytest.approx(0.0)
    assert two["layer6.best_sentence_gap"] > 0.2


def test_parts_are_met_together():
    found = figures("Anna sings.", "Anna waits.", "Bert sings.")
    assert found["layer6.mean"] == pytest.approx(1.0)
    assert found["layer6.best_part"] == pytest.approx(0.5)


def test_the_order_of_words_is_seen():
    kept, turned = (figures("Dogs bite men often.", text) for text in ("Dogs bite men often.", "Often men bite dogs."))
    assert kept["layer6.mean"] == turned["layer6.mean"]
    assert kept["layer6.forwards"] == 1.0 > turned["layer6.forwards"]


@pytest.mark.parametrize(
    ("claim", "text", "name", "value"),
    [
        ("It holds 5 cups.", "It holds 6 cups.", "numbers_lacking", 1.0),
        ("It holds 5 cups.", "It holds 5 cups.", "numbers_lacking", 0.0),
        ("We met Anna.", "We met Bert.", "names_lacking", 1.0),
        ("It does not work.", "It does work.", "negation_differs", 1.0),
        ("It does not work.", "It never did work.", "negation_differs", 0.0),
        ("Rain increases sleep.", "Rain reduces sleep.", "direction_differs", 1.0),
        ("Rain increases sleep.", "Rain enhances sleep.", "direction_held", 1.0),
        ("Rain helps.", "Rain may help.", "text_hedged_alone", 1.0),
        ("It holds 5 cups.", "It holds 6 cups.", "conflict.number_mismatch", 1.0),
        ("It holds 5 cups.", "It holds 5 cups.", "conflict", 0.0),
    ],
)
def test_facts_are_told(claim, text, name, value):
    assert figures(claim, text)[name] == value
