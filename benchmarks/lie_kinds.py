# ruff: noqa: E501, SIM905  # tables of words and patterns, one a line
"""Kinds of lies and of honest rewordings: each turns a sentence of a real passage into another one, by a stated rule.

A rule gives None where it does not apply. Words that a rule exchanges are this file's own; the guardrail has its own
lists. What is a lie by rule is nearly always one: a swapped name is not the passage's, an exchanged "before" is not what
it says.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from service.sentences import units

NUMBER = re.compile(r"(?<![\w.,$€£-])\d+(?:,\d{3})*(?:\.\d+)?(?![\w-]|[.,]\d)")
YEAR = re.compile(r"(?<![\w.,-])(?:1[5-9]|20)\d\d(?![\w-]|[.,]\d)")
NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{2,}(?: [A-Z][a-z]{2,})*(?![\w-])")
IDENTIFIER = re.compile(r"(?<![\w])[a-z]+(?:_[a-z]+)+(?![\w(])")
MONTHS = "January February March April May June July August September October November December".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTH = re.compile(rf"\b(?:{'|'.join(MONTHS)})\b(?=,? \d)|(?<=\d )(?:{'|'.join(MONTHS)})\b|\b(?:{'|'.join(DAYS)})\b")
SPELLED = "two three four five six seven eight nine ten eleven twelve".split()
SMALL = re.compile(rf"(?<![\w-])(?:{'|'.join(SPELLED)})(?![\w-])")
BE = r"(?:is|are|was|were|has been|have been|had been|can|could|does|did|will|would|should)"
NOT_NAMES = frozenset([*MONTHS, *DAYS])


@dataclass(frozen=True, slots=True)
class Place:
    """A sentence where it stands.

    Args:
        sentence: word for word.
        passage: the text it is from.
        sent: the texts of the other passages that were sent.
        unsent: a text that was not.
    """

    sentence: str
    passage: str
    sent: tuple[str, ...]
    unsent: str
    following: str | None = None

    @property
    def all_sent(self) -> str:
        """Everything that was sent."""
        return "\n".join([self.passage, *self.sent])


Rule = Callable[[Place, random.Random], str | None]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of lie: the group it is counted in and how it is made."""

    name: str
    group: str
    make: Rule
    markers: str = field(default="right")  # or wrong, invented, both


def exchanged(pattern: re.Pattern[str], pool: Callable[[Place], list[str]]) -> Rule:
    """One match of the pattern for another word of the pool that the sentence has not."""

    def make(place: Place, rng: random.Random) -> str | None:
        found = [one for one in pattern.finditer(place.sentence) if one.group() not in NOT_NAMES or pattern is MONTH]
        if not found:
            return None
        one = rng.choice(found)
        others = sorted(
            {word for word in pool(place) if not _has(place.sentence, word) and not _has(word, one.group())}
        )
        if not others:
            return None
        return place.sentence[: one.start()] + rng.choice(others) + place.sentence[one.end() :]

    return make


def _has(text: str, word: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) is not None


def said_by(pattern: re.Pattern[str], *, elsewhere: bool) -> Callable[[Place], list[str]]:
    """The pattern's matches in the passage, or in the other passages."""

    def pool(place: Place) -> list[str]:
        text = "\n".join([*place.sent, place.unsent]) if elsewhere else place.passage
        return [one for one in pattern.findall(text) if one not in NOT_NAMES or pattern is MONTH]

    return pool


def near(place: Place) -> list[str]:
    """Numbers near those of the sentence."""
    whole = [int(one.replace(",", "")) for one in NUMBER.findall(place.sentence) if "." not in one]
    return [str(value + step) for value in whole for step in (-2, -1, 1, 2, 10) if value + step > 0]


def replaced(pairs: Mapping[str, str], *, both_ways: bool = True, within: str = "{}") -> Rule:
    """One word or phrase of the pairs for its partner."""
    table = dict(pairs) | ({other: one for one, other in pairs.items()} if both_ways else {})
    longest = sorted(table, key=len, reverse=True)
    pattern = re.compile(within.format(rf"(?<![\w-])(?:{'|'.join(map(re.escape, longest))})(?![\w-])"), re.IGNORECASE)

    def make(place: Place, rng: random.Random) -> str | None:
        found = list(pattern.finditer(place.sentence))
        if not found:
            return None
        one = rng.choice(found)
        word = one.group()
        other = table.get(word) or table.get(word.lower())
        if other is None:
            return None
        other = other[:1].upper() + other[1:] if word[:1].isupper() else other
        return _tidy(place.sentence[: one.start()] + other + place.sentence[one.end() :])

    return make


