"""A passive whose agent is named, brought to the active order; and what is left as it stands."""

from __future__ import annotations

import pytest

from service.voice import comparable, in_active_voice, in_one_voice, without_address
from service.wording import in_one_form

TURNED = [
    ("the senate was defeated by the house", "the house defeated the senate"),
    ("in may prices were quickly raised by shops", "shops quickly raised in may prices"),
    ("forms must not be signed by minors without consent", "minors must not signed forms without consent"),
    ("barns listed before 1990 may be exempted by the marshal", "the marshal may exempted barns listed before 1990"),
    ("ann was hired by bob and cy was fired by dee", "bob hired ann and dee fired cy"),
    (
        "prices were raised by shops in may and cut by farmers in june",
        "shops raised prices in may and cut by farmers in june",
    ),
    ("it is carried by gnats and later killed by bats", "gnats carried it and bats later killed it"),
    ("a tax is paid by owners , and by tenants", "owners paid a tax , and by tenants"),
]
LEFT = [
    "the house defeated the senate",
    "the rent was raised by 5 percent",
    "it was improved by using steel",
    "the work is done and by may it is paid",
    "the house by the river was sold",
    "was built by dee",
    "by",
    "",
]


@pytest.mark.parametrize(("passive", "active"), TURNED)
def test_a_passive_with_its_agent_is_turned(passive, active):
    assert in_active_voice(passive.split()) == active.split()


@pytest.mark.parametrize("words", LEFT)
def test_what_is_no_passive_with_an_agent_stays(words):
    assert in_active_voice(words.split()) == words.split()


def test_words_keep_their_case():
    assert in_active_voice(["Rome", "was", "Founded", "By", "Romulus"]) == ["Romulus", "Founded", "Rome"]


def test_only_one_turned_whole_can_be_compared():
    active, passive = ["bob", "hired", "ann"], ["ann", "was", "hired", "by", "bob"]
    assert in_one_voice(active, active) is None
    assert in_one_voice(active, passive).comparable
    assert in_one_voice(passive, active).comparable
    assert in_one_voice(passive, passive) is None
    assert not in_one_voice(
        ["bob", "wrote", "the", "law"], ["the", "law", "the", "king", "drew", "was", "written", "by", "bob"]
    ).comparable
    assert not in_one_voice(active, [*passive, "and", "cy", "by", "dee"]).comparable


COMPARED = [
    ("Oils must never be mixed.", "Never mix oils.", "you must never mix oils."),
    ("You must not vortex it.", "Do not vortex it.", "you must not vortex it."),
    ("You must not use it.", "Do not use it on wood.", "Do not use it on wood."),
    ("You must test it.", "Test results are kept.", "Test results are kept."),
    ("You must leave.", "If it rings, leave at once.", "If it rings, leave at once."),
    ("If it rings, you must leave at once.", "If it rings, leave at once.", "If it rings, you must leave at once."),
    ("You must leave at once.", "If it rings, leave at once.", "If it rings, leave at once."),
    ("You may leave.", "If it rings, leave at once.", "If it rings, leave at once."),
    ("Staff must leave.", "Stay in the room.", "Stay in the room."),
]


@pytest.mark.parametrize(("claim", "quote", "compared"), COMPARED)
def test_an_order_is_compared_as_the_duty_that_is_made_of_it(claim, quote, compared):
    assert comparable(claim, quote)[1].casefold() == compared.casefold()


SAME = [
    ("It does not have to be dry.", "It does not have to be dry."),
    ("Nobody has to pay.", "Nobody has to pay."),
    ("It has to do with rain.", "It has to do with rain."),
    ("It isn't open.", "It is not open."),
]


@pytest.mark.parametrize(("text", "form"), SAME)
def test_phrases_that_say_the_same_have_one_form(text, form):
    assert in_one_form(text) == form


def test_a_first_word_has_no_capital_where_the_other_has_none():
    assert comparable("Let it cool.", "Unplug it, and let it cool.") == ("let it cool.", "Unplug it, and let it cool.")
    assert comparable("Rome fell.", "It is known that Rome fell.")[0] == "Rome fell."


def test_whom_a_duty_is_told_counts_for_nothing():
    assert without_address("You must not smoke.").split() == ["not", "smoke."]
    assert without_address("Guests must not smoke.") == "Guests must not smoke."


def test_many_participles_are_no_depth():
    words = ["it", "is", "eaten", "by", "ann"] + ["and", "killed", "by", "bats"] * 2_000
    assert in_active_voice(words)[:3] == ["ann", "eaten", "it"]
