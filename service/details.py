"""Details by which a sentence of the same words still says something else: what is counted, signs, short words, hedges.

They come after `facts.conflict`, which the learned scorer's figures are made of too and which stays as it was trained
with. English but for figures and signs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from service.bound_values import values_exchanged
from service.contract import Reason
from service.fact_words import MAY, MUST, PLACE_WORDS_MAX, UNITS, YEAR, listed
from service.facts import (
    days_out_of_place,
    in_digits,
    measures,
    opposite_in_place,
    plain,
    spoken_of,
    stem,
    units_differ,
)
from service.negation import loses_what_governs, negations
from service.symbols import differ
from service.voice import OneVoice, deeds, in_one_voice
from service.word_order import (
    cased_tokens,
    changed,
    crossed,
    exchanged,
    exchanged_within,
    made_passive,
    parallels_crossed,
    tokens,
)
from service.wording import base, past_forms

_NO_NOUNS = frozenset(
    listed(
        "of in on at to and or the a an is are was were be for from by with as than that who which per until till "
        "about another other others more less fewer day thing way side hand can may must should will would might could "
        "has have had does did if when while but it he she they his her their its percent million billion thousand "
        "hundred"
    )
)
"""Words after a number that are not what it counts."""
_COUNTED = re.compile(r"(?<![\w.,])(\d+(?:[.,]\d+)*)\s(?!(?:to|and|or|pp|per)\b)[^\W\d_]{3,}")
_HEDGED = re.compile(r"\b(?:almost|nearly|hardly|barely|scarcely|virtually|practically)\s+([^\W\d_]+)", re.IGNORECASE)
_UNREAL = re.compile(r"\b(?:would|could|might|should) have\b", re.IGNORECASE)
_POSSESSED = re.compile(r"\b(\w+)'s? (?:own |first |second |late |former |eldest |younger |older )?(\w+)")
_WHOLE_WORD = re.compile(r"\w+")
_NO_OWNER = re.compile(r"\w+\b(?!')")
_MEANT = re.compile(
    r"\b(?:aim(?:s|ed)?|hop(?:e|es|ed|ing)|plan(?:s|ned)?|intend(?:s|ed)?|expect(?:s|ed)?|tend(?:s|ed)?|want(?:s|ed)?"
    r"|propos(?:e|es|ed)|seeks?|sought|due|scheduled) to (?:be )?([^\W\d_]+)",
    re.IGNORECASE,
)
_OPEN = re.compile(r"\b(?:could|would|should|may|might|goal|target|aim|plan|hope|intention)s?\b", re.IGNORECASE)
_WILL_BE = re.compile(r"\bwill be ([^\W\d_]+ed|[^\W\d_]+n)\b")
_PREFIXED = re.compile(r"\b(semi|bi|pre|post|sub|anti|multi|half|quarter|inter|intra)-([^\W\d_]{3,})", re.IGNORECASE)
_POINTS = re.compile(r"(?<![\w.,])(\d+(?:[.,]\d+)*)\s?(?:pp\b|points?\b|Punkte?n?\b|puntos?\b|个百分点|ポイント)")
_SHARE = re.compile(r"(?<![\w.,])(\d+(?:[.,]\d+)*)\s?(?:%|Prozent\b|por ciento\b|pour cent\b)")
_ERA = re.compile(r"(\d+) ?(?:BCE?|B\.C\.|v\. ?Chr)")
_CONTRASTS = tuple(
    frozenset(listed(words))
    for words in ("by to from", "from into", "in before after since until", "if unless", "with before after", "and or")
)
"""Short words of which one in another's place says something else."""
_UNTIL_THEN, _FROM_THEN = frozenset(listed("before until till")), frozenset(listed("after once when since"))
_CONTRASTING = frozenset().union(*_CONTRASTS, _UNTIL_THEN, _FROM_THEN)
_WHOLE_NUMBER = re.compile(r"(?<![\w.,])\d+(?![\w,])")
_ALPHANUMERIC = re.compile(r"[^\W_]+")
_LETTER_AND_DIGIT = re.compile(r"[A-Za-z]\d")
_TIMES = re.compile(r"\b(?:once|twice|thrice)\b", re.IGNORECASE)
_UNSPACED_COUNT = re.compile(r"(?<![\d.,])(\d+(?:[.,]\d+)*)\s?([\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])")
_WORD = re.compile(r"[^\W\d_]+")
_WILL, _PAST = frozenset(listed("will shall")), frozenset(listed("was were has have had did"))
_TO_COME = _WILL | frozenset(listed("going planned plans expected due scheduled to would must should may can"))
"""What a claim may say of what will be."""
_FREE = frozenset(listed("may optional optionally voluntary voluntarily"))
_MAY_NOT = re.compile(r"\b(?:may|must|shall) (?:not|never)\b|(?<=\d )may\b|\bmay(?= \d)|(?<=\bin )may\b", re.IGNORECASE)
_BOUND_WORDS = (
    r"(?:up to|at (?:most|least)|(?:no |not )?(?:more|less|fewer|longer|later|earlier|higher|lower) than|over|under"
    r"|above|below|as (?:many|much|long) as|a (?:maximum|minimum) of)"
)
_BOUNDED = re.compile(rf"\b{_BOUND_WORDS} [$€£]?(\d[\d.,]*\d|\d)(?![\w.,]?\d)", re.IGNORECASE)
_BOUND = re.compile(
    rf"\b{_BOUND_WORDS}|\b(?:most|least|maximum|minimum|max|min|exceed\w*|beyond|within|until"
    r"|or (?:more|less|fewer|over|under)|limit\w*|between|once|after|before|by|if|than|past)\b|[<>\u2264\u2265+~]",
    re.IGNORECASE,
)
"""What says of a number that it is a bound, in whatever words."""
_FIGURE = re.compile(r"\d+(?:[.,]\d+)*")
_SO_OFTEN = re.compile(r"\b[23] times\b")
_UNLESS = re.compile(r"\bunless\b", re.IGNORECASE)
_ARTICLES = frozenset(listed("the a an its their his her"))


