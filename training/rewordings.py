"""Changed versions of a sentence, by rule and by the words of WordNet 3.0 (Miller 1995, doi:10.1145/219717.219748).

Some say the same, some less, some something else. None carries a label: that is a teacher's to give. Everything is pure
and drawn by the dice handed in, but for `read_wordnet`, which reads WordNet's files (its manual page wndb(5WN)).
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from store.errors import UsageError

PARTS_OF_SPEECH = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
"""The ending of a WordNet file -> the letter that stands for it."""

SENSES_MAX = 3
"""Of a word the commonest senses: those seen in tagged text, so many at most, and one at least."""

SynsetId = tuple[str, str]
"""A part of speech and an offset: what names a synset."""

_Read = TypeVar("_Read")

_ABOVE, _BELOW, _OPPOSITE = frozenset(["@", "@i", "&"]), frozenset(["~"]), frozenset(["!"])
_RELATIONS = {"synonym": 45, "above": 15, "below": 8, "beside": 17, "opposite": 15}  # of 100 words exchanged
_CANDIDATES_MAX = 12
_COMMONEST_SENSE = 0.7

_ENDINGS = (  # what a word ends in, what its lemma has instead, the lemma's part of speech, the ending's kind
    ("ies", "y", "n", "s"),
    ("es", "", "n", "s"),
    ("s", "", "n", "s"),
    ("s", "", "v", "s"),
    ("es", "", "v", "s"),
    ("ied", "y", "v", "ed"),
    ("ed", "e", "v", "ed"),
    ("ed", "", "v", "ed"),
    ("ing", "e", "v", "ing"),
    ("ing", "", "v", "ing"),
)
_KEPT_WORDS = frozenset(
    """
    the a an of in on at to for and or but is are was were be been has have had do does did it its this that these
    those with by from as not no he she they his her their we you i which who whom can may must will would should could
    than then so if when while where there into over under more most many much some any all each one two us am pm via
    per set get make use used using new first last
    """.split()  # noqa: SIM905  # a list of words
)
_TOKEN = re.compile(r"\w+(?:[-'’]\w+)*|\s+|[^\w\s]")  # noqa: RUF001  # an apostrophe
_WORDS_EXCHANGED = (1, 1, 1, 2, 2, 3, 4, 6)

_BRACKETS = re.compile(r"\s*\([^()]*\)")
_JOINT = re.compile(r"\s(?:in|on|at|for|with|by|from|after|before|because|when|which|that|if|and|but|to)\s")
_SHORTENED_CHARS_MIN = 26

_NAME = re.compile(r"(?<=[a-z,] )(?:[A-Z]\w+(?: [A-Z]\w+)*|\d[\d,.]*\d|\d)")  # or a number; never the first word

_AUXILIARY = re.compile(r"\b(is|are|was|were|can|will|may|must|should|has|have|does|do|did)\b( not)?\b")
_PARTICIPLE = re.compile(r" (?:been|\w+ed)\b")

_CLAUSE_FIRST = re.compile(
    r"(When|If|After|Before|While|Although|Because|Since|In|During|For|To|By|Unless|Until) ([^,]{8,90}), ([^,]{15,})\.$"
)


@dataclass(frozen=True, slots=True)
class Pointer:
    """From a synset to another.

    Args:
        kind: WordNet's sign for it, such as "@" for what is above.
        target: where it leads.
        word: the number of the target's word that is meant, from 1; 0 for all of them.
    """

    kind: str
    target: SynsetId
    word: int


@dataclass(frozen=True, slots=True)
class Synset:
    """Words of one meaning, "_" for the spaces within, and what it points to."""

    words: tuple[str, ...]
    pointers: tuple[Pointer, ...]


@dataclass(frozen=True, slots=True)
class WordNet:
    """What is used of WordNet.

    Args:
        synsets: by id.
        senses: (lemma, part of speech) -> its commonest synsets, commonest first.
    """

    synsets: Mapping[SynsetId, Synset]
    senses: Mapping[tuple[str, str], tuple[SynsetId, ...]]

    def reached(self, start: SynsetId, kinds: frozenset[str]) -> list[Pointer]:
        """The synset's pointers of these kinds, those that lead nowhere left out."""
        return [one for one in self.synsets[start].pointers if one.kind in kinds and one.target in self.synsets]


