"""Hard facts of a sentence: numbers with their units, dates, names, opposites, obligation and scope.

What two sentences share in words they may still turn around by one of these, and that one decides. Numbers, units and
names hold in any language; words of dates, opposites, obligation and scope are English.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import lru_cache

import Stemmer

from service.contract import Reason
from service.fact_words import (
    ADDS,
    ALL,
    BOUNDS,
    BRACKETS,
    CASED_UNITS,
    DATES,
    DENIES,
    EXCEPTING,
    FUNCTION_WORDS,
    HALF_DAY,
    HELD,
    HOW_MANY,
    ISO_DATE,
    LITTLE,
    MAY,
    MONTH_FIRST,
    MONTH_MAY,
    MONTH_WORDS,
    MONTHS,
    MORE_UNITS,
    MULTIPLES,
    MUST,
    ONE_OF,
    OPPOSITES,
    ORDINAL,
    ORDINALS,
    PLACE_WORDS_MAX,
    POINTS,
    PRONOUN,
    QUANTITIES,
    SECONDS,
    SEPARATED,
    SHOULD,
    SOME,
    SPELLED,
    SPELLED_NUMBER,
    SUPERLATIVE,
    UNITS,
    YEAR,
)
from service.word_order import cased_tokens, changed, exchanged, neighbours_exchanged, tokens

_NUMBER = re.compile(
    r"(?<![\w.])(?P<before>[$€£¥])?\s?(?P<number>\d+(?:[.,:]\d+)*)(?P<after>\s?(?:[%°]\s?[CF]?|[^\W\d_]+))?"
)
_DIGITS = re.compile(r"\d+(?:[.,]\d+)*")
_SPELLED_ALONE = re.compile(rf"\b({'|'.join(SPELLED)})\b", re.IGNORECASE)
_ALL_UNITS: Mapping[str, str] = {**UNITS, **MORE_UNITS}
_DIGITS_MAX = 24  # more would be rounded
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_NAME = re.compile(r"(?<![\w-])(?:[A-Z][\w.-]*\w|[a-z]+(?:_\w+)+|[a-z]+[A-Z]\w*)(?:\(\))?")
_FOLLOWING = re.compile(r"[ -]?([a-z]+)")
_PER_CENT = re.compile(r"(?<=\d)\s?per ?-?cent\b|(?<=\d) (?=%)")
_AMONG = re.compile(r"\b(?:one of|among)\b", re.IGNORECASE)
_SENTENCE_STARTS = re.compile(r"(?:^|[.!?:]\s+|\n\s*(?:[-*\d.)]+\s+)?)[\"'(\[\u201c]*$")


def conflict(claim: str, quote: str, header: str = "") -> Reason | None:
    """What a claim of much the same words says otherwise than the quote; None where nothing was found.

    Args:
        claim: one sentence.
        quote: the stretch of a passage that should support it.
        header: its document's title and section path, which may lend names and years.
    """
    claim, quote = plain(claim), plain(quote)
    reason = _named_otherwise(claim, quote, header) or _strength(claim, spoken_of(claim, quote))
    if reason is not None:
        return reason
    words, others = cased_tokens(claim), cased_tokens(quote)
    for here, there in changed(tokens(claim), tokens(quote)):
        if reason := _in_its_place(words[here], others[there]):
            return reason
    return "order_mismatch" if exchanged(_stems(claim), _stems(quote)) else None


def conflict_in_other_words(claim: str, quote: str, header: str = "") -> Reason | None:
    """As `conflict`, but only what can be told whatever the words around: a number, a unit, a date, a name, a word's
    opposite, and more certainty or duty than the quote has.
    """
    claim, quote = plain(claim), plain(quote)
    if reason := _named_otherwise(claim, quote, header):
        return reason
    return "modality_mismatch" if _surer(claim, spoken_of(claim, quote)) else None


def _named_otherwise(claim: str, quote: str, header: str) -> Reason | None:
    if _numbers_differ(claim, quote, header):
        return "number_mismatch"
    if units_differ(claim, quote):
        return "unit_mismatch"
    said, shown = _words(claim), _words(quote)
    if not said.keys() & DATES <= (shown.keys() | _words(header).keys()) & DATES:
        return "date_mismatch"
    if _unknown_names(claim, f"{header}\n{quote}") or _repeated_names(claim, quote, header):
        return "name_mismatch"
    return "opposite_mismatch" if _opposed(said, shown) else None


def _in_its_place(here: list[str], there: list[str]) -> Reason | None:
    """What a stretch of the claim says otherwise than the stretch that stands in its place in the quote."""
    if not here or not there or max(len(here), len(there)) > PLACE_WORDS_MAX:
        return None
    numbers, others = (_numbers(" ".join(words)) for words in (here, there))
    if numbers and others and not numbers & others:
        return "number_mismatch"
    units, other_units = ({_unit(one) for one in words} - {None} for words in (here, there))
    if units and other_units and not units & other_units:
        return "unit_mismatch"
    names, other_names = ({one for one in words if _is_name(one)} for words in (here, there))
    if names and other_names and not _share(names, other_names):
        return "name_mismatch"
    said, shown = ({one.casefold() for one in words} for words in (here, there))
    if said & MUST and not shown & MUST:
        return "modality_mismatch"
    if shown & (MAY | {"can"}) and not said & (MAY | {"can", "able", "should"}):
        return "modality_mismatch"
    if said & QUANTITIES and shown & QUANTITIES and not said & shown:
        return "scope_mismatch"
    return None


def _is_name(word: str) -> bool:
    return word[0].isupper() and word.casefold() not in FUNCTION_WORDS


def _share(names: set[str], others: set[str]) -> bool:
    """Whether two sets of names have one alike, or one the letters that the other begins its words with."""
    folded, other_folded = ({one.casefold() for one in part} for part in (names, others))
    letters = {"".join(sorted(one[0] for one in part)) for part in (folded, other_folded)}
    short = any("".join(sorted(one)) in letters for one in folded | other_folded)
    return bool(folded & other_folded) or short or any(one[:4] == other[:4] for one in folded for other in other_folded)


@lru_cache(maxsize=256)
def spoken_of(claim: str, quote: str) -> str:
    """The quote without brackets and clauses that the claim leaves out whole and that add to it: what they say of
    certainty and scope is not said of the rest.
    """
    said = f" {' '.join(tokens(claim))} "
    quote = BRACKETS.sub(lambda one: one.group() if f" {' '.join(tokens(one.group()))} " in said else " ", quote)
    words, shown = cased_tokens(quote), tokens(quote)
    kept: list[str] = []
    at = 0
    for here, there in changed(tokens(claim), shown):
        clause = shown[there]
        adds = clause[:1] == [","] and bool(ADDS.intersection(clause[1:3])) and not DENIES.intersection(clause)
        whole = there.stop == len(shown) or clause[-1:] == [","]
        if here.start == here.stop and adds and whole:
            kept += words[at : there.start]
            at = there.stop
    return " ".join(kept + words[at:])


@lru_cache(maxsize=512)
def plain(text: str) -> str:
    """The text with apostrophes, dates, percentages, and numbers in words or with separators in one form each."""
    text = text.replace("\u2019", "'").replace("\u02bc", "'")
    text = ISO_DATE.sub(_spelled_date, text)
    text = POINTS.sub("pp", text) if "oint" in text else text
    text = HALF_DAY.sub(lambda match: f"{match.group(1)} {match.group(2).lower()}m", text)
    text = MONTH_FIRST.sub(r"\2 \1 \3", text)
    text = SEPARATED.sub(lambda match: match.group().replace(",", ""), text)
    text = _PER_CENT.sub(lambda match: "%" if match.group().strip() else "", text)
    return SPELLED_NUMBER.sub(_in_figures, text)


def _spelled_date(match: re.Match[str]) -> str:
    year, month, day = (int(part) for part in match.groups())
    return f"{day} {MONTHS[month - 1]} {year}" if 1 <= month <= 12 else match.group()


def _in_figures(match: re.Match[str]) -> str:
    value = 0
    for word in re.split(r"[ -]", match.group().casefold()):
        value += SPELLED.get(word, 1)  # "one" is not among them: it stands for somebody as often
    return str(value)


def _stems(text: str) -> list[str]:
    return [stem(one) for one in tokens(text)]


def _numbers_differ(claim: str, quote: str, header: str) -> bool:
    known = _numbers(quote) | _years(header)
    if not _numbers(claim) <= known or not _ordinals(claim) <= _ordinals(f"{header} {quote}"):
        return True
    said, shown = (Counter(map(in_digits, _DIGITS.findall(text))) for text in (claim, quote))
    if any(count > max(shown[number], 1) for number, count in said.items() if shown[number]):
        return True
    words, others = tokens(claim), tokens(quote)
    return neighbours_exchanged(words, others) or _out_of_place(words, others)


def _ordinals(text: str) -> set[int]:
    text = SECONDS.sub(" ", text.casefold())
    found = {ORDINALS[word] for word in _WORD.findall(text) if word in ORDINALS}
    return found | {int(number) for number in ORDINAL.findall(text)}


def _out_of_place(said: list[str], shown: list[str]) -> bool:
    """Whether a number has beside it only words from which another number parts it in the quote."""
    numbers = [position for position, word in enumerate(shown) if word[0].isdigit()]
    if len(numbers) < 2 or {shown[one] for one in numbers} <= set(said):
        return False
    at: dict[str, list[int]] = {}
    for position, word in enumerate(shown):
        at.setdefault(word, []).append(position)
    governed = Counter(shown[one - 1] for one in numbers if one)
    for position, word in enumerate(said):
        if not word[0].isdigit() or word not in at:
            continue
        before = next((one for one in reversed(said[:position]) if one in at and one not in LITTLE), None)
        after = next((one for one in said[position + 1 :] if one in at and one not in LITTLE), None)
        sides = [(one, side) for one, side in ((before, -1), (after, 1)) if one is not None]
        governor = said[position - 1] if position else ""
        if governed[governor] == 1 and any(one and shown[one - 1] == governor for one in at[word]):
            continue  # a phrase of its own, which may stand elsewhere
        if sides and not any(_beside(at[word], at[one], one, side, numbers) for one, side in sides):
            return True
    return False


def _beside(places: list[int], neighbours: list[int], neighbour: str, side: int, numbers: list[int]) -> bool:
    for here in places:
        for there in neighbours:
            low, high = min(here, there), max(here, there)
            parted = any(low < one < high for one in numbers)
            turned = neighbour[0].isdigit() and (there - here) * side < 0
            if not parted and not turned:
                return True
    return False


def _numbers(text: str) -> set[str]:
    """The text's numbers in one form: digits without thousands separators, number words as digits."""
    found = {in_digits(match.group(), _multiple(text[match.end() :])) for match in _DIGITS.finditer(text)}
    total: int | None = None
    for word in [*_WORD.findall(text.casefold().replace("-", " ")), ""]:
        if word in SPELLED:
            joins = total is not None and total >= 20 and total % 10 == 0 and SPELLED[word] < 10
            if total is not None and not joins:
                found.add(str(total))
            total = SPELLED[word] + (total or 0) if joins else SPELLED[word]
        elif word in MULTIPLES and total is not None:
            total *= MULTIPLES[word]
        elif total is not None:
            found.add(str(total))
            total = None
    return found


