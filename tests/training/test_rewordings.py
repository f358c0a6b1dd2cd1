"""Rewordings of a sentence: drawn the same twice, each rule changing what it says, other words out of WordNet."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.errors import UsageError
from training.rewordings import (
    WordNet,
    names_exchanged,
    negated,
    read_wordnet,
    reworded,
    shortened,
    turned_round,
    words_exchanged,
)

LICENCE = "  1 This software and database is being provided to you, the LICENSEE, by\n"
DATA = {
    "noun": [
        "00000001 05 n 01 animal 0 003 ~ 00000002 n 0000 ~ 00000003 n 0000 #m 00000009 n 0000 | a living thing",
        "00000002 05 n 02 cat 0 domestic_cat 0 002 @ 00000001 n 0000 ~ 00000004 n 0000 | it purrs",
        "00000003 05 n 01 dog 0 002 @ 00000001 n 0000 @ 00000077 n 0000 | it barks, and one pointer leads nowhere",
        "00000004 05 n 01 tabby 0 001 @ 00000002 n 0000 | a striped cat",
        "00000005 09 n 01 pony 0 000 | a small horse",
    ],
    "verb": ["00000001 30 v 02 chase 0 pursue 0 000 01 + 08 00 | go after"],
    "adj": [
        "00000001 00 a 01 large 0 001 ! 00000002 a 0101 | of size",
        "00000002 00 a 02 small 0 little(p) 0 001 ! 00000001 a 0101 | of size",
    ],
    "adv": ["00000001 02 r 02 quickly 0 rapidly 0 001 ! 00000002 r 0101 | fast", "00000002 02 r 01 slowly 0 000 | not"],
}
INDEX = {
    "noun": [
        "animal n 1 1 ~ 1 1 00000001",
        "cat n 1 2 @ ~ 1 1 00000002",
        "dog n 1 1 @ 1 1 00000003",
        "pony n 1 0 1 0 00000005",
        "ghost n 1 0 1 0 00000066",
    ],
    "verb": ["chase v 1 0 1 1 00000001"],
    "adj": ["large a 1 1 ! 1 1 00000001", "small a 1 1 ! 1 1 00000002"],
    "adv": ["quickly r 1 1 ! 1 1 00000001", "slowly r 1 0 1 1 00000002"],
}


def wordnet_in(folder, **lines):
    """A WordNet folder of a dozen words; `lines` stand instead of a file's, by its name with "_" for the dot."""
    folder.mkdir(exist_ok=True)
    for kind, files in (("data", DATA), ("index", INDEX)):
        for name, rows in files.items():
            chosen = lines.get(f"{kind}_{name}", rows)
            (folder / f"{kind}.{name}").write_text(LICENCE + "".join(f"{row}  \n" for row in chosen), "latin-1")
    return folder


@pytest.fixture(scope="module")
def wordnet(tmp_path_factory):
    return read_wordnet(wordnet_in(tmp_path_factory.mktemp("wordnet")))


NONE = WordNet({}, {})
SENTENCE = "In Paris the large dog of Ann Lee quickly chased 12 cats (all of them tabby), which were not small."
OTHER = "The pony of Marie Curie and 340 others lived in Bern since 1905."
words = st.sampled_from(
    ["the", "cat", "was", "is", "has", "seen", "not", "large", "Bern", "Ann Lee", "12", "7.5", "so,"]
)
sentences = st.lists(words, min_size=1, max_size=14).map(lambda some: "The " + " ".join(some) + ".")
seeds = st.integers(0, 999)


def draws(rule, count=200):
    """What the rule makes with so many dice."""
    return {made for seed in range(count) if (made := rule(random.Random(seed))) is not None}


def test_a_folder_without_wordnet_is_named_with_what_would_help(tmp_path):
    with pytest.raises(UsageError, match=r"there is no data\.noun") as caught:
        read_wordnet(tmp_path / "none")
    assert "wordnet-base" in caught.value.fix


@pytest.mark.parametrize("line", ["00000001 05", "00000001 05 n 01 animal 0 002 ~ 00000002 n 0000 | one too few"])
def test_a_line_that_is_not_wordnets_is_named(tmp_path, line):
    with pytest.raises(UsageError, match=r"data\.noun:2: not a line of WordNet"):
        read_wordnet(wordnet_in(tmp_path, data_noun=[line]))


def test_senses_and_pointers_that_lead_nowhere_are_left_out(wordnet):
    assert ("ghost", "n") not in wordnet.senses
    assert [one.target for one in wordnet.reached(("n", "00000003"), frozenset("@"))] == [("n", "00000001")]
    assert wordnet.synsets["a", "00000002"].words == ("small", "little")