def substituted(pattern: str, by: str, *, flags: int = 0) -> Rule:
    """The first match of a pattern by a template."""
    compiled = re.compile(pattern, flags)

    def make(place: Place, rng: random.Random) -> str | None:  # noqa: ARG001
        made, count = compiled.subn(by, place.sentence, count=1)
        return _tidy(made) if count else None

    return make


def _tidy(text: str) -> str:
    text = re.sub(r"\s+([,.])", r"\1", re.sub(r"[ \t]+", " ", text)).strip()
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text.rstrip(",;") + "."


def lower_first(text: str) -> str:
    """As it stands within a sentence, where its first word is a common one."""
    first = text.split(maxsplit=1)[0] if text else ""
    common = first.lower() in COMMON_STARTS
    return text[:1].lower() + text[1:] if common else text


COMMON_STARTS = frozenset(
    "the a an this these those that it its they their he his she her there in on at by for from after before during "
    "when while if although because as whereas many most some all each both such several two three no one we our but thus additionally however therefore also then furthermore moreover".split()
)


def role_swap(place: Place, rng: random.Random) -> str | None:  # noqa: ARG001
    """Two names exchange places, where a verb stands between them and not only a list."""
    text = place.sentence
    found = list(re.finditer(r"(?<!\w)[A-Z][a-z]{2,}(?: [A-Z][a-z]{2,})*(?![\w'-])", text))
    found = [one for one in found if one.group().lower() not in COMMON_STARTS and one.group() not in NOT_NAMES]
    for one in found:
        for other in found:
            between = text[one.end() : other.start()]
            if one.end() >= other.start() or one.group() == other.group() or len(between) > 60:
                continue
            if re.fullmatch(
                rf" (?:{BE} )?(?!and|or)[a-z]+(?:ed|s|ght|ew|un|ook|ave|ote|ent|et|ame|old) (?:[a-z]+ ){{0,3}}", between
            ):
                return text[: one.start()] + other.group() + between + one.group() + text[other.end() :]
    return None


def order_swap(connective: str) -> Rule:
    """What stands before and after a connective exchange places."""

    def make(place: Place, rng: random.Random) -> str | None:  # noqa: ARG001
        match = re.fullmatch(rf"([^,;:]+?) ({connective}) ([^,;:]+)\.", place.sentence)
        if match is None or min(len(match[1].split()), len(match[3].split())) < 3:
            return None
        return _tidy(f"{match[3]} {match[2]} {lower_first(match[1])}")

    return make


def fused(place: Place, rng: random.Random) -> str | None:
    """The subject of this sentence with the predicate of one of another passage."""
    subject = _parted(place.sentence)
    if subject is None:
        return None
    texts = list(place.sent)
    rng.shuffle(texts)
    for text in texts:
        for one in units(text):
            other = _parted(text[one.start : one.end])
            if other is not None and other[0].lower() != subject[0].lower():
                return f"{subject[0]} {other[1]}"
    return None


def fused_within(place: Place, rng: random.Random) -> str | None:
    """The subject of this sentence with the predicate of another one of the same passage."""
    subject = _parted(place.sentence)
    if subject is None:
        return None
    parted = [_parted(place.passage[one.start : one.end]) for one in units(place.passage)]
    others = [one for one in parted if one is not None and one[0].lower() != subject[0].lower()]
    return f"{subject[0]} {rng.choice(others)[1]}" if others else None


def _parted(sentence: str) -> tuple[str, str] | None:
    match = re.fullmatch(
        r"((?:The |A |An )?[A-Z]?[\w-]+(?: [\w-]+){0,3}) ((?:is|are|was|were|has|had|have) .{20,}\.)", sentence
    )
    if match is None or match[1].split()[0].lower() in {
        "it",
        "this",
        "they",
        "he",
        "she",
        "there",
        "these",
        "that",
        "while",
        "if",
        "when",
        "as",
        "since",
        "although",
        "because",
    }:
        return None
    return match[1], match[2]


