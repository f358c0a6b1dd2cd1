"""What a cross-encoder is trained on."""

from __future__ import annotations

from evaluation.pseudo_questions import PseudoQuestion
from training.examples import Example, Found, examples_of_pseudo_question, examples_of_row
from training.rows import TrainingRow, TrainingText

ROW = TrainingRow("q", TrainingText("T", "yes"), (TrainingText("", "near"),))


def test_the_answer_comes_with_as_many_others_as_wanted_from_all_that_brought_some():
    found = Found(dense=["d1", "d2", "d3"], lexical=["l1", "l2", "l3"])
    first, *others = examples_of_row(ROW, found, 3, seed=0)
    assert first == Example("q", "T\nyes", 1.0)
    assert [one.label for one in others] == [0.0] * 3
    assert others[0].text == "near"
    assert {one.text[0] for one in others[1:]} == {"d", "l"}


def test_no_text_comes_twice_and_the_answer_is_never_a_negative():
    found = Found(dense=["T\nyes", "same", "same"], lexical=["same", "T\nyes", "near"])
    examples = examples_of_row(ROW, found, 9, seed=0)
    assert sorted(one.text for one in examples if not one.label) == ["near", "same"]


def test_where_nothing_was_found_the_answer_stands_alone():
    bare = TrainingRow("q", TrainingText("", "yes"))
    assert examples_of_row(bare, Found([], []), 4, seed=0) == [Example("q", "yes", 1.0)]


def test_the_draw_is_the_same_each_time():
    found = Found([f"d{n}" for n in range(20)], [f"l{n}" for n in range(20)])
    assert examples_of_row(ROW, found, 5, seed=1) == examples_of_row(ROW, found, 5, seed=1)
    assert examples_of_row(ROW, found, 5, seed=1) != examples_of_row(ROW, found, 5, seed=2)


def test_a_pseudo_question_is_answered_by_what_is_left_of_its_passage():
    one = PseudoQuestion("asked", "p1", "the rest", "left")
    assert examples_of_pseudo_question(one, Found(["x"], []), 2, seed=0) == [
        Example("asked", "the rest", 1.0),
        Example("asked", "x", 0.0),
    ]
