"""Hard facts of a sentence: numbers with their units, dates, names, opposites, obligation and scope.

What two sentences share in words they may still turn around by one of these, and that one decides. Numbers, units and
names hold in any language; words of dates, opposites, obligation and scope are English.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import lru_cache

import Stemmer

from service.contract import Reason

_NUMBER = re.compile(
    r"(?<![\w.])(?P<before>[$€£¥])?\s?(?P<number>\d+(?:[.,:]\d+)*)(?P<after>\s?(?:[%°]\s?[CF]?|[^\W\d_]+))?"
)
_DIGITS = re.compile(r"\d+(?:[.,]\d+)*")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_WORD_OR_NUMBER = re.compile(rf"{_WORD.pattern}|{_DIGITS.pattern}")
_NAME = re.compile(r"(?<![\w-])(?:[A-Z][\w.-]*\w|[a-z]+(?:_\w+)+|[a-z]+[A-Z]\w*)(?:\(\))?")
_SENTENCE_STARTS = re.compile(r"(?:^|[.!?:]\s+|\n\s*(?:[-*\d.)]+\s+)?)[\"'(\[\u201c]*$")


def _listed(words: str) -> tuple[str, ...]:
    return tuple(words.split())


_ONES = _listed(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = _listed("twenty thirty forty fifty sixty seventy eighty ninety")
_SPELLED = {word: value for value, word in enumerate(_ONES)} | {word: 10 * at for at, word in enumerate(_TENS, 2)}
del _SPELLED["one"]  # a pronoun as often
_MULTIPLES = {"hundred": 100, "thousand": 1_000, "million": 10**6, "billion": 10**9, "trillion": 10**12}

_UNITS: Mapping[str, str] = {
    form: name
    for name, forms in {
        "%": "% percent per-cent percentage",
        "$": "$ usd dollar",
        "€": "€ eur euro",
        "£": "£ gbp pound",
        "°C": "°c celsius centigrade",
        "°F": "°f fahrenheit",
        "km": "km kilometer kilometre",
        "m": "m meter metre",
        "cm": "cm centimeter centimetre",
        "mm": "mm millimeter millimetre",
        "mile": "mile mi",
        "foot": "foot feet ft",
        "inch": "inch inche",
        "kg": "kg kilogram kilo",
        "g": "g gram",
        "mg": "mg milligram",
        "tonne": "t ton tonne",
        "lb": "lb lbs",
        "l": "l liter litre",
        "ml": "ml milliliter millilitre",
        "ns": "ns nanosecond",
        "us": "us µs microsecond",
        "ms": "ms millisecond msec",
        "s": "s sec second",
        "min": "min minute",
        "h": "h hr hour",
        "day": "day d",
        "week": "week",
        "month": "month",
        "year": "year yr",
        "bit": "bit",
        "byte": "byte",
        "KB": "kb kib kilobyte",
        "MB": "mb mib megabyte",
        "GB": "gb gib gigabyte",
        "TB": "tb tib terabyte",
        "Hz": "hz hertz",
        "MHz": "mhz megahertz",
        "GHz": "ghz gigahertz",
        "W": "w watt",
        "kW": "kw kilowatt",
        "V": "v volt",
    }.items()
    for form in forms.split()
}

_DATES = frozenset(  # "may" and "march" are other words as often
    _listed(
        "january february april june july august september october november december "
        "monday tuesday wednesday thursday friday saturday sunday"
    )
)

_OPPOSITES = """
increase/decrease rise/fall raise/lower grow/shrink more/less more/fewer higher/lower greater/smaller larger/smaller
longer/shorter faster/slower quicker/slower before/after above/below over/under maximum/minimum max/min most/least
first/last early/late earlier/later start/end begin/end open/close enable/disable allow/forbid allow/prevent
permit/prohibit accept/reject include/exclude true/false with/without win/lose buy/sell gain/lose import/export
upper/lower inside/outside internal/external ascending/descending succeed/fail success/failure add/remove create/delete
cause/prevent mandatory/optional required/optional public/private safe/unsafe possible/impossible same/different
lock/unlock
north/south northern/southern east/west eastern/western left/right hot/cold positive/negative odd/even male/female
agree/disagree legal/illegal known/unknown visible/hidden old/new strong/weak good/bad better/worse best/worst
expand/contract accelerate/slow connect/disconnect encourage/discourage support/oppose approve/reject
"""
_MUST = frozenset(_listed("must shall required mandatory obliged needs"))
_SHOULD = frozenset(_listed("should ought recommended advised"))
_MAY = frozenset(_listed("may might could optional optionally possibly perhaps probably likely"))
_ALL = frozenset(_listed("all every each always only solely exclusively entirely completely everyone everything whole"))
_SOME = frozenset(_listed("some sometimes partly partially rarely seldom occasionally"))
_CONDITIONS = frozenset(_listed("if unless except provided"))
_WEAK = _SHOULD | _MAY
_NOT = frozenset(_listed("not no never none neither nor cannot without"))
_LIGHT = frozenset(
    _listed(
        "a an the any be been being is are was were to of in on at by for have has had do does did yet also so very "
        "much that this it its their his her"
    )
)
"""Words that a negation or a modal verb is not said of."""
_WHOLE = _listed("true case correct fact evidence proof clear certain likely possible believed think known")
"""Where one of these is negated, what follows it is."""


def conflict(claim: str, quote: str, header: str = "") -> Reason | None:
    """What a claim says otherwise than the quote; None where nothing was found.

    Args:
        claim: one sentence.
        quote: the stretch of a passage that should support it.
        header: its document's title and section path, which may lend names and years.
    """
    context = f"{header}\n{quote}"
    if not set(_numbers(claim)) <= set(_numbers(quote)) | _years(header) or _repeated(claim, context):
        return "number_mismatch"
    if _units_differ(claim, quote):
        return "unit_mismatch"
    said, shown = _words(claim), _words(quote)
    if not (said & _DATES) <= (shown | _words(header)) & _DATES:
        return "date_mismatch"
    if _unknown_names(claim, context):
        return "name_mismatch"
    if _negated_otherwise(claim, quote):
        return "negation_mismatch"
    if _opposed(said, shown):
        return "opposite_mismatch"
    if _roles_exchanged(claim, quote):
        return "role_mismatch"
    return _strength(claim, quote)


def _repeated(claim: str, context: str) -> bool:
    """Whether a number in digits, or a month, stands in the claim more often than in the context: one took another's
    place.
    """
    said, shown = (
        Counter([*map(_in_digits, _DIGITS.findall(text)), *(word for word in _spoken(text) if word in _DATES)])
        for text in (claim, context)
    )
    return any(count > max(shown[one], 1) for one, count in said.items())


def _numbers(text: str) -> set[str]:
    """The text's numbers in one form: digits without thousands separators, number words as digits."""
    found = {_in_digits(match.group(), _multiple(text[match.end() :])) for match in _DIGITS.finditer(text)}
    total: int | None = None
    for word in [*_WORD.findall(text.casefold().replace("-", " ")), ""]:
        if word in _SPELLED:
            joins = total is not None and total >= 20 and total % 10 == 0 and _SPELLED[word] < 10
            if total is not None and not joins:
                found.add(str(total))
            total = _SPELLED[word] + (total or 0) if joins else _SPELLED[word]
        elif word in _MULTIPLES and total is not None:
            total *= _MULTIPLES[word]
        elif total is not None:
            found.add(str(total))
            total = None
    return found


