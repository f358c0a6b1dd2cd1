"""Which of a sentence's numbers is whose: "34% on the drug and 21% on placebo", "Alton has 4,000, Berwick 9,000".

Two parts of a sentence that each give one number of a kind, and name something else beside it, bind each number to what
is named. A claim that gives one of them to what the other is bound to says another thing in whatever words. English.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from service.fact_words import FUNCTION_WORDS, YEAR, listed
from service.facts import in_digits, stem, unit_of
from service.word_order import alike
from service.wording import past_forms

_TOKEN = re.compile(r"[$€£¥]?\d+(?:[.,:]\d+)*%?|[^\W\d_]+(?:['_-]?[^\W\d_]+)*|[,;:()]")
_NUMBER = re.compile(r"([$€£¥]?)(\d+(?:[.,:]\d+)*)(%?)")
_COMPARES = frozenset(listed("versus vs than against compared unlike"))
_JOINS = frozenset(listed("and or"))
_PARTS = _COMPARES | _JOINS | frozenset(listed("but while whereas whilst though although , ; : ( )"))
"""Where one part of a sentence ends and another, which may give another number, begins."""
_PARTS_MAX = 12
"""Parts with a number from which a sentence is a table's row, and is not looked through."""
_OF_TIME = frozenset(listed("in by since until before after during from"))
"""What a year stands after that tells when, and is no number given."""
_PERIOD = re.compile("(?:second|minute|hour|day|night|week|month|quarter|year)s?", re.IGNORECASE)
_NUMBERED = frozenset(
    listed("day week month quarter year phase stage grade step part chapter page table figure version")
)
_LASTS = frozenset(listed("after at by within in for over during until"))
_LEADING = frozenset(listed("in on at for among during under by of"))
"""What a part may begin with that belongs to the next one ("On placebo, ..."); not "compared with ..."."""
_TURNS = frozenset(listed("not no never without except excluding besides outside nor after before since until from"))
"""What is named right after these is not what the number is given to."""
_NO_THING = FUNCTION_WORDS | frozenset(listed("total all average fact addition case"))
_SKIPPED = frozenset(listed("the a an this that its their his her those these each only just some about yet"))
_Places = frozenset[tuple[str, str]]


class _Part(NamedTuple):
    """A part of a sentence.

    Args:
        value: its only number; "" for none, or for several.
        kind: a unit, a sign, or "year".
        names: what it names.
        follow, precede: which things follow which words, and precede which; articles left out.
        stems: its words.
        turned: those of them that stand after "not" and the like.
        joint: the word or mark that parts it from what stands before it.
    """

    value: str
    kind: str
    names: frozenset[str]
    follow: _Places
    precede: _Places
    stems: frozenset[str]
    turned: frozenset[str]
    joint: str


def values_exchanged(claim: str, quote: str) -> bool:
    """Whether the claim gives a number to what the quote gives another number of that kind to, and not to its own.

    Args:
        claim, quote: plain (`service.facts.plain`).
    """
    if not _NUMBER.search(claim) or len(_NUMBER.findall(quote)) < 2:  # as most: no need to look at parts
        return False
    shown = _parts(quote)
    bound = [] if _is_coordinated(shown) else [one for one in shown if one.value]
    parts = _parts(claim)
    said = [one for at, one in enumerate(parts) if one.value and not _is_compared(parts, at)]
    if max(len(bound), len(said)) > _PARTS_MAX:
        return False
    together = _is_coordinated(parts)
    return any(
        _order_differs(claim, one, other) if together else _is_of_the_other(part, one, other, bound)
        for part in said
        for one in bound
        if (one.value, one.kind) == (part.value, part.kind)
        for other in bound
        if other.kind == one.kind and other.value != one.value
    )


def _is_of_the_other(part: _Part, one: _Part, other: _Part, bound: Sequence[_Part]) -> bool:
    its, others = _contrasted(one, other)
    here = others & part.stems - part.turned
    if not here or not its or any(alike(word, mark) for mark in its for word in part.stems):
        return False
    return not any(each.value == part.value and here & each.stems for each in bound)


def _order_differs(claim: str, one: _Part, other: _Part) -> bool:
    """Whether a claim that names two things and then gives two numbers, or the other way round, has them crossed."""
    words = [_form(word, at) for at, word in enumerate(_TOKEN.findall(claim))]
    numbers = [in_digits(matched[2]) if (matched := _NUMBER.fullmatch(word)) else "" for word in words]
    its, others = _contrasted(one, other)
    at_things = [[at for at, word in enumerate(words) if word in marks] for marks in (its, others)]
    at_numbers = [[at for at, number in enumerate(numbers) if number == each.value] for each in (one, other)]
    if any(len(places) != 1 for places in (*at_things, *at_numbers)):
        return False
    return (at_things[0] < at_things[1]) != (at_numbers[0] < at_numbers[1])