def figures_conflict(claim: str, quote: str) -> Reason | None:
    """What a claim counts, or puts a sign to, otherwise than the quote, whatever the words around; None: nothing."""
    claim, quote = plain(claim), plain(quote)
    if _counts_differ(claim, quote) or _loses_era(claim, quote) or _times_differ(claim, quote):
        return "number_mismatch"
    if values_exchanged(claim, quote):
        return "number_mismatch"
    if not _codes(claim) <= _codes(quote):
        return "number_mismatch"
    if days_out_of_place(claim, quote):
        return "date_mismatch"
    if _loses_percent(claim, quote) or _points_differ(claim, quote) or units_differ(claim, quote, more=True):
        return "unit_mismatch"
    if _counted_otherwise(claim, quote):
        return "unit_mismatch"
    return "symbol_mismatch" if differ(claim, quote) else None


def wording_conflict(claim: str, quote: str) -> Reason | None:
    """What a claim of much the same words turns around by a short one; None: nothing."""
    claim, quote = plain(claim), plain(quote)
    if _loses_possession(claim, quote):
        return "scope_mismatch"
    quote = spoken_of(claim, quote)
    if reason := _granted_otherwise(claim, quote):
        return reason
    if _orders_differ(claim, quote):
        return "order_mismatch"
    if _loses_prefix(claim, quote) or _loses_prefix(quote, claim):
        return "scope_mismatch"
    hedged, hedged_there = _hedged(claim), _hedged(quote)
    said, shown = tokens(claim), tokens(quote)
    if (hedged - hedged_there).intersection(shown) or (hedged_there - hedged).intersection(said):
        return "scope_mismatch"
    objects, others = _objects(said), _objects(shown)
    if any(_contrast(words, others[what]) for what, words in objects.items() if what in others):
        return "opposite_mismatch"
    places = [(said[at_claim], shown[at_quote]) for at_claim, at_quote in changed(said, shown)]
    return "opposite_mismatch" if any(_opposed_in_place(*place) for place in places) else None