def _in_digits(digits: str, factor: int = 1) -> str:
    """One form for equal numbers; what is none (a version, a time) as it is written."""
    try:
        value = Decimal(digits.replace(",", "") if _THOUSANDS.fullmatch(digits) else digits) * factor
    except InvalidOperation:
        return digits
    return f"{value.normalize():f}"


def _multiple(following: str) -> int:
    word = re.match(r"[ -]?([a-z]+)", following)
    return 1 if word is None else _MULTIPLES.get(word.group(1), 1)


def _years(header: str) -> set[str]:
    return {number for number in _numbers(header) if re.fullmatch(r"1[5-9]\d\d|20\d\d", number)}


def _units_differ(claim: str, quote: str) -> bool:
    """Whether a number has one unit in the claim, and only others in the quote."""
    wanted, there = _measures(claim), _measures(quote)
    return any(
        there.get(number) and not units & there[number] and None not in there[number]
        for number, units in wanted.items()
        if None not in units
    )


def _measures(text: str) -> dict[str, set[str | None]]:
    found: dict[str, set[str | None]] = {}
    spelled = re.sub(
        r"\b(" + "|".join(_SPELLED) + r")\b",
        lambda match: str(_SPELLED[match.group(1).casefold()]),
        text,
        flags=re.IGNORECASE,
    )
    for match in _NUMBER.finditer(spelled):
        unit = _unit(match.group("before")) or _unit(match.group("after"))
        found.setdefault(_in_digits(match.group("number")), set()).add(unit)
    return found


def _unit(text: str | None) -> str | None:
    if text is None:
        return None
    form = re.sub(r"\s", "", text).casefold()
    return _UNITS.get(form) or _UNITS.get(form.removesuffix("s"))


