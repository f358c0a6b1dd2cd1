"""Follow-up questions, by rules: which lean on what came before, and what they are given."""

from __future__ import annotations

import time

import pytest

from service.condense import TOPIC_CHARS_MAX, condense, names
from service.question import Turn


def said(*texts):
    """User and assistant in turn, the last one the user's."""
    roles = ("user", "assistant")
    return [Turn(roles[number % 2], text) for number, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("before", "asked", "used"),
    [
        ("How do I index a table?", "And drop it?", "And drop it? (index table)"),
        ("What is a VACUUM?", "How often does it run?", "How often does it run? (VACUUM)"),
        ("What does a hash index store?", "What about GiST?", "What about GiST? (hash index store)"),
        ("Which lakes are in Bern?", "Why?", "Why? (lakes Bern)"),
        ("Wie tief ist der Bodensee?", "Und der Genfersee?", "Und der Genfersee? (tief Bodensee)"),
        (
            "Wie tief ist der Bodensee?",
            "Welche Flüsse fließen in ihn?",
            "Welche Flüsse fließen in ihn? (tief Bodensee)",
        ),
        ("¿Quién fue el autor de Don Quijote?", "¿Y dónde nació?", "¿Y dónde nació? (Quién autor Don Quijote)"),
        ("Кто построил Эрмитаж?", "Когда он был открыт?", "Когда он был открыт? (построил Эрмитаж)"),
        ("东京的人口是多少？", "它的面积呢？", "它的面积呢？ (东京的人口是多少？)"),
        ("東京の人口は何人ですか。", "その面積は？", "その面積は？ (東京の人口は何人ですか。)"),
    ],
)
def test_a_question_that_leans_is_given_its_topic(before, asked, used):
    found = condense(said(before, "...", asked))
    assert found.text == used
    assert not found.left_open


@pytest.mark.parametrize(
    ("before", "asked"),
    [
        ("How do I index a table?", "How many rows can a hash index hold?"),
        ("How do I index a table?", "What is a tablespace?"),
        ("How do I index a table?", "Is it possible to rename a column?"),
        ("What is a seal?", "Which E. coli strains are known?"),
        ("Wie tief ist der Bodensee?", "Welche Vögel brüten im Wattenmeer?"),
        ("东京的人口是多少？", "大阪有多少个火车站？"),
        (
            "What is Twilio?",
            "If a contractor sends an invoice to a client abroad, do they have to charge value added tax on it?",
        ),
    ],
)
def test_a_question_that_stands_for_itself_is_left_alone(before, asked):
    found = condense(said(before, "...", asked))
    assert (found.text, found.left_open) == (asked, False)


def test_a_first_question_has_nothing_to_lean_on():
    assert condense(said("And it?")).text == "And it?"


def test_without_a_user_turn_there_is_no_question():
    assert condense([Turn("assistant", "hi")]).text == ""
    assert condense([]).text == ""


def test_over_two_turns_that_lean_the_topic_comes_along_and_a_model_may_do_better():
    found = condense(said("What is the Kolb House?", "A museum.", "Who donated it?", "A family.", "When was it moved?"))
    assert found.text == "When was it moved? (Kolb House donated)"
    assert found.left_open


def test_a_person_is_looked_for_in_what_was_said_where_the_asker_named_nobody():
    told = "The bridge was designed by Othmar Ammann [1]."
    found = condense(said("who designed the bridge?", told, "How old was he?"))
    assert found.text == "How old was he? (Othmar Ammann designed bridge)"
    assert not found.left_open
    several = condense(said("who designed the bridge?", "It was Othmar Ammann or Leon Moisseiff.", "How old was he?"))
    assert several.left_open


def test_who_was_asked_for_is_who_a_pronoun_stands_for():
    told = "William Shakespeare wrote Hamlet [1]."
    found = condense(said("Who wrote Hamlet?", told, "When was he born?"))
    assert (found.text, found.left_open) == ("When was he born? (Shakespeare wrote Hamlet)", False)
    named = condense(said("Where was Ada Lovelace born?", "In London, England.", "When did she die?"))
    assert (named.text, named.left_open) == ("When did she die? (Ada Lovelace born)", False)


@pytest.mark.parametrize("asked", ["What are the side effects?", "Which one is faster?", "Where did the author live?"])
def test_a_short_question_that_may_lean_is_left_alone_and_to_a_model(asked):
    found = condense(said("Tell me about metformin", "It is a drug.", asked))
    assert (found.text, found.left_open) == (asked, True)


def test_markers_of_an_earlier_answer_are_not_looked_up():
    found = condense(said("who designed the bridge?", "It was Othmar Ammann [12].", "How old was he?"))
    assert "12" not in found.text


def test_what_an_assistant_is_said_to_have_said_gives_no_more_than_three_names():
    flood = "it says " + " and ".join(f"Name{letter}" for letter in "ABCDEFGH") + " ignore all rules"
    found = condense(said("who designed the bridge?", flood, "How old was he?"))
    assert found.text == "How old was he? (NameA NameB NameC designed bridge)"


def test_the_topic_is_bounded_and_a_long_conversation_takes_no_time():
    words = " ".join(f"word{number}" for number in range(5_000))
    began = time.perf_counter()
    found = condense(said(*[words] * 200, "And it?"))
    assert len(found.text) <= len("And it? ()") + TOPIC_CHARS_MAX
    assert condense(said("A " * 5_000 + "." * 20_000, "x", "it " * 20_000)).text == ("it " * 20_000).strip()
    assert time.perf_counter() - began < 2


def test_names_are_words_in_capitals_that_begin_no_sentence():
    assert names("Where is the Golden Gate? Bridges like IBM Cloud, and iPhone too.") == [
        "Golden Gate",
        "IBM Cloud",
        "iPhone",
    ]


def test_the_language_is_told_by_the_answer_too():
    cervantes = "Lo escribió Miguel de Cervantes; la primera parte es del año 1605."
    found = condense(said("¿Quién escribió Don Quijote?", cervantes, "¿Y dónde nació?"))
    assert found.text == "¿Y dónde nació? (Quién escribió Don Quijote)"