def another_word(place: Place, rng: random.Random) -> str | None:
    """A word of substance for one of another passage; the sentence in quotation marks, as a quote."""
    words = _LONG_WORD.findall(place.sentence)
    known = set(re.findall(r"\w+", place.passage.lower()))
    pool = sorted(set(_LONG_WORD.findall(" ".join(place.sent))) - known)
    words = [word for word in words if word not in GRAMMAR]
    pool = [word for word in pool if word not in GRAMMAR]
    if not words or not pool:
        return None
    made = re.sub(rf"(?<![\w-]){rng.choice(words)}(?![\w-])", rng.choice(pool), place.sentence, count=1)
    return f"\u201c{made}\u201d"


def word_replaced(place: Place, rng: random.Random) -> str | None:
    """A word of substance for one of a passage that was not sent."""
    words = [one for one in _LONG_WORD.findall(place.sentence) if one not in GRAMMAR]
    known = set(re.findall(r"\w+", " ".join([place.passage, *place.sent]).lower()))
    pool = sorted({one for one in _LONG_WORD.findall(place.unsent) if one not in GRAMMAR} - known)
    if not words or not pool:
        return None
    return re.sub(rf"(?<![\w-]){rng.choice(words)}(?![\w-])", rng.choice(pool), place.sentence, count=1)


_LONG_WORD = re.compile(r"(?<![\w-])[a-z]{5,}(?![\w-])")

GRAMMAR = frozenset(
    "about above after again against along although among around because before being below between could during each "
    "every first their there these they those through under until using where which while whose would within without "
    "other others often since should might still such than that then very what when will with also been have".split()
)

CLAUSES = (
    ", which caused widespread protests among local farmers",
    ", although later studies proved the opposite",
    ", and was therefore abandoned after a lengthy legal dispute",
    ", mainly because of pressure from private investors",
    " and is now considered obsolete by experts",
    ", making it the most expensive project ever undertaken",
    ", despite strong opposition from neighbouring countries",
    " using a secret method that nobody has been able to reproduce",
)


def clause_added(place: Place, rng: random.Random) -> str | None:
    return place.sentence.removesuffix(".") + rng.choice(CLAUSES) + "." if place.sentence.endswith(".") else None


def clause_borrowed(place: Place, rng: random.Random) -> str | None:
    """The end of a sentence of another passage is hung on."""
    tails = re.findall(
        r"(, (?:which|who|where|because|and|but) [^,.;:]{20,70})\.", " ".join([*place.sent, place.unsent])
    )
    return (
        place.sentence.removesuffix(".") + rng.choice(tails) + "." if tails and place.sentence.endswith(".") else None
    )


def made_up(place: Place, rng: random.Random) -> str | None:
    """A sentence of a passage that was not sent."""
    found = [place.unsent[one.start : one.end] for one in units(place.unsent) if one.kind == "prose"]
    found = [one for one in found if 40 <= len(one) <= 250 and one not in place.all_sent]
    return rng.choice(found) if found else None


def verbatim(place: Place, rng: random.Random) -> str | None:  # noqa: ARG001
    return place.sentence


def dropped_start(place: Place, rng: random.Random) -> str | None:
    """An honest light rewording, so that a wrong marker does not stand at a word-for-word quote only."""
    return without_start(place, rng) or reworded_words(place, rng)