def _words(text: str) -> set[str]:
    return set(_spoken(text))


def _spoken(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]


def _governed(text: str, words: frozenset[str]) -> set[str]:
    """Stems of what these words are said of: the next word of weight after each."""
    found = set()
    spoken = _spoken(text)
    for at, word in enumerate(spoken):
        if word in words or (words is _NOT and word.endswith(("n't", "n\u2019t"))):
            following = next((one for one in spoken[at + 1 :] if one not in _LIGHT and one not in words), None)
            if following is not None:
                found.add(_stem(following))
    return found


def _negated_otherwise(claim: str, quote: str) -> bool:
    """Whether the claim negates what the quote does not, or affirms what it negates."""
    said, shown = _governed(claim, _NOT), _governed(quote, _NOT)
    spoken_of = set(map(_stem, _spoken(claim))) | set(map(_stem, _WHOLE))
    return bool(said - shown) or bool((shown - said) & spoken_of)


def _unknown_names(claim: str, context: str) -> set[str]:
    """Names and identifiers of the claim that stand nowhere in the context; a sentence's first word may be any word."""
    known = context.casefold()
    found = set()
    for match in _NAME.finditer(claim):
        name = match.group().removesuffix("()").removesuffix("'s")
        plain = name[:1].isupper() and name[1:].islower()
        if plain and _SENTENCE_STARTS.search(claim[: match.start()]):
            continue
        if name.casefold() not in known and name.casefold().removesuffix("s") not in known:
            found.add(name)
    return found


def _roles_exchanged(claim: str, quote: str) -> bool:
    """Whether two names or numbers stand in each other's place: the other way round, each beside what the other stands
    beside. Within a date they may.
    """
    said, shown = _beside(claim), _beside(quote)
    names = [name for name in said if name in shown]
    return any(
        not (abs(said[one].at - said[other].at) <= 2 and (one[0].isdigit() or other[0].isdigit()))
        and (said[one].at < said[other].at) != (shown[one].at < shown[other].at)
        and _took_place(said[one], shown[one], shown[other])
        and _took_place(said[other], shown[other], shown[one])
        for one, other in itertools.combinations(names, 2)
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a name stands: its position among the words, and the words before and after it."""

    at: int
    before: str
    after: str


def _beside(text: str) -> dict[str, _Place]:
    """The names and numbers that stand once in the text, each with its place; a possessive belongs to its name."""
    words = [word.removesuffix("'s").removesuffix("\u2019s") for word in _WORD_OR_NUMBER.findall(text)]
    folded = ["", *(word.casefold() for word in words), ""]
    return {
        word: _Place(at, folded[at], folded[at + 2])
        for at, word in enumerate(words)
        if (word[:1].isupper() or word[:1].isdigit()) and folded.count(word.casefold()) == 1
    }


def _took_place(said: _Place, own: _Place, others: _Place) -> bool:
    return (said.before == others.before != own.before) or (said.after == others.after != own.after)


@lru_cache(maxsize=1)
def _opposites() -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for pair in _OPPOSITES.split():
        one, other = map(_stem, pair.split("/"))
        found.setdefault(one, set()).add(other)
        found.setdefault(other, set()).add(one)
    return {word: frozenset(others) for word, others in found.items()}


def _stem(word: str) -> str:
    return str(_stemmer().stemWord(word))


@lru_cache(maxsize=1)
def _stemmer() -> Stemmer.Stemmer:
    return Stemmer.Stemmer("english")


def _opposed(said: Iterable[str], shown: Iterable[str]) -> bool:
    """Whether the claim has a word whose opposite stands in the quote, which has not the word itself."""
    said, shown = set(map(_stem, said)), set(map(_stem, shown))
    return any(_opposites().get(word, frozenset()) & (shown - said) for word in said - shown)


def _strength(claim: str, quote: str) -> Reason | None:
    """Obligation and certainty may not change, and scope may not widen, of what both speak of."""
    said, shown, stems = _words(claim), _words(quote), set(map(_stem, _spoken(claim)))
    for kind in (_MUST, _SHOULD):
        if said & kind and not shown & kind:
            return "modality_mismatch"
    if not said & _WEAK and not shown & _MUST and _governed(quote, _WEAK) & stems:
        return "modality_mismatch"
    if said & _ALL and not shown & _ALL:
        return "scope_mismatch"
    if not said & _SOME and _governed(quote, _SOME) & stems:
        return "scope_mismatch"
    if shown & _CONDITIONS and not said & _CONDITIONS:
        return "scope_mismatch"
    return None
