"""Which sentences the built-in generator chooses, and in which order it says them."""

from __future__ import annotations

import asyncio

import pytest

from service.adapters.extractive import Extractive, choose
from service.adapters.generator import Ended
from service.contract import DocumentHeaderModel, PassageModel, Result, Scores
from service.evidence import Evidence
from service.sentences import units


def source(text, score=1.0):
    return Result(
        rank=1,
        score=score,
        scores=Scores(fused=score),
        passage=PassageModel(id="p", document_id="d", text=text, start=0, end=len(text), section=[]),
        document=DocumentHeaderModel(id="d", version="v", title="", metadata={}),
    )


def evidence(sources, scores):
    """The sentences that begin as given, with their scores, best first."""
    found = []
    for begins, score in scores.items():
        for number, one in enumerate(sources, 1):
            text = one.passage.text
            for unit in units(text):
                if text[unit.start : unit.end].startswith(begins):
                    sentence = text[unit.start : unit.end]
                    found.append(Evidence(number, unit.start, unit.end, sentence, unit.kind, score, score))
    return sorted(found, key=lambda one: -one.score)


def said(texts, scores, *, passages=None):
    sources = [source(text, score) for text, score in zip(texts, passages or [1.0] * len(texts), strict=True)]
    return [one.text for one in choose(evidence(sources, scores), sources)]


OTTER = "Otters live in rivers. They sleep by day. A cub stays for a year. It is blind at birth. Otters eat fish."


def test_without_evidence_nothing_is_said():
    assert choose([], [source("Otters swim.")]) == []


def test_the_best_sentence_and_at_most_two_near_it_are_said():
    text = "One fox runs. Two owls fly. Three eels swim. Four bees hum."
    assert said([text], {"One": 0.9, "Two": 0.89, "Three": 0.88, "Four": 0.87}) == [
        "One fox runs.",
        "Two owls fly.",
        "Three eels swim.",
    ]
    assert said([text], {"One": 0.9, "Two": 0.4, "Three": 0.4}) == ["One fox runs."]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ({"They": 0.9}, ["Otters live in rivers.", "They sleep by day."]),
        ({"It is": 0.9, "A cub": 0.88}, ["A cub stays for a year.", "It is blind at birth."]),
        ({"Otters live": 0.9}, ["Otters live in rivers."]),
    ],
)
def test_a_sentence_that_speaks_of_the_one_before_comes_after_it(scores, expected):
    assert said([OTTER], scores) == expected


@pytest.mark.parametrize(
    "text",
    [
        "It is blind at birth. More of it.",  # nothing is before it
        "and lives in rivers. It is blind at birth.",  # what is before it begins in the middle of a sentence
        "Of the cub two things are known:\n\nIt is blind at birth.",  # or announces what follows
        "- A cub stays.\n\nIt is blind at birth.",  # or stands for itself
    ],
)
def test_what_is_before_is_left_out_where_it_is_no_sentence(text):
    assert said([text], {"It is": 0.9}) == ["It is blind at birth."]


def test_the_best_sentence_comes_first_and_neighbours_stay_together():
    first = "Foxes dig. A lynx hunts at dawn. It sleeps by day. Bees hum. Owls fly at night."
    second = "Seals swim far."
    assert said([second, first], {"It sleeps": 0.9, "Seals": 0.88, "Foxes": 0.87}) == [
        "Foxes dig.",
        "A lynx hunts at dawn.",
        "It sleeps by day.",
        "Seals swim far.",
    ]
    assert said([second, first], {"Owls": 0.9, "Seals": 0.88, "Foxes": 0.87}) == [
        "Owls fly at night.",
        "Foxes dig.",
        "Seals swim far.",
    ]


@pytest.mark.parametrize(
    ("again", "kept"),
    [
        ("The otter sleeps five hours a day.", False),  # the same
        ("It is known that the otter sleeps five hours a day.", False),  # one within the other, but for a capital
        ("In winter the otter sleeps five hours a day.", False),
        ("The otter sleeps 5 hours a day.", True),  # another number, as far as is known
        ("The heron stands in water at night.", True),
    ],
)
def test_nothing_is_said_twice(again, kept):
    found = said(["The otter sleeps five hours a day.", again], {"The otter": 0.9, again[:11]: 0.89})
    assert found == ["The otter sleeps five hours a day.", *([again] if kept else [])]


def test_of_equal_sentences_the_better_passages_comes_first():
    texts = ["Seals swim far.", "Otters swim fast."]
    scores = {"Seals": 0.8, "Otters": 0.8}
    assert said(texts, scores, passages=[0.2, 0.9]) == ["Otters swim fast."]
    assert said(texts, scores, passages=[0.9, 0.2]) == ["Seals swim far."]
    assert said(texts, scores, passages=[0.0, 0.0]) == texts


def test_every_sentence_has_its_marker_and_prose_stands_on_one_line():
    sources = [source("Foxes\ndig."), source("Intro.\n\n- Owls fly\n- Bees hum")]

    async def run():
        found = evidence(sources, {"Foxes": 0.9, "- Owls": 0.88})
        return [piece async for piece in Extractive().generate("q", sources, found)]

    *pieces, ended = asyncio.run(run())
    assert pieces == ["Foxes dig. [1]\n", "- Owls fly [2]\n"]
    assert isinstance(ended, Ended)