_ANTONYMS = {
    "increase": "decrease", "increased": "decreased", "increases": "decreases", "increasing": "decreasing",
    "rise": "fall", "rose": "fell", "gained": "lost", "won": "lost", "victory": "defeat", "success": "failure",
    "successful": "unsuccessful", "strong": "weak", "stronger": "weaker", "accepted": "rejected", "allowed": "forbade",
    "allows": "prevents", "enabled": "disabled", "enables": "disables", "included": "excluded", "includes": "excludes",
    "opened": "closed", "began": "ended", "begins": "ends", "started": "stopped", "high": "low", "higher": "lower",
    "large": "small", "larger": "smaller", "long": "short", "old": "young", "new": "old", "early": "late",
    "first": "last", "northern": "southern", "north": "south", "eastern": "western", "east": "west", "left": "right",
    "positive": "negative", "public": "private", "internal": "external", "supported": "opposed", "supports": "opposes",
    "common": "rare", "important": "unimportant", "possible": "impossible", "legal": "illegal", "likely": "unlikely",
    "present": "absent", "built": "destroyed", "created": "destroyed", "male": "female", "rich": "poor",
    "different": "identical", "difficult": "easy", "popular": "unpopular", "modern": "ancient", "simple": "complex",
    "add": "remove", "added": "removed", "adding": "removing", "true": "false", "maximum": "minimum",
    "upper": "lower", "fast": "slow", "faster": "slower", "hot": "cold", "warm": "cool", "safe": "dangerous",
    "healthy": "sick", "wide": "narrow", "deep": "shallow", "heavy": "light", "inside": "outside", "major": "minor",
    "majority": "minority", "permanent": "temporary", "similar": "dissimilar", "friend": "enemy", "peace": "war",
    "before": "after", "above": "below", "alive": "dead", "expanded": "shrank", "improved": "worsened",
    "improves": "worsens", "reduced": "raised", "reduces": "raises", "reduce": "raise", "severe": "mild", "acute": "chronic",
}  # fmt: skip
_UNITS = {
    "km": "miles", "kilometres": "miles", "kilometers": "miles", "metres": "feet", "meters": "feet", "m": "km",
    "kg": "g", "hours": "minutes", "seconds": "milliseconds", "days": "weeks", "months": "years", "mg": "g",
    "mm": "cm", "kB": "MB", "GB": "TB", "bytes": "bits", "acres": "hectares", "inches": "centimetres", "ml": "l",
    "tons": "kg", "milliseconds": "seconds", "feet": "inches", "bits": "bytes", "megabytes": "gigabytes",
}  # fmt: skip
_QUANTIFIERS = {
    "most": "few", "many": "few", "several": "no", "some": "all", "few": "many", "both": "neither", "half": "all",
    "at least": "at most", "up to": "more than", "almost all": "almost no", "a majority of": "a minority of",
    "more than": "less than", "nearly all": "hardly any", "two-thirds of": "one-third of", "usually": "never",
    "often": "never", "sometimes": "always", "rarely": "frequently",
}  # fmt: skip
_COMPARISONS = {
    "more than": "less than", "greater than": "smaller than", "higher than": "lower than", "larger than": "smaller than",
    "better than": "worse than", "older than": "younger than", "longer than": "shorter than", "faster than": "slower than",
    "earlier than": "later than", "stronger than": "weaker than", "fewer than": "more than", "less than": "more than",
    "closer to": "further from", "cheaper than": "dearer than", "more expensive": "less expensive", "more likely": "less likely",
    "more important": "less important", "more common": "less common", "more complex": "less complex", "further": "nearer",
}  # fmt: skip
_ORDINALS = dict(
    zip(
        "first second third fourth fifth sixth seventh eighth".split(),
        "second third fifth second fourth seventh ninth sixth".split(),
        strict=True,
    )
)
_ORDINALS |= {
    "19th": "18th",
    "20th": "19th",
    "18th": "17th",
    "17th": "16th",
    "16th": "15th",
    "1st": "2nd",
    "2nd": "3rd",
    "21st": "20th",
}

_CERTAIN = {
    "may have": "had", "might have": "had", "could have": "had", "may be": "is", "might be": "is", "could be": "is",
    "may": "will", "might": "will", "could": "will", "can": "must", "should": "must", "probably": "certainly",
    "possibly": "definitely", "likely": "certainly", "perhaps": "certainly", "seems to be": "is", "appears to be": "is",
    "suggests that": "proves that", "suggest that": "prove that", "is thought to be": "is", "is believed to be": "is",
}  # fmt: skip
_ALL = {"some": "all", "many": "all", "most": "all", "several": "all", "often": "always", "usually": "always",
        "sometimes": "always", "generally": "always", "mainly": "only", "mostly": "exclusively", "typically": "always",
        "partly": "completely", "a number of": "all", "various": "all", "largely": "entirely", "commonly": "always"}  # fmt: skip
_NEGATIONS_OUT = re.compile(r"(?:\bdid not|\bdoes not|\bdo not|\bcannot|\bnot|\bnever|n't)\b ?")


def negation_removed(place: Place, rng: random.Random) -> str | None:  # noqa: ARG001
    made, count = _NEGATIONS_OUT.subn("", place.sentence, count=1)
    return _tidy(made) if count and len(re.findall(r"\b(?:not|no|never|cannot)\b|n't", place.sentence)) == 1 else None