@dataclass(frozen=True, slots=True)
class _Form:
    """A word as WordNet has it, and the kind of ending that was taken off: "s", "ed", "ing" or none."""

    lemma: str
    part: str
    ending: str


def read_wordnet(folder: Path) -> WordNet:
    """WordNet's `dict` folder. Raises UsageError where a file is missing, or naming a line that is malformed."""
    synsets: dict[SynsetId, Synset] = {}
    senses: dict[tuple[str, str], tuple[SynsetId, ...]] = {}
    for name, part in PARTS_OF_SPEECH.items():
        for place, line in _lines(folder / f"data.{name}"):
            identifier, synset = _parsed(_synset, line, part, place)
            synsets[identifier] = synset
        for place, line in _lines(folder / f"index.{name}"):
            lemma, found = _parsed(_senses, line, part, place)
            senses[lemma, part] = found
    known = {key: tuple(one for one in found if one in synsets) for key, found in senses.items()}
    return WordNet(synsets, {key: found for key, found in known.items() if found})


def reworded(sentence: str, other: str, wordnet: WordNet, dice: random.Random) -> str | None:
    """The sentence changed in one way or several; None where nothing that was drawn could be done.

    Args:
        sentence: one sentence that ends in a full stop.
        other: a sentence of the same text, whose names and numbers may be put in.
        wordnet: where other words come from.
        dice: what is drawn, and how often.
    """
    changed = sentence
    if dice.random() < 0.15:
        changed = turned_round(changed) or changed
    if dice.random() < 0.35:
        changed = shortened(changed, wordnet, dice) or changed
    if dice.random() < 0.20:
        changed = names_exchanged(changed, other, dice) or changed
    if dice.random() < 0.10:
        changed = negated(changed, dice) or changed
    if changed == sentence or dice.random() < 0.70:
        changed = words_exchanged(changed, dice.choice(_WORDS_EXCHANGED), wordnet, dice) or changed
    return None if changed == sentence else changed


def words_exchanged(sentence: str, count: int, wordnet: WordNet, dice: random.Random) -> str | None:
    """The sentence with at most `count` words exchanged for others that WordNet relates to them; None where it has
    none of them. Names stay, and so do words of grammar.
    """
    tokens = _TOKEN.findall(sentence)
    places = [place for place, token in enumerate(tokens) if _exchangeable(token, first=place == 0)]
    dice.shuffle(places)
    done = 0
    for place in places:
        found = _replacement(tokens[place], wordnet, dice)
        if found is None:
            continue
        tokens[place] = _capitalised(found) if tokens[place][0].isupper() else found
        done += 1
        if done == count:
            break
    return "".join(tokens) if done else None


def shortened(sentence: str, wordnet: WordNet, dice: random.Random) -> str | None:
    """The sentence without something: brackets, a stretch between commas, all but the longest of these, what follows a
    joint in its second half, or a lone modifier; None where nothing of 26 characters or more is left.
    """
    left = [
        *_without_brackets(sentence),
        *_without_a_stretch(sentence, dice),
        *_cut_at_a_joint(sentence, dice),
        *_without_a_modifier(sentence, wordnet, dice),
    ]
    left = [_capitalised(one) for one in left if len(one) >= _SHORTENED_CHARS_MIN and one != sentence]
    return dice.choice(left) if left else None


def names_exchanged(sentence: str, other: str, dice: random.Random) -> str | None:
    """The sentence with two of its names (or two numbers) exchanged, or one put in from the other sentence; None where
    there are none that differ. A name is a run of capitalised words, the sentence's first left alone.
    """
    names = list(_NAME.finditer(sentence))
    if len(names) >= 2 and dice.random() < 0.5:
        first, second = sorted(dice.sample(names, 2), key=lambda found: found.start())
        if _exchange(first.group(), second.group()):
            between = sentence[first.end() : second.start()]
            return sentence[: first.start()] + second.group() + between + first.group() + sentence[second.end() :]
    if not names:
        return None
    gone = dice.choice(names)
    come = [found for found in _NAME.findall(other) if _exchange(gone.group(), found)]
    return sentence[: gone.start()] + dice.choice(come) + sentence[gone.end() :] if come else None


