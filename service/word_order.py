"""Who does what to whom, as far as the order of words tells: the words of two sentences exchanged around a third.

A phrase may move to the front or the end of a sentence without changing it. What two phrases on either side of a word
say is another thing when they change places ("A bought B"), unless the voice changes too ("B was bought by A").
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache

from service.fact_words import LITTLE, listed

_TOKEN = re.compile(r"\d{2,4}s\b|\d+(?:[.,:]\d+)*|[^\W\d_]+(?:['\u2019_-]?[^\W\d_]+)*|[,;]")
_SIDES_ALIKE = frozenset(
    ["and", "or", "is", "are", "was", "were", "be", "been", "has", "have", "had", "the", "a", "an", ",", ";"]
)
"""What two things on either side of may change places."""
_TELLING_CHARS_MIN = 4
"""A shorter word that stands twice is not told apart: most are articles and prepositions."""
_COMPARED_MAX = 160_000
"""Pairs of words beyond which two sentences are not compared, which takes seconds where they repeat themselves; their
order counts as another.
"""
_LIST = frozenset({"and", "or", ",", ";"})
_JOINTS = frozenset({"and", "but", "while", "whereas", ";"})
_JOINTS_OF_ANY = _JOINTS | {",", *listed("or et ou mais und oder aber sowie y e o pero ed ma en och eller og")}
"""In other languages too; more of them, since they are asked together with a word that stands on both sides."""
_ALIKE_CHARS = 5
"""Forms of a word in languages without a stemmer here begin with as many letters alike."""
_OF_BY = re.compile(r"\bof (?:the |a |an )?(\w+)(?: \w+){0,2} by (?:the |a |an )?(\w+)")
_CLAUSE_WORDS = 2
"""Words from which a part of a sentence that stands beside "and" may be a clause's and not one of two adjectives."""
_AGENT = "by"
BE = frozenset({"is", "are", "was", "were", "be", "been", "being"})
_NO_OBJECT = frozenset(
    """
    in on at to by for from with and or but as when while after before until since during into onto over under through
    out up down off away again early late that than because if so too well between among near around
    """.split()  # noqa: SIM905  # a list of words
)
"""What may follow a verb that has no object."""
_Places = dict[tuple[str, int], int]
"""Where words stand, each by how many like it come before."""


def tokens(text: str) -> list[str]:
    """The text's words, numbers and commas, as they are compared: without case."""
    return list(_tokens(text.casefold()))


def cased_tokens(text: str) -> list[str]:
    """As `tokens`, one for one, in the text's own case."""
    return list(_tokens(text))


@lru_cache(maxsize=512)
def _tokens(text: str) -> tuple[str, ...]:
    found = _TOKEN.findall(text)
    return tuple(map(_bare, found) if "'" in text or "\u2019" in text else found)


def _bare(one: str) -> str:
    return one.removesuffix("'s").removesuffix("\u2019s")


def exchanged(claim: Sequence[str], quote: Sequence[str]) -> bool:
    """Whether something that stands before a word in the quote stands after it in the claim, and something else the
    other way round, in the same voice; or the voice was turned and the order was not.

    Args:
        claim, quote: tokens, stemmed alike or not at all.
    """
    if len(claim) * len(quote) > _COMPARED_MAX:
        return True
    at_claim, at_quote = _places(claim, quote)
    shared = [one for one in at_claim if one in at_quote and one[0] not in _LIST]
    both = [(at_claim[one], at_quote[one]) for one in shared]
    if (_AGENT in claim) == (_AGENT in quote) and both == sorted(both, key=lambda one: one[1]):
        return False
    telling = [place for (word, _), place in zip(shared, both, strict=True) if word not in _SIDES_ALIKE]
    for (word, _), (here, there) in zip(shared, both, strict=True):
        if _no_pivot(word, quote, there):
            continue
        agent, agent_there = _agent(claim, here), _agent(quote, there)
        turned = (agent is None) != (agent_there is None)
        by = (agent or agent_there or "", 0)
        if turned and (_AGENT in claim) and (_AGENT in quote):
            continue
        if turned and by in at_claim and by in at_quote:
            if (at_claim[by] < here) == (at_quote[by] < there):
                return True
            continue
        later = any(one > here and other < there for one, other in telling)
        sooner = any(one < here and other > there for one, other in telling)
        if later and sooner and not turned:
            return True
    return False