def in_digits(digits: str, factor: int = 1) -> str:
    """One form for equal numbers; what is none (a version, a time, a long serial number) as it is written."""
    if len(digits) > _DIGITS_MAX:
        return digits
    try:
        value = Decimal(digits.replace(",", "") if _THOUSANDS.fullmatch(digits) else digits) * factor
    except InvalidOperation:
        return digits
    return f"{value.normalize():f}"


def _multiple(following: str) -> int:
    word = _FOLLOWING.match(following)
    return 1 if word is None else MULTIPLES.get(word.group(1), 1)


def _years(header: str) -> set[str]:
    return {number for number in _numbers(header) if YEAR.fullmatch(number)}


def units_differ(claim: str, quote: str, *, more: bool = False) -> bool:
    """Whether a number has one unit in the claim, and only others in the quote. Both are plain.

    Args:
        more: of all units that are known here, not only of those that the support scorer was trained with.
    """
    wanted, there = measures(claim, more=more), measures(quote, more=more)
    return any(
        there.get(number) and not found & there[number] and None not in there[number]
        for number, found in wanted.items()
        if None not in found
    )


@lru_cache(maxsize=512)
def measures(text: str, *, more: bool = False) -> Mapping[str, set[str | None]]:
    """By each number of a plain text: its units, None where it has none."""
    units = _ALL_UNITS if more else UNITS
    found: dict[str, set[str | None]] = {}
    for before, number, after in _measured(text):
        found.setdefault(number, set()).add(_unit(before, units) or _unit(after, units))
    return found