def condition_dropped(word: str) -> Rule:
    """The clause that a word begins is left out, at the start or at the end."""

    def make(place: Place, rng: random.Random) -> str | None:  # noqa: ARG001
        start = re.fullmatch(rf"(?:{word}) [^,;:]+, (.{{25,}})", place.sentence, re.IGNORECASE)
        if start is not None:
            return _tidy(start[1])
        end = re.fullmatch(rf"(.{{25,}}?),? (?:{word}) [^;:]+\.", place.sentence)
        return None if end is None else _tidy(end[1])

    return make


def year_in_range(place: Place, rng: random.Random) -> str | None:
    match = re.search(r"((?:1[5-9]|20)\d\d)(\s*[-\u2013]\s*| to | until | and )((?:1[5-9]|20)\d\d)", place.sentence)
    if match is None:
        return None
    moved = str(int(match[3]) + rng.choice([-7, -3, 4, 9]))
    made = f"{match[1]}{match[2]}{moved}" if rng.random() < 0.5 else f"{match[3]}{match[2]}{match[1]}"
    return place.sentence[: match.start()] + made + place.sentence[match.end() :]


def numbers_exchanged(place: Place, rng: random.Random) -> str | None:  # noqa: ARG001
    """Two numbers of the sentence exchange places, words standing between them."""
    found = list(NUMBER.finditer(place.sentence))
    for one, other in itertools.pairwise(found):
        between = place.sentence[one.end() : other.start()]
        if one.group() != other.group() and len(re.findall(r"[a-z]{3,}", between)) >= 1:
            return place.sentence[: one.start()] + other.group() + between + one.group() + place.sentence[other.end() :]
    return None


LIES: tuple[Kind, ...] = (
    Kind("number near it", "number", exchanged(NUMBER, near)),
    Kind("number of the passage", "number", exchanged(NUMBER, said_by(NUMBER, elsewhere=False))),
    Kind("number of another passage", "number", exchanged(NUMBER, said_by(NUMBER, elsewhere=True))),
    Kind("number in words", "number", exchanged(SMALL, lambda _: SPELLED)),
    Kind("numbers exchanged", "number", numbers_exchanged),
    Kind("magnitude", "number", replaced({"million": "billion", "thousand": "million", "trillion": "billion", "hundred": "thousand"}, within=r"(?<=\d ){}")),
    Kind("ordinal", "number", replaced(_ORDINALS, both_ways=False)),
    Kind("unit", "unit", replaced(_UNITS, within=r"(?<=\d ){}")),
    Kind("percentage points", "unit", substituted(r"(\d)(?: ?%| per ?cent)(?!\w)", r"\1 percentage points")),
    Kind("currency", "unit", substituted(r"[$£](?=\d)", "€")),
    Kind("year", "date", exchanged(YEAR, lambda place: [str(int(one) + step) for one in YEAR.findall(place.sentence) for step in (-10, -1, 1, 10)])),
    Kind("year of the passages", "date", exchanged(YEAR, said_by(YEAR, elsewhere=False))),
    Kind("year in a range", "date", year_in_range),
    Kind("month or weekday", "date", exchanged(MONTH, lambda place: DAYS if re.search("day", " ".join(MONTH.findall(place.sentence))) else MONTHS)),
    Kind("name of the passage", "name", exchanged(NAME, said_by(NAME, elsewhere=False))),
    Kind("name of another passage", "name", exchanged(NAME, said_by(NAME, elsewhere=True))),
    Kind("identifier", "name", exchanged(IDENTIFIER, said_by(IDENTIFIER, elsewhere=True))),
    Kind("wrong marker, word for word", "marker", verbatim, "wrong"),
    Kind("wrong marker, reworded", "marker", dropped_start, "wrong"),
    Kind("invented marker", "marker", verbatim, "invented"),
    Kind("invented marker beside the right one", "marker", verbatim, "both"),
    Kind("negation added", "negation", substituted(rf"\b({BE})\b(?! not)", r"\1 not")),
    Kind("never", "negation", substituted(r"\b(was|were|is|are|has|have)\b(?! (?:not|never))", r"\1 never")),
    Kind("negation removed", "negation", negation_removed),
    Kind("opposite", "opposite", replaced(_ANTONYMS)),
    Kind("comparison", "opposite", replaced(_COMPARISONS, both_ways=False)),
    Kind("superlative turned", "opposite", replaced({"largest": "smallest", "highest": "lowest", "oldest": "youngest", "longest": "shortest", "most": "least", "best": "worst", "earliest": "latest", "greatest": "least", "biggest": "smallest"})),
    Kind("superlative added", "scope", substituted(r"\ban? (important|significant|popular|common|powerful|successful|famous|prominent|serious|expensive|influential|notable)\b", r"the most \1")),
    Kind("scope", "scope", replaced(_ALL, both_ways=False)),
    Kind("quantifier", "scope", replaced(_QUANTIFIERS, both_ways=False)),
    Kind("exception dropped", "scope", condition_dropped("except(?: for| that| when| in)?|unless|other than|apart from")),
    Kind("condition dropped", "scope", condition_dropped("if|only if|provided that|as long as|in case")),
    Kind("modality", "modality", replaced(_CERTAIN, both_ways=False)),
    Kind("somebody's claim as fact", "modality", substituted(r"^.{3,60}? (?:claim(?:s|ed)?|believe[sd]?|argue[sd]?|suggest(?:s|ed)?|propose[sd]?|thought|speculated|hypothesized|alleged)(?: that)? (?=the |a |an |[A-Z])", "")),
    Kind("fused sources", "fused", fused),
    Kind("fused sentences", "fused", fused_within),
    Kind("roles exchanged", "order", role_swap),
    Kind("order of events", "order", order_swap("before|after|until|since")),
    Kind("cause and effect", "order", order_swap("because|because of|due to|led to|leads to|caused|causes|resulted in|results in|as a result of")),
    Kind("quote altered", "made up", another_word),
    Kind("word replaced", "made up", word_replaced),
    Kind("clause added", "made up", clause_added),
    Kind("clause of another passage", "made up", clause_borrowed),
    Kind("sentence of a passage not sent", "made up", made_up),
)  # fmt: skip