def granted_otherwise(claim: str, quote: str) -> Reason | None:
    """What a claim, in whatever words, states as so that the quote says of something else, bounds, only means to do, or
    allows; None: nothing.
    """
    claim, quote = plain(claim), plain(quote)
    return _granted_otherwise(claim, spoken_of(claim, quote))


def _granted_otherwise(claim: str, quote: str) -> Reason | None:
    if loses_what_governs(claim, quote) or _loses_exception(claim, quote) or _loses_bound(claim, quote):
        return "scope_mismatch"
    if (_UNREAL.search(quote) and not _UNREAL.search(claim)) or _does_what_was_meant(claim, quote):
        return "modality_mismatch"
    return "modality_mismatch" if _frees(claim, quote) or _is_over(claim, quote) else None


def _opposed_in_place(here: list[str], there: list[str]) -> bool:
    """Whether a stretch of the claim turns around the one in whose place it stands."""
    short = bool(here and there) and len(here) <= PLACE_WORDS_MAX
    return (short and _contrast(set(here), set(there))) or opposite_in_place(here, there)


def _orders_differ(claim: str, quote: str) -> bool:
    said, shown = tokens(claim), tokens(quote)
    cased, cased_there = cased_tokens(claim), cased_tokens(quote)
    if crossed(_in_base_form(cased), _in_base_form(cased_there)):
        return True
    if made_passive(said, shown) or parallels_crossed(said, shown):
        return True
    if _others_did_it(said, shown):
        return True
    alike = in_one_voice(cased, cased_there)
    if alike is not None and _differs_in_one_voice(alike):
        return True
    only_voice = alike is not None and alike.comparable
    return not only_voice and exchanged_within(_in_base_form(said), _in_base_form(shown))


def only_voice_differs(claim: str, quote: str) -> bool:
    """Whether what stands in another order in a claim does so only because one of the two is in the passive voice."""
    alike = in_one_voice(cased_tokens(plain(claim)), cased_tokens(plain(quote)))
    return alike is not None and alike.comparable and not _differs_in_one_voice(alike)


def _differs_in_one_voice(alike: OneVoice) -> bool:
    claim, quote = _in_base_form(alike.claim), _in_base_form(alike.quote)
    said, shown = (list(map(str.casefold, words)) for words in (claim, quote))
    if exchanged_within(said, shown) or exchanged(said, shown):
        return True
    return crossed(claim, quote)


def _others_did_it(said: Sequence[str], shown: Sequence[str]) -> bool:
    """Whether the claim has one of several things that the quote says were done, and only who did another."""
    if "by" not in shown:
        return False
    words, done = set(_in_base_form(said)), deeds(shown)
    agents = [set(_in_base_form(agent)) - _ARTICLES for agent, _ in done]
    return any(
        not agent & words and any(other & words for other in agents)
        for agent, verb in zip(agents, _in_base_form([verb for _, verb in done]), strict=True)
        if verb in words
    )


def _in_base_form(words: Sequence[str]) -> list[str]:
    """The words' stems, of irregular forms that of the word, with the capital letters they have."""
    return list(map(_base_form, words))


@lru_cache(maxsize=8192)
def _base_form(word: str) -> str:
    found = base(stem(word.casefold()))
    return found.capitalize() if word[0].isupper() else found