def changed(claim: Sequence[str], quote: Sequence[str]) -> list[tuple[slice, slice]]:
    """Stretches of the claim, and of the quote, where one has something else; either may be empty. Both are tokens."""
    return list(_changed(tuple(claim), tuple(quote)))


@lru_cache(maxsize=512)
def _changed(claim: tuple[str, ...], quote: tuple[str, ...]) -> tuple[tuple[slice, slice], ...]:
    """Several checks ask of the same pair."""
    if len(claim) * len(quote) > _COMPARED_MAX:
        return ((slice(0, len(claim)), slice(0, len(quote))),)
    pairs = difflib.SequenceMatcher(None, quote, claim, autojunk=False).get_opcodes()
    return tuple((slice(c1, c2), slice(q1, q2)) for kind, q1, q2, c1, c2 in pairs if kind != "equal")


def crossed(claim: Sequence[str], quote: Sequence[str]) -> bool:
    """Whether a claim begins with one clause of the quote and goes on with another: "passed by the House but rejected
    by the Senate", "passed by the Senate".

    Args:
        claim, quote: tokens in their own case.
    """
    said, shown = ([one.casefold() for one in words] for words in (claim, quote))
    for here, there in changed(said, shown):
        if there.start == 0 or there.stop == len(shown) or here.start == len(said):
            continue
        if here.start == here.stop and _joins_clauses(quote[there]):
            return True
    return any(_taken_from_beyond(said, shown, here, there) for here, there in changed(said, shown))


def parallels_crossed(claim: Sequence[str], quote: Sequence[str]) -> bool:
    """Whether a claim leaves out the end of one thing and the beginning of another that is said alike: of "12 weeks in
    adults and 8 weeks in adolescents" it has "12 weeks in adolescents".

    Args:
        claim, quote: tokens.
    """
    return any(
        _begins_again(quote[stretch.start - 1], quote[stretch])
        for here, there in changed(claim, quote)
        if here.start == here.stop > 0 and there.start > 0 and there.stop < len(quote)
        for stretch in _as_well(there, quote)
    )


def _as_well(left_out: slice, words: Sequence[str]) -> Iterator[slice]:
    """The stretches that may have been left out as well, the rest being the same: of "a b a b" both "a b" and "b a"."""
    low, high = left_out.start, left_out.stop
    while low > 1 and words[low - 1] == words[high - 1]:
        low, high = low - 1, high - 1
    yield slice(low, high)
    while high < len(words) and words[low] == words[high]:
        low, high = low + 1, high + 1
        yield slice(low, high)


def _begins_again(word: str, left_out: Sequence[str]) -> bool:
    """Whether what was left out after a word ends in that word, with another thing between a joint and it."""
    if not left_out or not alike(word, left_out[-1]):
        return False
    for at, joint in enumerate(left_out):
        before, after = left_out[:at], left_out[at + 1 : -1]
        if joint in _JOINTS_OF_ANY and set(before) - _JOINTS_OF_ANY and set(after) - LITTLE - _JOINTS_OF_ANY:
            return True
    return False


def alike(one: str, other: str) -> bool:
    """Whether two words are one, or may be forms of one: they begin with as many letters alike."""
    return one == other or (len(one) >= _ALIKE_CHARS and one[:_ALIKE_CHARS] == other[:_ALIKE_CHARS])


def exchanged_within(claim: Sequence[str], quote: Sequence[str]) -> bool:
    """As `exchanged`, of the shortest stretch of the quote that holds all they have in common: a word that the quote
    has once more elsewhere is no help to the claim. And "of A by B" of which the claim makes "of B by A".

    Args:
        claim, quote: tokens, stemmed alike or not at all.
    """
    if _AGENT in claim and _AGENT in quote:
        here, there = ({one.groups() for one in _OF_BY.finditer(" ".join(words))} for words in (claim, quote))
        if any((later, first) in there and (first, later) not in there for first, later in here):
            return True
    stretch = _shortest_with(Counter(claim) & Counter(quote), quote)
    return len(stretch) < len(quote) and exchanged(claim, stretch)


def _shortest_with(wanted: Counter[str], words: Sequence[str]) -> Sequence[str]:
    """The shortest stretch of the words that has each of the wanted ones as often; they are all there."""
    lacking, count = Counter(wanted), wanted.total()
    start, best = 0, words
    if not count:
        return words
    for end, word in enumerate(words):
        count -= lacking[word] > 0
        lacking[word] -= 1
        while count == 0:
            if end + 1 - start < len(best):
                best = words[start : end + 1]
            lacking[words[start]] += 1
            count += lacking[words[start]] > 0
            start += 1
    return best


