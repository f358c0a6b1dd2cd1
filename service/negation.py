# ruff: noqa: RUF001  # letters of many scripts
"""What a sentence denies: the words that its negations stand before, and what comes before a part of it and turns it
around.

English is looked at word by word; of other languages (Snowball's names, and scripts without spaces) it is known which
words deny, not which word each belongs to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from service.fact_words import listed
from service.facts import stem
from service.wording import base

_ENGLISH = r"\b(?:not|no|never|none|neither|nor|nobody|nothing|nowhere|cannot|without)\b|n['\u2019]t\b|\bnon-(?=\w)"
_OTHERS = {
    "german": "nicht kein keine keinen keinem keiner keines nie niemals niemand nirgends weder ohne",
    "french": "pas jamais aucun aucune aucuns aucunes sans ni non rien personne",
    "spanish": "no nunca jamás ningún ninguna ninguno sin ni tampoco nadie nada",
    "italian": "non mai nessun nessuna nessuno senza né niente nulla",
    "portuguese": "não nunca jamais nenhum nenhuma sem nem ninguém nada",
    "dutch": "niet geen nooit niemand nergens zonder noch",
    "danish": "ikke ingen intet aldrig uden",
    "norwegian": "ikke ingen intet aldri uten",
    "swedish": "inte ej icke ingen inget inga aldrig utan",
    "polish": "nie nigdy żaden żadna żadne bez ani",
    "russian": "не нет ни никогда никто ничто без нельзя",
    "arabic": "لا لم لن ليس ليست ليسوا غير بدون دون",
    "turkish": "değil yok hiç asla",
}
_UNSPACED = "[不没沒無无未非勿莫]|ない|なかっ|ません|ぬ(?=[。、])|ず(?=[に、。])|않|못|없"
_PATTERNS: Mapping[str, re.Pattern[str]] = {
    language: re.compile(rf"(?<!\w)(?:{'|'.join(words.split())})(?!\w)|{_UNSPACED}", re.IGNORECASE)
    for language, words in _OTHERS.items()
} | {"english": re.compile(_ENGLISH, re.IGNORECASE)}
_OF_ANY = re.compile(_UNSPACED)
_GOES_WITH_ANOTHER = re.compile(r"(?<!\w)(?:ne|n)(?!\w)", re.IGNORECASE)
"""French: half of a negation, of which the other half (ne ... plus) may be a word that denies nothing alone."""
_SOMEBODY = re.compile(r"\b(?:une|la|cette|chaque) personne\b", re.IGNORECASE)

_NOT_ALONE = re.compile(r"\bnot (?:only|just|merely|simply)\b", re.IGNORECASE)
"""Denies nothing: what follows is so, and something else is too."""
_ALONE = re.compile(r"\b(?:only|just|merely|simply)\b", re.IGNORECASE)

_TOKEN = re.compile(r"n['\u2019]t\b|\bnon-|[^\W\d_]+?(?=n['\u2019]t\b)|[^\W_]+|[,;:.()]", re.IGNORECASE)
_NEGATIONS = frozenset(
    ["not", "no", "never", "none", "neither", "nor", "nobody", "nothing", "nowhere", "cannot", "without", "n't", "non-"]
)
_PASSED_OVER = frozenset(
    """
    a an the any it its this that these those his her their our your my of to in on at by for from with as and or be
    been being is are was were am have has had having do does did done will would can could may might must shall should
    than ever yet also even really very all both each one there here so such
    """.split()  # noqa: SIM905  # a list of words
)
_TAKING_BACK = frozenset(
    map(
        stem,
        """
        failed refused avoided stopped ceased halted quit ended cancelled prevented denied doubted disproved attempted
        tried fake pretended hardly alleged unlike
        """.split(),  # noqa: SIM905  # a list of words
    )
)
_WITHOUT_OBJECT = frozenset(
    listed("at below above under over near before after during between since for while when because if once")
)
"""Before these it takes back nothing: "the pump stops below 8 degrees"."""
_TAKING_BACK_PAIRS = frozenset([("rather", "than"), ("instead", "of"), ("replica", "of"), ("far", "from")])
"""What follows these is not so, or no longer, or not yet."""
_TAKING_BACK_FIRST = frozenset(first for first, _ in _TAKING_BACK_PAIRS)
_REACH = 3  # words of substance that a negation may still belong to

_DENIED_BEFORE = re.compile(
    r"\b(?:den(?:y|ies|ied|ying)|doubt\w*|disput(?:e|es|ed|ing)|reject(?:s|ed|ing)?|refut(?:e|es|ed|ing)"
    r"|disprov(?:e|es|ed|ing)|myth|false|untrue|wrong|incorrect|misconception|hoax|fail(?:s|ed|ing)?|refus(?:e|es|ed|ing)"
    r"|avoid(?:s|ed|ing)?|stopp?(?:s|ed|ing)?|prevent(?:s|ed|ing)?|unlikely|hardly|barely|scarcely|almost|nearly"
    r"|instead of|rather than|unlike|until|replica of|copy of|fake|so-called|pretend(?:s|ed|ing)?|far from|anything but"
    r"|(?:critics|opponents|skeptics|sceptics) (?:\w+ ){0,5}(?:say|said|claim|claimed|argue|argued|hold|held)"
    r")(?:\s+(?:to|that|of|the|a|an|any|all|its|their|his|her|from|whether|if|(?:to )?\w+ that)){0,3}"
    r"\s*[\"'\u201c]?\s*$",
    re.IGNORECASE,
)
_DENIED_AFTER = re.compile(
    r"^[\s\"'\u201d,]*(?:is|was|are|were|has been|turned out to be|proved(?: to be)?)\s+(?:all |simply |just )?"
    r"(?:a |an |the )?(?:\w+ )?"
    r"(?:myth|false|untrue|wrong|incorrect|lies?|misconception|hoax|denied|disputed|not true|not so)\b",
    re.IGNORECASE,
)
_LABELLED_FALSE = re.compile(
    r"\s*(?:[-*+•]\s+)?[\"'*_]*(?:myth|false|wrong|fiction|misconception|incorrect|bad|don['\u2019]t)[*_]*\s*[:–—-]",
    re.IGNORECASE,
)
_ONLY = {
    "english": frozenset(listed("only solely exclusively")),
    "german": frozenset(listed("nur lediglich ausschließlich")),
    "french": frozenset(listed("seulement uniquement exclusivement")),
    "spanish": frozenset(listed("solo sólo solamente únicamente exclusivamente")),
    "italian": frozenset(listed("solo soltanto solamente unicamente")),
    "portuguese": frozenset(listed("só somente apenas unicamente")),
    "dutch": frozenset(listed("slechts alleen uitsluitend enkel")),
    "swedish": frozenset(listed("bara endast enbart")),
    "norwegian": frozenset(listed("bare kun utelukkende")),
    "danish": frozenset(listed("kun udelukkende")),
    "russian": frozenset(listed("только лишь исключительно")),
}
"""By language, words that narrow what follows them."""
_NARROWED_WORDS = 3  # that one of them may speak of
_TELLING_CHARS_MIN = 4  # of a word; a shorter one is an article or a preposition
_WORDS = re.compile(r"[^\W\d_]+")
_LIMITED = re.compile(r"\s*(?:until|till|before|prior to|if|unless|provided|assuming|suppose)\b", re.IGNORECASE)
"""It was so until then, or is so only then."""
GOVERNING = frozenset(listed("of for by with without from to than like unlike against about between among"))
"""What follows these is no subject of its own: "the wife of | the king ruled"."""
_GOVERNED = re.compile(rf"\b(?:{'|'.join(sorted(GOVERNING))})\s+$", re.IGNORECASE)
_CLAUSE = re.compile(r"[,;:\u2013\u2014]")


def negations(text: str, language: str = "english") -> int:
    """How many words of a text deny."""
    if language == "french":
        text = _SOMEBODY.sub(" ", text)
    found = len(_PATTERNS.get(language, _OF_ANY).findall(_NOT_ALONE.sub(" ", text)))
    return found if language != "french" else max(found, len(_GOES_WITH_ANOTHER.findall(text)))


def denied_otherwise(claim: str, quote: str, language: str = "english") -> bool:
    """Whether one of two sentences denies what the other does not.

    Args:
        quote: without the clauses that the claim leaves out (`facts.spoken_of`).
        language: of both, by Snowball's name.
    """
    said, shown = negations(claim, language), negations(quote, language)
    if said % 2 != shown % 2 or bool(said) != bool(shown):
        return True
    only, only_there = _alone(claim), _alone(quote)
    if language == "english" and None not in (only, only_there) and only != only_there:
        return True
    return language == "english" and said > 0 and _belong_otherwise(claim, quote)


def loses_only(claim: str, quote: str, language: str) -> bool:
    """Whether a claim says without "only" what the quote says with it."""
    narrowing = _ONLY.get(language, frozenset())
    shown = _WORDS.findall(_NOT_ALONE.sub(" ", quote).casefold())
    if narrowing.isdisjoint(shown):
        return False
    said = _WORDS.findall(_NOT_ALONE.sub(" ", claim).casefold())
    if not narrowing.isdisjoint(said):
        return False
    narrowed = {
        one
        for at, word in enumerate(shown)
        if word in narrowing
        for one in shown[at + 1 : at + 1 + _NARROWED_WORDS]
        if len(one) >= _TELLING_CHARS_MIN
    }
    return bool(narrowed.intersection(said))


def _alone(text: str) -> bool | None:
    """Whether a sentence says "only" of something, or "not only"; None where it says neither, or both."""
    others = bool(_NOT_ALONE.search(text))
    alone = bool(_ALONE.search(_NOT_ALONE.sub(" ", text)))
    return None if others == alone else alone


def denied_around(before: str, after: str, language: str = "english") -> bool:
    """Whether what stands before or after a part of a sentence turns it around ("it is not true that ...").

    Args:
        before, after: the rest of that sentence.
    """
    clause = _CLAUSE.split(before)[-1]
    if negations(before, language) % 2 or negations(clause, language):
        return True
    if _DENIED_BEFORE.search(before) or _LABELLED_FALSE.match(before) or _DENIED_AFTER.match(after):
        return True
    return bool(_LIMITED.match(before) or _GOVERNED.search(before))


def labelled_false(sentence: str) -> bool:
    """Whether a sentence says of itself that it is not so ("Myth: ...")."""
    return _LABELLED_FALSE.match(sentence) is not None


def introduces_what_is_not(line: str) -> bool:
    """Whether a line before a list says that its items are not so, or not to be done."""
    return negations(line) > 0 or _INTRODUCES.search(line) is not None


_INTRODUCES = re.compile(
    r"\b(?:avoid\w*|forbidden|prohibited|unsupported|deprecated|removed|dropped|wrong|incorrect|false|myths?|"
    r"misconceptions?|instead of|refrain\w*|banned|excluded?|except\w*)\b",
    re.IGNORECASE,
)


def _belong_otherwise(claim: str, quote: str) -> bool:
    said, shown = _belonging(claim), _belonging(quote)
    return any(
        word in other_words and word not in others_reach
        for nearest, _, (_, others_reach, other_words) in ((*said[:2], shown), (*shown[:2], said))
        for word in nearest
    )


@lru_cache(maxsize=256)
def _belonging(text: str) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """The word of substance right after each negation, those within its reach, and all words: stems."""
    words, stems = _stemmed(_NOT_ALONE.sub(" ", text))
    places = [at for at, word in enumerate(words) if word in _NEGATIONS]
    after = [_following(words, stems, at) for at in places]
    before = [one for at in places for one in _preceding(words, stems, at)]  # "reached no", "the timeout is not"
    nearest = frozenset(one for found in after for one in found[:1])
    return nearest, frozenset([*before, *(one for found in after for one in found)]), frozenset(stems)


@lru_cache(maxsize=256)
def _stemmed(text: str) -> tuple[Sequence[str], Sequence[str]]:
    words = [one.casefold().replace("\u2019", "'") for one in _TOKEN.findall(text)]
    return words, [base(stem(one)) for one in words]


def _following(words: Sequence[str], stems: Sequence[str], at: int) -> list[str]:
    """The stems of the words of substance that follow, as far as a negation or its like reaches."""
    found: list[str] = []
    for following, stemmed in zip(words[at + 1 :], stems[at + 1 :], strict=True):
        if len(found) == _REACH or (found and following in ",;:.()"):
            break
        if following.isalnum() and following not in _PASSED_OVER and following not in _NEGATIONS:
            found.append(stemmed)
    return found


def _preceding(words: Sequence[str], stems: Sequence[str], at: int) -> list[str]:
    """The stem of the last word of substance before a negation, in its clause."""
    for word, stemmed in zip(reversed(words[:at]), reversed(stems[:at]), strict=True):
        if word in ",;:.()" or word in _NEGATIONS:
            return []
        if word.isalnum() and word not in _PASSED_OVER:
            return [stemmed]
    return []


def loses_what_governs(claim: str, quote: str) -> bool:
    """Whether a claim affirms a word that the quote has only behind one that takes it back or narrows it ("failed to
    deliver", "rather than air", "fake", "only"), or the other way round. English.
    """
    return _affirms(claim, quote) or _narrows_otherwise(claim, quote)


def _affirms(claim: str, quote: str) -> bool:
    said, shown = _governed(claim), _governed(quote)
    if not said[0] and not shown[0]:
        return False
    words, others = frozenset(_stemmed(claim)[1]), frozenset(_stemmed(quote)[1])
    reached = said[1] | _belonging(claim)[1]
    reached_there = shown[1] | _belonging(quote)[1]
    return bool((shown[0] & words) - reached or (said[0] & others) - reached_there)


@lru_cache(maxsize=256)
def _governed(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """The word of substance right after each word that takes back what follows, and those within its reach."""
    words, stems = _stemmed(text)
    after = [
        _following(words, stems, at)
        for at, word in enumerate(words)
        if (stems[at] in _TAKING_BACK and not _WITHOUT_OBJECT.intersection(words[at + 1 : at + 2]))
        or (word in _TAKING_BACK_FIRST and (word, *words[at + 1 : at + 2]) in _TAKING_BACK_PAIRS)
    ]
    return frozenset(one for found in after for one in found[:1]), frozenset(one for found in after for one in found)


def _narrows_otherwise(claim: str, quote: str) -> bool:
    """Whether "only" stands before another word."""
    only, only_there = (
        [_following(*both, at)[:1] for at, word in enumerate(both[0]) if word == "only"]
        for both in (_stemmed(_NOT_ALONE.sub(" ", claim)), _stemmed(_NOT_ALONE.sub(" ", quote)))
    )
    return len(only) == len(only_there) == 1 and only != only_there
