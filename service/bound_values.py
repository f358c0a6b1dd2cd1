"""Which of a sentence's numbers is whose: "34% on the drug and 21% on placebo", "Alton has 4,000, Berwick 9,000".

Two parts of a sentence that each give one number of a kind, and name something else beside it, bind each number to what
is named. A claim that gives one of them to what the other is bound to says another thing in whatever words. English.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from service.fact_words import FUNCTION_WORDS, listed
from service.facts import in_digits, stem, unit_of

_TOKEN = re.compile(r"[$€£¥]?\d+(?:[.,:]\d+)*%?|[^\W\d_]+(?:['_-]?[^\W\d_]+)*|[,;:()]")
_NUMBER = re.compile(r"([$€£¥]?)(\d+(?:[.,:]\d+)*)(%?)")
_YEAR = re.compile(r"1[5-9]\d\d|20\d\d")
_PARTS = frozenset(
    listed("and but or while whereas whilst versus vs than against compared though although unlike , ; : ( )")
)
"""Where one part of a sentence ends and another, which may give another number, begins."""
_OF_TIME = frozenset(listed("in by since until before after during from"))
"""What a year stands after that tells when, and is no number given."""
_LEADING = frozenset(listed("in on at for among during under by of"))
"""What a part may begin with that belongs to the next one ("On placebo, ..."); not "compared with ..."."""
_NO_OBJECT = FUNCTION_WORDS | frozenset(listed("total all average fact addition case"))
_SKIPPED = frozenset(listed("the a an this that its their his her those these each only just some about"))


class _Part(NamedTuple):
    """A part of a sentence: its only number and the kind of that, "" for none; what it names; what stands beside
    which word; its words.
    """

    value: str
    kind: str
    names: frozenset[str]
    beside: frozenset[tuple[str, str]]
    stems: frozenset[str]


def values_exchanged(claim: str, quote: str) -> bool:
    """Whether the claim gives a number to what the quote gives another number of that kind to, and not to its own.

    Args:
        claim, quote: plain (`service.facts.plain`).
    """
    if not _NUMBER.search(claim) or len(_NUMBER.findall(quote)) < 2:  # as most: no need to look at parts
        return False
    said = [one for one in _parts(claim) if one.value]
    bound = [one for one in _parts(quote) if one.value]
    return any(
        _is_of_the_other(part, one, other, bound)
        for part in said
        for one in bound
        if (one.value, one.kind) == (part.value, part.kind)
        for other in bound
        if other.kind == one.kind and other.value != one.value
    )


def _is_of_the_other(part: _Part, one: _Part, other: _Part, bound: Sequence[_Part]) -> bool:
    its, others = _contrasted(one, other)
    if not its or not others or its & part.stems or not others & part.stems:
        return False
    return not any(each.value == part.value and others & each.stems for each in bound)


def _contrasted(one: _Part, other: _Part) -> tuple[frozenset[str], frozenset[str]]:
    """What each of two parts names where the other names something else: names, and without them what stands beside
    the same word in both.
    """
    names = one.names - other.names, other.names - one.names
    return names if all(names) else (_in_its_place(one, other), _in_its_place(other, one))


def _in_its_place(one: _Part, other: _Part) -> frozenset[str]:
    there: dict[str, set[str]] = {}
    for place, named in other.beside:
        there.setdefault(place, set()).add(named)
    return frozenset(
        named
        for place, named in one.beside
        if place in there and named not in other.stems and one.stems.isdisjoint(there[place])
    )


def _parts(text: str) -> Iterator[_Part]:
    """The parts of a sentence; one that only tells when or where belongs to what follows it."""
    words: list[str] = []
    for one in [*_TOKEN.findall(text), ";"]:
        if one.casefold() not in _PARTS:
            words.append(one)
        elif words and not (one == "," and words[0].casefold() in _LEADING and not _values(words)):
            yield _part(words)
            words = []


def _part(words: Sequence[str]) -> _Part:
    at_numbers = [at for at, word in enumerate(words) if _NUMBER.fullmatch(word)]
    at_values = _values(words) or at_numbers
    value, kind = _value(words, at_values[0]) if len(at_values) == 1 else ("", "")
    others = [word for at, word in enumerate(words) if at not in at_values]
    return _Part(
        value,
        kind,
        names=frozenset(_form(word) for at, word in enumerate(words) if _is_name(word, at, words)),
        beside=frozenset(_beside(others)),
        stems=frozenset(map(_form, words)),
    )


def _values(words: Sequence[str]) -> list[int]:
    """Where numbers stand, less years that tell when."""
    return [at for at, word in enumerate(words) if _NUMBER.fullmatch(word) and not _tells_when(words, at)]


def _value(words: Sequence[str], at: int) -> tuple[str, str]:
    matched = _NUMBER.fullmatch(words[at])
    assert matched is not None
    sign, digits, share = matched.groups()
    after = words[at + 1] if at + 1 < len(words) else ""
    return in_digits(digits), sign or share or unit_of(after) or ("year" if _YEAR.fullmatch(digits) else "")


def _tells_when(words: Sequence[str], at: int) -> bool:
    return at > 0 and _YEAR.fullmatch(words[at]) is not None and words[at - 1].casefold() in _OF_TIME


def _is_name(word: str, at: int, words: Sequence[str]) -> bool:
    if not word[0].isupper() or word.casefold() in FUNCTION_WORDS:
        return False
    return at > 0 or len(words) > 1


def _beside(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Words and years, by the word before them and by the one after them, without articles."""
    kept = [one for one in words if one.casefold() not in _SKIPPED]
    for before, after in pairwise(kept):
        if _names_a_thing(after):
            yield f"{_form(before)} ", _form(after)
        if _names_a_thing(before):
            yield f" {_form(after)}", _form(before)


def _names_a_thing(word: str) -> bool:
    return word.casefold() not in _NO_OBJECT and (word[0].isalpha() or _YEAR.fullmatch(word) is not None)


def _form(word: str) -> str:
    return stem(word.casefold().removesuffix("'s"))