def negated(sentence: str, dice: random.Random) -> str | None:
    """The sentence without the "not" after its first auxiliary, or with "not", "never" or "rarely" there; None where
    it has no auxiliary ("has" and "have" count before a participle alone).
    """
    found = _AUXILIARY.search(sentence)
    if found is None:
        return None
    before, after = sentence[: found.end(1)], sentence[found.end() :]
    if found.group(2):
        return before + after
    if found.group(1) in ("has", "have") and not _PARTICIPLE.match(after):
        return None
    return f"{before} {dice.choices(('not', 'never', 'rarely'), (70, 15, 15))[0]}{after}"


def turned_round(sentence: str) -> str | None:
    """As "Y when X." what is "When X, Y."; None where the sentence is not of that form."""
    found = _CLAUSE_FIRST.match(sentence)
    if found is None:
        return None
    joint, clause, rest = found.groups()
    return f"{_capitalised(rest)} {joint.lower()} {clause}."


def _lines(path: Path) -> list[tuple[str, str]]:
    """The lines of a WordNet file but its licence, each with where it stands."""
    if not path.is_file():
        raise UsageError(
            f"WordNet folder {path.parent}: there is no {path.name}.",
            fix="Name the folder with WordNet 3.0's data.noun and index.noun; Debian's wordnet-base has it in "
            "/usr/share/wordnet.",
        )
    lines = path.read_text(encoding="latin-1").split("\n")
    return [(f"{path}:{number}", line) for number, line in enumerate(lines, 1) if line and not line.startswith("  ")]


def _parsed(parse: Callable[[str, str], _Read], line: str, part: str, place: str) -> _Read:
    try:
        return parse(line, part)
    except (ValueError, IndexError) as error:
        raise UsageError(f"{place}: not a line of WordNet 3.0.", fix="Unpack WordNet's folder again.") from error


def _synset(line: str, part: str) -> tuple[SynsetId, Synset]:
    fields = line.partition("|")[0].split()
    count = int(fields[3], 16)
    words = tuple(re.sub(r"\(.*\)", "", fields[4 + 2 * number]) for number in range(count))
    at = 4 + 2 * count
    pointers = []
    for number in range(int(fields[at])):
        kind, offset, target, words_meant = fields[at + 1 + 4 * number : at + 5 + 4 * number]
        if kind in _ABOVE | _BELOW | _OPPOSITE:
            pointers.append(Pointer(kind, ("a" if target == "s" else target, offset), int(words_meant[-2:], 16)))
    return (part, fields[0]), Synset(words, tuple(pointers))


def _senses(line: str, part: str) -> tuple[str, tuple[SynsetId, ...]]:
    fields = line.split()
    kinds = int(fields[3])
    tagged = int(fields[5 + kinds])
    offsets = fields[6 + kinds :][: min(max(tagged, 1), SENSES_MAX)]
    return fields[0], tuple((part, offset) for offset in offsets)


def _exchangeable(token: str, *, first: bool) -> bool:
    return token.isalpha() and len(token) > 2 and token.lower() not in _KEPT_WORDS and (first or token.islower())


def _replacement(word: str, wordnet: WordNet, dice: random.Random) -> str | None:
    """A related word in the word's own form; None where WordNet has none of the relation drawn."""
    forms = _forms(word.lower(), wordnet)
    if not forms:
        return None
    form = dice.choice(forms[:2])
    senses = wordnet.senses[form.lemma, form.part]
    sense = senses[0] if dice.random() < _COMMONEST_SENSE else dice.choice(senses)
    relation = dice.choices(list(_RELATIONS), list(_RELATIONS.values()))[0]
    words = [one for one in _related(relation, sense, wordnet) if one.lower() != form.lemma and one.count("_") < 2]
    return _inflected(dice.choice(words[:_CANDIDATES_MAX]).replace("_", " "), form.ending) if words else None