def _is_over(claim: str, quote: str) -> bool:
    """Whether the claim tells as done, by an irregular form, what the quote has in none; or as past what will be."""
    said, shown = set(tokens(claim)), set(tokens(quote))
    new = {base(stem(one)) for one in (said & past_forms()) - shown}
    if new and new & set(_in_base_form(list(shown))) - {base(stem(one)) for one in shown & past_forms()}:
        return True
    return bool(shown & _WILL and (said & _PAST) - shown and not said & _TO_COME)


def _frees(claim: str, quote: str) -> bool:
    """Whether what must be done may be done."""
    said = _freeing_words(claim)
    if not said & _FREE or said & MUST:
        return False
    shown = _freeing_words(quote)
    return bool(shown & MUST) and not shown & (_FREE | MAY)


def _freeing_words(text: str) -> set[str]:
    """The text's words but for those where "may" frees nobody."""
    return {one.casefold() for one in _WORD.findall(_MAY_NOT.sub(" ", text))}


def _does_what_was_meant(claim: str, quote: str) -> bool:
    """Whether somebody does what they only mean, or tend, to do; or what will be has been."""
    meant = _MEANT.findall(quote)
    if meant and not _MEANT.search(claim) and not _OPEN.search(claim):
        stems = {stem(one) for one in tokens(claim)}
        if any(stem(does.casefold()) in stems for does in meant):
            return True
    return any(re.search(rf"\b(?:was|were|been) {re.escape(done)}\b", claim) for done in _WILL_BE.findall(quote))


def _loses_exception(claim: str, quote: str) -> bool:
    """Whether what holds unless something is so holds in any case; "if not" says the same as "unless"."""
    excepts = _UNLESS.search(quote) is not None and _UNLESS.search(claim) is None
    return excepts and not negations(claim)


def _loses_bound(claim: str, quote: str) -> bool:
    """Whether "up to 500 euros" became "500 euros"."""
    bounded = {in_digits(one) for one in _BOUNDED.findall(quote)}
    if not bounded or _BOUND.search(claim):
        return False
    return any(in_digits(one) in bounded for one in _FIGURE.findall(claim))


def _loses_prefix(claim: str, quote: str) -> bool:
    """Whether "semi-annual" became "annual"."""
    for prefix, word in _PREFIXED.findall(quote):
        alone = re.compile(rf"(?<![-\w]){re.escape(word)}\b", re.IGNORECASE)
        whole = re.compile(rf"{prefix}[- ]?{re.escape(word)}", re.IGNORECASE)
        if alone.search(claim) and not alone.search(quote) and not whole.search(claim):
            return True
    return False


def _counted_otherwise(claim: str, quote: str) -> bool:
    """Whether a number has another sign behind it, in scripts without spaces: \u6beb\u5347 for \u5347."""
    said, shown = (_by_number(text) for text in (claim, quote))
    return any(number in shown and not signs & shown[number] for number, signs in said.items())