# Honest ------------------------------------------------------------------------------------------------------------

_STARTS = re.compile(
    r"(?:In addition|However|Furthermore|Moreover|Therefore|Thus|Also|For example|For instance|As a result|Additionally|"
    r"Consequently|Nevertheless|In contrast|In fact|Indeed|Similarly|Finally|Instead|Meanwhile|Overall|Hence), "
)
_SYNONYMS = {
    "began": "started", "large": "big", "because": "since", "approximately": "about", "purchased": "bought",
    "assist": "help", "however": "but", "numerous": "many", "used": "utilised", "located": "situated", "shows": "indicates",
    "created": "made", "built": "constructed", "obtained": "got", "require": "need", "requires": "needs",
    "various": "different", "usually": "typically", "although": "though", "while": "whereas", "select": "choose",
    "specify": "give", "specifies": "gives", "additional": "further", "main": "principal", "huge": "enormous",
    "sufficient": "enough", "entire": "whole", "complete": "finish", "performed": "carried out", "important": "significant",
}  # fmt: skip


def without_start(place: Place, rng: random.Random) -> str | None:  # noqa: ARG001
    match = _STARTS.match(place.sentence)
    return _tidy(place.sentence[match.end() :]) if match else None


def reworded_words(place: Place, rng: random.Random) -> str | None:
    return replaced(_SYNONYMS)(place, rng)


def without_brackets(place: Place, rng: random.Random) -> str | None:  # noqa: ARG001
    made, count = re.subn(r"\s?\([^()]{3,80}\)", "", place.sentence, count=1)
    return _tidy(made) if count else None


def without_relative(place: Place, rng: random.Random) -> str | None:  # noqa: ARG001
    made, count = re.subn(
        r", (?:which|who|whose|where) [^,.;:()\d]{10,90}, (?![a-z]+ing |and |or )", " ", place.sentence, count=1
    )
    return _tidy(made) if count else None


def without_end(place: Place, rng: random.Random) -> str | None:  # noqa: ARG001
    match = re.fullmatch(
        r"([^;:]{40,}?), (?:and|which|including|such as|where|as well as) [^,;:]{10,90}\.", place.sentence
    )
    return None if match is None else match[1] + "."


def start_moved(place: Place, rng: random.Random) -> str | None:  # noqa: ARG001
    match = re.fullmatch(r"(In|On|During|By|At|After|Since) ([^,;:]{3,40}), ([^,;:]{25,})\.", place.sentence)
    return None if match is None else _tidy(f"{lower_first(match[3])} {match[1].lower()} {match[2]}")