@lru_cache(maxsize=512)
def _measured(text: str) -> Sequence[tuple[str, str, str]]:
    """The numbers of a plain text, each between what stands before and after it."""
    spelled = _SPELLED_ALONE.sub(lambda match: str(SPELLED[match.group(1).casefold()]), text)
    return [(before, in_digits(number), after) for before, number, after in _NUMBER.findall(spelled)]


def unit_of(text: str) -> str | None:
    """The unit that a word or sign stands for; None: none that is known."""
    return _unit(text, _ALL_UNITS)


def _unit(text: str, units: Mapping[str, str] = UNITS) -> str | None:
    form = "".join(text.split())
    if form in CASED_UNITS:
        return CASED_UNITS[form]
    form = form.casefold()
    return units.get(form) or units.get(form.removesuffix("s"))


@lru_cache(maxsize=512)
def _words(text: str) -> Counter[str]:
    """How often each word stands in a text; several checks ask of the same."""
    return Counter(word.casefold() for word in _WORD.findall(text))


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


def _repeated_names(claim: str, quote: str, header: str) -> bool:
    """Whether a name stands more often in the claim than in its support, where no pronoun can stand for it."""
    spare = len(PRONOUN.findall(quote))
    said, shown = (Counter(one.group() for one in _NAME.finditer(text)) for text in (claim, f"{header}\n{quote}"))
    return any(count > shown[name] + spare for name, count in said.items() if shown[name] and not _starts(claim, name))