def test_what_cannot_be_changed_is_none(wordnet):
    dice = random.Random(0)
    assert words_exchanged("The ghost of Bern.", 3, wordnet, dice) is None
    assert shortened("Too short, this one.", wordnet, dice) is None
    assert names_exchanged("Paris is a city.", OTHER, dice) is None, "the first word may be no name"
    assert names_exchanged("It rained in Bern.", "It rained in Bern.", dice) is None
    assert negated("The cat has a tail.", dice) is None
    assert turned_round("The cat purrs when the dog barks.") is None
    assert {reworded("Bern.", "Bern.", NONE, random.Random(seed)) for seed in range(50)} == {None}


@given(sentences, sentences, seeds)
def test_the_same_dice_make_the_same_and_never_the_sentence_itself(wordnet, sentence, other, seed):
    made = reworded(sentence, other, wordnet, random.Random(seed))
    assert made == reworded(sentence, other, wordnet, random.Random(seed))
    assert made != sentence


def test_different_dice_make_different_ones(wordnet):
    assert len(draws(lambda dice: reworded(SENTENCE, OTHER, wordnet, dice))) > 40


@given(sentences, seeds)
def test_a_negation_adds_one_word_that_denies_or_takes_the_not(sentence, seed):
    made = negated(sentence, random.Random(seed))
    if made is None:
        return
    before, after = (Counter(re.findall(r"\w+", one)) for one in (sentence, made))
    gone, come = before - after, after - before
    assert (gone, come) == ({"not": 1}, {}) or (not gone and list(come) in (["not"], ["never"], ["rarely"]))


def test_have_is_denied_before_a_participle_alone():
    assert draws(lambda dice: negated("The cats have been fed.", dice)) == {
        f"The cats have {word} been fed." for word in ("not", "never", "rarely")
    }


@given(sentences, sentences, seeds)
def test_a_swap_changes_names_and_numbers_only(sentence, other, seed):
    made = names_exchanged(sentence, other, random.Random(seed))
    if made is None:
        return
    plain = re.compile(r"\b(?:[a-z]+|The)\b")
    assert plain.findall(made) == plain.findall(sentence)
    assert made != sentence
    assert set(re.findall(r"\d+|[A-Z]\w+", made)) <= set(re.findall(r"\d+|[A-Z]\w+", sentence + other))


def test_names_stand_for_names_and_numbers_for_numbers():
    made = draws(lambda dice: names_exchanged("In Bern lived 12 cats.", "Not in Rome but 7.", dice))
    assert made == {"In Rome lived 12 cats.", "In Bern lived 7 cats."}
    assert "He met Bern in Ann Lee." in draws(lambda dice: names_exchanged("He met Ann Lee in Bern.", "", dice))


def test_other_words_are_those_that_wordnet_relates(wordnet):
    assert draws(lambda dice: words_exchanged("A large one.", 1, wordnet, dice)) == {"A small one."}
    assert draws(lambda dice: words_exchanged("A small one.", 1, wordnet, dice)) == {"A large one.", "A little one."}
    assert draws(lambda dice: words_exchanged("The cats.", 1, wordnet, dice)) == {
        f"The {word}." for word in ("domestic cats", "animals", "tabbies", "dogs")
    }


def test_endings_are_put_back(wordnet):
    assert draws(lambda dice: words_exchanged("They chased it.", 1, wordnet, dice)) == {"They pursued it."}
    assert draws(lambda dice: words_exchanged("Chasing it.", 1, wordnet, dice)) == {"Pursuing it."}


def test_no_more_words_are_exchanged_than_asked_for(wordnet):
    sentence = "The large and small one quickly came."
    for made in draws(lambda dice: words_exchanged(sentence, 2, wordnet, dice)):
        pairs = list(zip(sentence.split(), made.split(), strict=True))
        assert 1 <= sum(before != after for before, after in pairs) <= 2


def test_a_shorter_one_has_lost_something_and_gained_nothing(wordnet):
    found = draws(lambda dice: shortened(SENTENCE, wordnet, dice))
    assert "In Paris the large dog of Ann Lee quickly chased 12 cats, which were not small." in found
    assert "In Paris the large dog of Ann Lee quickly chased 12 cats (all of them tabby)." in found
    assert SENTENCE.replace("quickly ", "") in found
    for made in found:
        assert 26 <= len(made) < len(SENTENCE)
        assert not Counter(re.findall(r"\w+", made.lower())) - Counter(re.findall(r"\w+", SENTENCE.lower()))


def test_clauses_are_turned_round():
    assert turned_round("When it rains all day, the large cats sleep.") == "The large cats sleep when it rains all day."