def _by_number(text: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for number, sign in _UNSPACED_COUNT.findall(text):
        found.setdefault(in_digits(number), set()).add(sign)
    return found


def _points_differ(claim: str, quote: str) -> bool:
    """Whether points became per cent of something, or the other way round."""
    points, shares = (frozenset(map(in_digits, form.findall(claim))) for form in (_POINTS, _SHARE))
    points_there, shares_there = (frozenset(map(in_digits, form.findall(quote))) for form in (_POINTS, _SHARE))
    return bool((points & shares_there) - points_there or (shares & points_there) - shares_there)


def _loses_possession(claim: str, quote: str) -> bool:
    """Whether the king does what "the king's brother" did: the quote has him as the owner of what the claim lacks."""
    claim, quote = claim.casefold(), quote.casefold()
    possessed = _POSSESSED.findall(quote)
    if not possessed:
        return False
    owners = set(_NO_OWNER.findall(claim)).difference(_NO_OWNER.findall(quote))
    words = _WHOLE_WORD.findall(claim)
    return any(owner in owners and not any(word.startswith(owned) for word in words) for owner, owned in possessed)


def _objects(words: list[str]) -> dict[str, set[str]]:
    """The short words of contrast that stand before each word of substance, by its stem."""
    found: dict[str, set[str]] = {}
    for at, word in enumerate(words):
        if word in _CONTRASTING:
            following = next((one for one in words[at + 1 : at + 4] if one not in _ARTICLES), None)
            if following is not None and following not in _CONTRASTING:
                found.setdefault(stem(following), set()).add(word)
    return found


def _contrast(here: set[str], there: set[str]) -> bool:
    if _turned_in_time(here, there) or _turned_in_time(there, here):
        return True
    return any(here & group and there & group and not here & there & group for group in _CONTRASTS)


def _turned_in_time(here: set[str], there: set[str]) -> bool:
    """Whether what is so until something happens is so from then on."""
    return bool(here & _UNTIL_THEN and there & _FROM_THEN and not here & _FROM_THEN and not there & _UNTIL_THEN)


def _hedged(text: str) -> set[str]:
    return {word.casefold() for word in _HEDGED.findall(text)}


def _loses_era(claim: str, quote: str) -> bool:
    """Whether a year before Christ became one after."""
    before = {match.group(1) for match in _ERA.finditer(quote)}
    return any(
        number in before and not _ERA.match(claim, match.start())
        for match in _WHOLE_NUMBER.finditer(claim)
        if (number := match.group())
    )


def _loses_percent(claim: str, quote: str) -> bool:
    """Whether a share became a count: "62% of patients", "62 patients"."""
    wanted, there = measures(claim), measures(quote)
    bare = {in_digits(one) for one in _COUNTED.findall(claim)}
    return any(there.get(number) == {"%"} and None in wanted[number] for number in bare & wanted.keys())


def _codes(text: str) -> set[str]:
    """What is made of letters and digits both, but for a number and what it counts: hashes, models, keys."""
    if _LETTER_AND_DIGIT.search(text) is None:
        return set()
    return {one.casefold() for one in _ALPHANUMERIC.findall(text) if _LETTER_AND_DIGIT.search(one)}


def _times_differ(claim: str, quote: str) -> bool:
    """Whether something is done once in one and twice in the other."""
    said, shown = (frozenset(map(str.casefold, _TIMES.findall(text))) for text in (claim, quote))
    return bool(shown) and bool(said - shown - {"once"}) and not _SO_OFTEN.search(quote)


def _counts_differ(claim: str, quote: str) -> bool:
    """Whether something is counted in both, and never by the same number."""
    said, shown = _counts(claim), _counts(quote)
    return any(not numbers & shown[what] for what, numbers in said.items() if what in shown)


def _counts(text: str) -> dict[str, set[str]]:
    """By the stem of what is counted: by which numbers. "Two of three" is a number of its own."""
    words = tokens(text)
    found: dict[str, set[str]] = {}
    for at, word in enumerate(words):
        number = {"one": "1", "both": "2"}.get(word, word if word[0].isdigit() else None)
        if number is None or YEAR.fullmatch(number):
            continue
        numbers = _of_them(words, at, number)
        for counted in words[at + 1 : at + 3]:
            if not counted[0].isalpha() or counted in _NO_NOUNS or {counted, counted.removesuffix("s")} & UNITS.keys():
                break
            found.setdefault(stem(counted), set()).update(numbers)
    return found


def _of_them(words: list[str], at: int, number: str) -> list[str]:
    """The numbers that count what follows: of "two of the three ships" 2/3 and 2, of a range both ends."""
    before = [one for one in words[max(at - 3, 0) : at] if one not in ("the", "its", "their")]
    if len(before) < 2 or not (before[-2][0].isdigit() or before[-2] == "one"):
        return [number]
    first = "1" if before[-2] == "one" else before[-2]
    if before[-1] in ("of", "in"):
        return [f"{first}/{number}", first]
    return [number, first] if before[-1] in ("to", "and", "or") else [number]