def _starts(claim: str, name: str) -> bool:
    return claim.startswith(name)


@lru_cache(maxsize=1)
def _opposites() -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for pair in OPPOSITES.split():
        one, other = map(stem, pair.split("/"))
        found.setdefault(one, set()).add(other)
        found.setdefault(other, set()).add(one)
    return {word: frozenset(others) for word, others in found.items()}


@lru_cache(maxsize=4096)
def stem(word: str) -> str:
    """A word's English stem."""
    return str(_stemmer().stemWord(word))


@lru_cache(maxsize=1)
def _stemmer() -> Stemmer.Stemmer:
    return Stemmer.Stemmer("english")


def _opposed(said: Counter[str], shown: Counter[str]) -> bool:
    """Whether the claim has a word more often than the quote, and the quote its opposite more often than the claim."""
    said, shown = _stemmed(said), _stemmed(shown)
    more = (word for word in said if word in _opposites() and said[word] > shown[word])
    return any(shown[other] > said[other] for word in more for other in _opposites()[word])


def _stemmed(words: Counter[str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for word, count in words.items():
        found[stem(word)] += count
    return found


def opposite_in_place(here: Collection[str], there: Collection[str]) -> bool:
    """Whether a stretch of a claim has a word, and the stretch in whose place it stands only that word's opposite."""
    said, shown = ({stem(one.casefold()) for one in words} for words in (here, there))
    return any(
        other in shown and other not in said and word not in shown
        for word in said & _opposites().keys()
        for other in _opposites()[word]
    )


def days_out_of_place(claim: str, quote: str) -> bool:
    """Whether a day of a month stands where the quote has another."""
    return _out_of_place(_with_months(tokens(claim)), _with_months(tokens(quote)))


def _with_months(words: list[str]) -> list[str]:
    """Tokens, a day and its month one of them."""
    found: list[str] = []
    for word in words:
        if word in MONTH_WORDS and found and found[-1].isdigit():
            found[-1] += f" {word}"
        else:
            found.append(word)
    return found


def _strength(claim: str, quote: str) -> Reason | None:
    """Obligation and certainty may not change, and scope may not widen."""
    if _surer(claim, quote):
        return "modality_mismatch"
    return "scope_mismatch" if _wider(claim, quote) else None


def _surer(claim: str, quote: str) -> bool:
    said, shown = (_words(MONTH_MAY.sub(" ", one) if "May" in one else one).keys() for one in (claim, quote))
    if any(said & kind and not shown & kind for kind in (MUST, SHOULD)):
        return True
    if shown & (SHOULD | MAY) and not said & (SHOULD | MAY) and not shown & MUST:
        return True
    if "will" in said - shown and shown & {"can", "may", "might", "could"}:
        return True
    return bool(shown & HELD and not said & (HELD | MAY))


def _wider(claim: str, quote: str) -> bool:
    said, shown = _words(claim).keys(), _words(quote).keys()
    if (said & ALL and not shown & ALL) or (shown & SOME and not said & SOME):
        return True
    if EXCEPTING.search(quote) and not EXCEPTING.search(claim):
        return True
    if any(said & kind and not shown & kind for kind in HOW_MANY) or _bounds(claim) - _bounds(quote):
        return True
    best = _superlatives(claim)
    return bool(best) and (not best <= _superlatives(quote) or _loses_one_of(claim, quote))


def _bounds(text: str) -> set[str]:
    return {name for name, pattern in BOUNDS.items() if pattern.search(text)}


def _superlatives(text: str) -> set[str]:
    return {match.casefold() for match in SUPERLATIVE.findall(text)}


def _loses_one_of(claim: str, quote: str) -> bool:
    """Whether one of the largest became the largest; the claim has no superlative that the quote has not."""
    return ONE_OF.search(quote) is not None and _AMONG.search(claim) is None