def _forms(word: str, wordnet: WordNet) -> list[_Form]:
    """The word as it stands, by part of speech; else without its ending."""
    whole = [_Form(word, part, "") for part in PARTS_OF_SPEECH.values() if (word, part) in wordnet.senses]
    return whole or [
        _Form(word.removesuffix(ending) + instead, part, kind)
        for ending, instead, part, kind in _ENDINGS
        if word.endswith(ending)
        and len(word.removesuffix(ending) + instead) > 2
        and (word.removesuffix(ending) + instead, part) in wordnet.senses
    ]


def _related(relation: str, sense: SynsetId, wordnet: WordNet) -> list[str]:
    """The words that WordNet has in this relation to the sense."""
    if relation == "synonym":
        return list(wordnet.synsets[sense].words)
    if relation == "opposite":
        meant = [(wordnet.synsets[one.target].words, one.word) for one in wordnet.reached(sense, _OPPOSITE)]
        return [words[max(number, 1) - 1] for words, number in meant if number <= len(words)]
    above = [one.target for one in wordnet.reached(sense, _ABOVE)]
    if relation == "above":
        return [word for one in above for word in wordnet.synsets[one].words]
    parents = [sense] if relation == "below" else above
    children = [one.target for parent in parents for one in wordnet.reached(parent, _BELOW)]
    return [word for child in children if child != sense for word in wordnet.synsets[child].words]


def _inflected(lemma: str, ending: str) -> str:
    """The lemma with the ending, by the rules for regular words."""
    if not ending:
        return lemma
    if ending == "ing":
        return (lemma[:-1] if lemma.endswith("e") and not lemma.endswith("ee") else lemma) + "ing"
    if re.search(r"[^aeiou]y$", lemma):
        return lemma[:-1] + ("ies" if ending == "s" else "ied")
    if ending == "ed":
        return lemma + ("d" if lemma.endswith("e") else "ed")
    return lemma + ("es" if re.search(r"(?:s|x|z|ch|sh)$", lemma) else "s")


def _without_brackets(sentence: str) -> list[str]:
    shorter = _BRACKETS.sub("", sentence, count=1)
    return [shorter] if shorter != sentence else []


def _without_a_stretch(sentence: str, dice: random.Random) -> list[str]:
    """Without one stretch between commas, and the longest stretch alone."""
    stretches = sentence.rstrip(".").split(", ")
    if len(stretches) < 2:
        return []
    gone = dice.randrange(len(stretches))
    rest = stretches[:gone] + stretches[gone + 1 :]
    comma = " " if len(rest) == 2 and dice.random() < 0.5 else ", "
    return [f"{comma.join(rest).strip()}.", f"{max(stretches, key=len).strip()}."]


def _cut_at_a_joint(sentence: str, dice: random.Random) -> list[str]:
    joints = list(_JOINT.finditer(sentence))
    if not joints:
        return []
    cut = dice.choice(joints[len(joints) // 2 :])
    return [sentence[: cut.start()].rstrip(" ,;") + "."]


def _without_a_modifier(sentence: str, wordnet: WordNet, dice: random.Random) -> list[str]:
    """Without one word that WordNet knows as adjective or adverb and as nothing else."""
    words = sentence.split(" ")
    modifiers = [place for place, word in enumerate(words) if _modifies(word, wordnet)]
    if not modifiers:
        return []
    gone = dice.choice(modifiers)
    return [" ".join(words[:gone] + words[gone + 1 :])]


def _modifies(word: str, wordnet: WordNet) -> bool:
    if not word.isalpha() or not word.islower() or word in _KEPT_WORDS:
        return False
    parts = {part for part in PARTS_OF_SPEECH.values() if (word, part) in wordnet.senses}
    return bool(parts) and parts <= {"a", "r"}


def _exchange(gone: str, come: str) -> bool:
    """Whether the one can stand for the other: both names or both numbers, and not the same."""
    return gone != come and gone[0].isdigit() == come[0].isdigit()


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]