def _joins_clauses(left_out: Sequence[str]) -> bool:
    """Whether what was left out is the end of one clause and the beginning of the next."""
    for at, word in enumerate(left_out):
        if word.casefold() not in _JOINTS and word not in (",", ";"):
            continue
        before = [one for one in left_out[:at] if one not in (",", ";")]
        after = [one for one in left_out[at + 1 :] if one not in (",", ";") and one.casefold() not in _JOINTS]
        if word == "," and min(len(before), len(after)) < _CLAUSE_WORDS:
            continue
        if before and after and (word.casefold() == "but" or (_weighs(before) and _weighs(after))):
            return True
    return False


def _weighs(words: Sequence[str]) -> bool:
    return len(words) >= _CLAUSE_WORDS or any(one[0].isupper() or one[0].isdigit() for one in words)


def _taken_from_beyond(said: Sequence[str], shown: Sequence[str], here: slice, there: slice) -> bool:
    """Whether one word stands in the place of another that the claim does not have, and is itself of a later clause."""
    if here.stop - here.start != 1 or there.stop - there.start != 1:
        return False
    new, old = said[here.start], shown[there.start]
    if len(new) < _TELLING_CHARS_MIN or new not in shown or old in said or shown.count(new) > 1:
        return False
    low, high = sorted((shown.index(new), there.start))
    return bool(_JOINTS.intersection(shown[low:high]))


def made_passive(claim: Sequence[str], quote: Sequence[str]) -> bool:
    """Whether what did something to somebody has it done to itself: "A defeated B", "A was defeated"."""
    for at in range(2, len(claim)):
        verb = claim[at]
        if claim[at - 1] not in BE or len(verb) < _TELLING_CHARS_MIN or quote.count(verb) != 1:
            continue
        there = quote.index(verb)
        subject, following = claim[at - 2], quote[there + 1 : there + 2]
        active = there > 0 and quote[there - 1] == subject
        if active and following and following[0].isalpha() and following[0] not in _NO_OBJECT and "by" not in claim:
            return True
    return False


def neighbours_exchanged(claim: Sequence[str], quote: Sequence[str]) -> bool:
    """Whether two numbers beside each other, as the ends of a range, stand the other way round."""
    here = _number_pairs(claim)
    there = _number_pairs(quote) if here else set()
    return any((later, first) in there and (first, later) not in there for first, later in here)


def _number_pairs(words: Sequence[str]) -> set[tuple[str, str]]:
    pairs = [*itertools.pairwise(words), *zip(words, words[2:], strict=False)]
    return {(one, other) for one, other in pairs if one[0].isdigit() and other[0].isdigit() and one != other}


def _places(claim: Sequence[str], quote: Sequence[str]) -> tuple[_Places, _Places]:
    """Where each word stands that both have equally often."""
    counts, others = Counter(claim), Counter(quote)
    found: list[_Places] = []
    for words in (claim, quote):
        seen: Counter[str] = Counter()
        places: _Places = {}
        for at, word in enumerate(words):
            if counts[word] == others[word] and (counts[word] == 1 or len(word) >= _TELLING_CHARS_MIN):
                places[word, seen[word]] = at
            seen[word] += 1
        found.append(places)
    return found[0], found[1]


def _no_pivot(word: str, quote: Sequence[str], at: int) -> bool:
    if word in BE and quote[at + 1 : at + 2] in (["a"], ["an"]):  # one of a kind, which is not the kind
        return False
    return word in _SIDES_ALIKE or word == _AGENT or _in_list(quote, at)


def _in_list(words: Sequence[str], at: int) -> bool:
    before, after = words[max(at - 2, 0) : at], words[at + 1 : at + 3]
    return bool(_LIST.intersection(before)) and bool(_LIST.intersection(after))


def _agent(words: Sequence[str], verb: int) -> str | None:
    """The first word of substance after "by" where the verb there is a passive with an agent."""
    rest = words[verb + 1 : verb + 8]
    if _AGENT not in rest or not BE.intersection(words[max(verb - 3, 0) : verb]):
        return None
    following = [one for one in rest[rest.index(_AGENT) + 1 :] if one not in _SIDES_ALIKE]
    return following[0] if following else None