def end_moved(place: Place, rng: random.Random) -> str | None:  # noqa: ARG001
    match = re.fullmatch(r"([^,;:]{25,}) (in|during|by|since) ((?:[A-Z]\w+ )?(?:1[5-9]|20)\d\d)\.", place.sentence)
    return None if match is None else f"{match[2].capitalize()} {match[3]}, {lower_first(match[1])}."


def passive(place: Place, rng: random.Random) -> str | None:  # noqa: ARG001
    """Passive to active with a regular participle: "The city was destroyed by the Huns."."""
    match = re.fullmatch(
        r"((?:The|A|An) [^,;:]{3,50}|[A-Z]\w+(?: [A-Z]\w+)*) (?:was|were) ([a-z]+ed) by ([^,;:]{3,50})\.",
        place.sentence,
    )
    if match is None or re.search(r"\b(?:in|on|at|was|were|is|and|to|from)\b", match[1] + " " + match[3]):
        return None
    return f"{match[3][:1].upper()}{match[3][1:]} {match[2]} {lower_first(match[1])}."


def date_form(place: Place, rng: random.Random) -> str | None:
    names = "|".join(MONTHS)
    day_first = re.search(rf"\b(\d{{1,2}}) ({names}) (\d{{4}})\b", place.sentence)
    month_first = re.search(rf"\b({names}) (\d{{1,2}}), (\d{{4}})\b", place.sentence)
    match = day_first or month_first
    if match is None:
        return None
    day, month = (match[1], match[2]) if day_first else (match[2], match[1])
    other = f"{month} {day}, {match[3]}" if day_first else f"{day} {month} {match[3]}"
    iso = f"{match[3]}-{MONTHS.index(month) + 1:02}-{int(day):02}"
    made = rng.choice([other, other, iso])
    return place.sentence[: match.start()] + made + place.sentence[match.end() :]


def number_form(place: Place, rng: random.Random) -> str | None:
    """Separators in or out, a small number in words or digits."""
    found = [one for one in NUMBER.finditer(place.sentence) if "," in one.group() or len(one.group()) > 4]
    if found:
        one = rng.choice(found)
        whole, dot, part = one.group().partition(".")
        other = whole.replace(",", "") if "," in whole else f"{int(whole):,}"
        return place.sentence[: one.start()] + other + dot + part + place.sentence[one.end() :]
    words = list(SMALL.finditer(place.sentence))
    if not words:
        return None
    one = rng.choice(words)
    return place.sentence[: one.start()] + str(SPELLED.index(one.group()) + 2) + place.sentence[one.end() :]


def percent_form(place: Place, rng: random.Random) -> str | None:
    sign, word = substituted(r"(\d) ?%", r"\1 percent"), substituted(r"(\d) per ?cent\b", r"\1 %")
    return sign(place, rng) or word(place, rng)


def lead_in(place: Place, rng: random.Random) -> str | None:
    start = rng.choice(["In short, ", "Also, ", "Overall, ", "In particular, ", "Note that ", "In other words, "])
    return start + lower_first(place.sentence)


def joined(place: Place, rng: random.Random) -> str | None:
    """This sentence and the one after it in one, by a semicolon or "and"."""
    if place.following is None or not place.sentence.endswith(".") or len(place.sentence + place.following) > 400:
        return None
    return place.sentence.removesuffix(".") + rng.choice(["; ", ", and "]) + lower_first(place.following)


def joined_parts(place: Place, rng: random.Random) -> str | None:
    """This sentence without its start or end, and the next one."""
    short = without_end(place, rng) or without_start(place, rng) or without_brackets(place, rng)
    if short is None or place.following is None or len(short + place.following) > 400:
        return None
    return short.removesuffix(".") + "; " + lower_first(place.following)


def two_markers(place: Place, rng: random.Random) -> str | None:
    return verbatim(place, rng)


HONEST: Mapping[str, Rule] = {
    "word for word": verbatim,
    "without its first word": without_start,
    "without brackets": without_brackets,
    "without a relative clause": without_relative,
    "without its last part": without_end,
    "start moved to the end": start_moved,
    "end moved to the start": end_moved,
    "passive to active": passive,
    "date in another form": date_form,
    "number in another form": number_form,
    "percent in another form": percent_form,
    "a lead-in added": lead_in,
    "synonym": reworded_words,
    "joined with the next": joined,
    "a part joined with the next": joined_parts,
}