def _is_coordinated(parts: Sequence[_Part]) -> bool:
    """Whether there are several numbers, and things that "and" puts together: which number is whose, order tells."""
    joined = [pair for pair in pairwise(parts) if pair[1].joint in _JOINS]
    return sum(bool(one.value) for one in parts) > 1 and any(not (one.value and other.value) for one, other in joined)


def _is_compared(parts: Sequence[_Part], at: int) -> bool:
    """Whether a part may only say what another is compared with ("more than women with ...")."""
    return at > 0 and parts[at].joint in _COMPARES and not parts[at - 1].value


def _contrasted(one: _Part, other: _Part) -> tuple[frozenset[str], frozenset[str]]:
    """What each of two parts names where the other names something else: what follows the same word in both; without
    such words what the same word follows, and without these names.
    """
    for placed in ((one.follow, other.follow), (one.precede, other.precede)):
        found = _in_its_place(one, other, *placed), _in_its_place(other, one, *placed[::-1])
        if all(found):
            return found
    return one.names - other.names, other.names - one.names


def _in_its_place(one: _Part, other: _Part, places: _Places, other_places: _Places) -> frozenset[str]:
    there: dict[str, set[str]] = {}
    for place, named in other_places:
        there.setdefault(place, set()).add(named)
    return frozenset(
        named
        for place, named in places
        if place in there and named not in other.stems and one.stems.isdisjoint(there[place])
    )


def _parts(text: str) -> list[_Part]:
    """The parts of a sentence; one that only tells when or where belongs to what follows it."""
    found: list[_Part] = []
    words: list[str] = []
    joint = ""
    for one in [*_TOKEN.findall(text), ";"]:
        if one.casefold() not in _PARTS:
            words.append(one)
        elif words and not (one == "," and words[0].casefold() in _LEADING and not _values(words)):
            found.append(_part(words, joint))
            words, joint = [], one.casefold()
        elif not words and one.casefold() in _JOINS | _COMPARES:  # ", and"
            joint = one.casefold()
    return found


def _part(words: Sequence[str], joint: str) -> _Part:
    at_values = _values(words) or [at for at, word in enumerate(words) if _NUMBER.fullmatch(word)]
    value, kind = _value(words, at_values[0]) if len(at_values) == 1 else ("", "")
    others = [(at, word) for at, word in enumerate(words) if at not in at_values]
    kept = [(at, word) for at, word in others if word.casefold() not in _SKIPPED or _is_label(word, at)]
    return _Part(
        value,
        kind,
        names=frozenset(_form(word, at) for at, word in others if _is_name(word, at, words)),
        follow=frozenset(
            (_form(word, at), _form(thing, then))
            for (at, word), (then, thing) in pairwise(kept)
            if _is_thing(thing, then)
        ),
        precede=frozenset(
            (_form(word, then), _form(thing, at))
            for (at, thing), (then, word) in pairwise(kept)
            if _is_thing(thing, at)
        ),
        stems=frozenset(_form(word, at) for at, word in enumerate(words)),
        turned=frozenset(_form(thing, at) for (_, word), (at, thing) in pairwise(kept) if word.casefold() in _TURNS),
        joint=joint,
    )


def _values(words: Sequence[str]) -> list[int]:
    """Where numbers stand, less those that tell when."""
    return [at for at, word in enumerate(words) if _NUMBER.fullmatch(word) and not _tells_when(words, at)]


def _value(words: Sequence[str], at: int) -> tuple[str, str]:
    matched = _NUMBER.fullmatch(words[at])
    assert matched is not None
    sign, digits, share = matched.groups()
    after = words[at + 1] if at + 1 < len(words) else ""
    return in_digits(digits), sign or share or unit_of(after) or ("year" if YEAR.fullmatch(digits) else "")


def _tells_when(words: Sequence[str], at: int) -> bool:
    """Whether it is "in 2001", "week 12", "after 24 months"."""
    before = words[at - 1].casefold() if at else ""
    after = words[at + 1] if at + 1 < len(words) else ""
    lasts = before in _LASTS and _PERIOD.fullmatch(after) is not None
    return before in _NUMBERED or lasts or (before in _OF_TIME and YEAR.fullmatch(words[at]) is not None)


def _is_name(word: str, at: int, words: Sequence[str]) -> bool:
    if _is_label(word, at):
        return True
    if not word[0].isupper() or word.casefold() in FUNCTION_WORDS:
        return False
    return at > 0 or len(words) > 1


def _is_label(word: str, at: int) -> bool:
    """Whether it is a letter as in "class A"."""
    return at > 0 and len(word) == 1 and word.isupper()


def _is_thing(word: str, at: int) -> bool:
    """Whether a word may name something: not what was done, for which there are others as good."""
    if _is_label(word, at) or YEAR.fullmatch(word):
        return True
    lower = word.casefold()
    return word[0].isalpha() and lower not in _NO_THING and not lower.endswith("ed") and lower not in past_forms()


def _form(word: str, at: int) -> str:
    return word if _is_label(word, at) else stem(word.casefold().removesuffix("'s"))
