"""What a claim in words of its own tells otherwise than a sentence: amounts, rates, shares, times and names.

Nothing here presumes that the other words are the same, as most of `service/facts.py` does, and nothing of it is among
what the head of the support scorer reads. English.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from service.contract import Reason
from service.details import figures_conflict, granted_otherwise
from service.fact_words import FUNCTION_WORDS, MONTHS, MULTIPLES, MUST, listed
from service.facts import conflict_in_other_words, in_digits, plain, unit_of
from service.voice import comparable
from service.wording import past_forms

_AMOUNT = re.compile(
    rf"(?<![\w.])([$€£¥]?)\s?(\d+(?:[.,:]\d+)*)(?:[\s-]({'|'.join(MULTIPLES)}))?[\s-]?"
    r"(?:(square|cubic|nautical)[\s-])?([%°]\s?[CF]?|[^\W\d_]+)?(?:\s([^\W\d_]+))?"
)
_NO_UNIT = FUNCTION_WORDS | frozenset(listed("about other more less until till per"))
_PERIODS = "second|minute|hour|day|night|weekend|week|month|quarter|year|season|decade|century|morning|evening"
_RATE = re.compile(rf"\b(?:per|a|an|each|every|for (?:each|every))\s({_PERIODS})\b", re.IGNORECASE)
_RATES = {
    "hourly": "hour",
    "daily": "day",
    "nightly": "day",
    "weekly": "week",
    "monthly": "month",
    "quarterly": "quarter",
    "yearly": "year",
    "annually": "year",
    "annual": "year",
}
_SHARES = {
    **dict.fromkeys(listed("half halve halved halves halving"), "0.5"),
    **dict.fromkeys(listed("double doubled doubles twice twofold"), "2"),
    **dict.fromkeys(listed("triple tripled triples treble trebled thrice threefold"), "3"),
    **dict.fromkeys(listed("quadruple quadrupled fourfold"), "4"),
    "dozen": "12",
}
_CALENDAR = tuple(
    frozenset(listed(one))
    for one in (
        "spring summer autumn winter fall",
        "morning afternoon evening night noon midnight",
        "weekday weekend",
        "today yesterday tomorrow",
    )
)
"""Words of which one cannot stand for another."""
_VALUES = frozenset(listed("true false null none nil"))
_POINTED = re.compile(rf"\b(last|this|next|previous|coming)\s({_PERIODS}|spring|summer|autumn|winter)\b", re.IGNORECASE)
_DATED = re.compile(
    r"\b(before|until|till|by|after|since|from|in|on|during|at)\s(?:the (?:end|start|beginning) of\s)?"
    rf"((?:(?:early|late|mid)[ -])?(?:\d{{1,2}}\s)?(?:(?:{'|'.join(MONTHS)})\s?)?(?:1\d\d\d|20\d\d)"
    r"|(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|\d{1,2}(?::\d\d)? ?[ap]m)",
    re.IGNORECASE,
)
_SIDES = {
    **dict.fromkeys(listed("before until till by"), "before"),
    **dict.fromkeys(listed("after since from"), "after"),
    **dict.fromkeys(listed("in on during at"), "at"),
}
_CHANGED = re.compile(r"\b(to|by|from)\s([$€£¥]?\d[\d.,]*)")
_NAME = r"[A-Z][\w'.-]*\w"
_BETWEEN_NAMES = re.compile(rf"\b(?=({_NAME})((?:\s[a-z][a-z'-]*){{1,4}})\s({_NAME}))")
_FILE = re.compile(r"\b[a-z][\w-]*(?:[./][a-z][\w-]*)+\b")
_FIRST = re.compile(rf"[\"'(\[]?(?P<name>[A-Z][a-z]+)(?P<more>\s{_NAME})?\s(?P<next>\w+)")
_HAVE_TO = re.compile(r"\b(?:have|has|had|having) to\b(?! do with\b)", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_CAPITALISED = re.compile(r"\b[A-Z][a-z]{2,}\b")


class _Counted(NamedTuple):
    """What a number counts: square, cubic or nautical; the unit where that is known; the word after it; else ""."""

    kind: str
    unit: str
    word: str


def conflict_of_meaning(claim: str, quote: str, header: str = "") -> Reason | None:
    """What a claim in words of its own says otherwise than the quote, as far as words tell: what stops it before the
    learned scorer is asked; None: nothing.
    """
    claim, quote = comparable(claim, quote)
    reason = conflict_in_other_words(claim, quote, header) or told_otherwise(plain(claim), plain(quote), header)
    return reason or figures_conflict(claim, quote) or granted_otherwise(claim, quote)


def told_otherwise(claim: str, quote: str, header: str = "") -> Reason | None:
    """The first thing that a claim tells otherwise than the quote; None where nothing was found.

    Args:
        claim, quote: one sentence each, plain.
        header: the document's title and section path, which may lend names.
    """
    if _amounts_differ(claim, quote) or _rates_differ(claim, quote):
        return "unit_mismatch"
    if not _shares(claim) <= _shares(quote) | _figures(quote) or _changes_differ(claim, quote):
        return "number_mismatch"
    if _times_differ(claim, f"{quote} {header}") or _sides_differ(claim, quote):
        return "date_mismatch"
    if _named_first(claim, quote, header) or not set(_FILE.findall(claim)) <= set(_FILE.findall(f"{quote} {header}")):
        return "name_mismatch"
    if _names_exchanged(claim, quote):
        return "order_mismatch"
    if (_lowered(claim) & _VALUES) - _lowered(quote) and _VALUES & _lowered(quote):
        return "opposite_mismatch"
    bound = _HAVE_TO.search(claim) and not _HAVE_TO.search(quote)
    return "modality_mismatch" if bound and MUST.isdisjoint(_lowered(quote)) else None


def _amounts_differ(claim: str, quote: str) -> bool:
    """Whether a number of both counts something in the claim that it does not in the quote."""
    said, shown, words = _amounts(claim), _amounts(quote), {_singular(one) for one in _lowered(quote)}
    return any(
        _is_of_another(unit, shown[number], words)
        for number, units in said.items()
        if any(one.unit for one in shown.get(number, ()))
        for unit in units
    )


def _is_of_another(said: _Counted, there: set[_Counted], words: set[str]) -> bool:
    if said.unit or said.kind:
        return all((one.kind, one.unit) != (said.kind, said.unit) for one in there)
    new = said.word not in _NO_UNIT and _singular(said.word) not in words
    return bool(said.word) and new and all(one.unit for one in there)


@lru_cache(maxsize=256)
def _amounts(text: str) -> Mapping[str, set[_Counted]]:
    found: dict[str, set[_Counted]] = {}
    for sign, digits, multiple, kind, after, second in _AMOUNT.findall(text):
        known = unit_of(sign) if sign else unit_of(after)
        product = unit_of(second) if known and not sign and second else None
        unit = f"{known} {product}" if product else known or ""
        word = "" if sign else after.casefold()
        found.setdefault(in_digits(digits, MULTIPLES.get(multiple, 1)), set()).add(_Counted(kind, unit, word))
    return found


def _rates_differ(claim: str, quote: str) -> bool:
    there = _rates(quote)
    return bool(there) and not _rates(claim) <= there


def _rates(text: str) -> set[str]:
    found = {one.casefold() for one in _RATE.findall(text)} | {_RATES[one] for one in _lowered(text) if one in _RATES}
    return {"day" if one == "night" else one for one in found}


def _shares(text: str) -> set[str]:
    return {_SHARES[one] for one in _lowered(text) if one in _SHARES}


def _figures(text: str) -> set[str]:
    """The numbers of a text, and half where something is 50."""
    found = set(_NUMBER.findall(text))
    return found | {"0.5"} if "50" in found else found


def _changes_differ(claim: str, quote: str) -> bool:
    """Whether something changes by what it changes to in the quote, or the like."""
    said, shown = ({number: word for word, number in _CHANGED.findall(text)} for text in (claim, quote))
    return any(shown.get(number, word) != word for number, word in said.items())


def _times_differ(claim: str, context: str) -> bool:
    said, shown = ({_singular(one) for one in _lowered(text)} for text in (claim, context))
    pointed, pointed_there = (
        {tuple(map(str.casefold, one)) for one in _POINTED.findall(text)} for text in (claim, context)
    )
    return bool(pointed - pointed_there) or any((said & words) - shown for words in _CALENDAR)


def _sides_differ(claim: str, quote: str) -> bool:
    """Whether something is before a date that it is at in the quote, or the like."""
    said, shown = _sides(claim), _sides(quote)
    return any(date in shown and sides.isdisjoint(shown[date]) for date, sides in said.items())


def _sides(text: str) -> Mapping[str, set[str]]:
    found: dict[str, set[str]] = {}
    for preposition, date in _DATED.findall(text):
        found.setdefault(date.split()[-1].casefold(), set()).add(_SIDES[preposition.casefold()])
    return found


def _named_first(claim: str, quote: str, header: str) -> bool:
    """Whether a claim begins with somebody whom the quote does not name: with two names, or with one that does
    something where the quote names somebody else.
    """
    first = _FIRST.match(claim)
    if first is None or first["name"].casefold() in FUNCTION_WORDS or first["name"].casefold() in _lowered(header):
        return False
    if first["name"].casefold()[:4] in {one[:4] for one in _lowered(quote)}:
        return False
    if first["more"] is not None:
        return True
    others = {one for one in _CAPITALISED.findall(quote) if one.casefold() not in FUNCTION_WORDS}
    did = first["next"].endswith("ed") or first["next"] in past_forms() or first["next"] in ("was", "is", "had", "has")
    return did and bool(others - set(re.findall(_NAME, claim))) and not _is_common(first["name"])


def _is_common(word: str) -> bool:
    """Whether a word that begins a sentence is likelier none of the names: a plural, or what is made of a verb."""
    return word.endswith(("s", "ing", "tion", "ment", "ness", "ity", "ly"))


def _names_exchanged(claim: str, quote: str) -> bool:
    """Whether one of two names does to the other what the quote has the other way round."""
    said, shown = _between_names(claim), _between_names(quote)
    return any(
        (other, one) in shown and (one, other) not in shown and shown[other, one] == passive
        for (one, other), passive in said.items()
    )


def _between_names(text: str) -> Mapping[tuple[str, str], bool]:
    """Pairs of names that only a few words stand between, and whether one of these is "by"."""
    return {(one, other): "by" in between.split() for one, between, other in _BETWEEN_NAMES.findall(text)}


def _singular(word: str) -> str:
    return word.removesuffix("s")


@lru_cache(maxsize=256)
def _lowered(text: str) -> frozenset[str]:
    return frozenset(map(str.casefold, _WORD.findall(text)))
