"""Two sentences in one form, so that they can be compared: a passive turned, a command spoken out as the duty it makes.

English, and without a parser: by short words and the places they have. What is not recognised is left as it stands, and
what looks like it may be read wrongly.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from service.fact_words import MONTH_WORDS, listed
from service.facts import stem
from service.word_order import BE
from service.wording import in_one_form

_BESIDE_VERB = BE | frozenset(
    listed(
        "must may might can could will would shall should has have had not never also only already always still just "
        "often then later"
    )
)
"""What stands between a subject and its participle; and what ends in "-ly"."""
_JOINTS = frozenset(listed("and or but"))
_BEGINS_CLAUSE = _JOINTS | frozenset(
    listed(
        ", ; that which who whom whose where because if unless when whenever while although though provided as after "
        "before since until once"
    )
)
_WITH_TIME = frozenset(listed("after before since until once"))
"""What begins a clause, or a phrase of time."""
_AFTER_AGENT = (
    _BEGINS_CLAUSE
    | BE
    | frozenset(
        listed(
            "in on at for with from to during within under over through without against between into than per about by "
            "has have had must may can will"
        )
    )
)
"""What ends the words that name who did it; not "of", which is part of a name."""
_PARTICIPLE = ("ed", "en", "wn", "ung", "ilt", "ade", "eld", "ent", "ought", "aught")
_PARTICIPLES = frozenset(listed("cut put set led won lost read run paid laid told sold kept left met shot"))
_COMMAND = re.compile(
    r"\A(?P<lead>\W*(?:\d{1,2}[.)]\s+)?(?:(?:if|when|whenever|before|after|once|to|in case|for)\b[^,;:.]{1,120},\s+)?"
    r"(?:(?:then|next|first|finally|please|always)\s+)*)(?P<deny>(?:never|do not|don't)\s+)?(?P<verb>[^\W\d_]+)",
    re.IGNORECASE,
)
"""How an order begins: its verb first, or after a condition or a word of sequence."""
_DUTY = re.compile(
    r"\byou (?P<modal>must|shall|should|have to|need to)\s+(?:(?:not|never|always|first|then|also)\s+)*"
    r"(?P<verb>[^\W\d_]+)"
    r"|\b(?P<modal_of>must|shall|should)\s+(?:(?:not|never|always|also)\s+)*be\s+(?P<done>[^\W\d_]+)",
    re.IGNORECASE,
)
"""What the reader must do, or what must be done, by whom is not said."""
_ADDRESSED = re.compile(r"\byou (?:must|shall|should|have to|need to)\b", re.IGNORECASE)
_FINITE = re.compile(r"\b(?:is|are|was|were|has|have|had|can|may|must|will|would|should)\b", re.IGNORECASE)
_CLAUSE_ENDS = re.compile(r"[,;:.]")
_WORD = re.compile(r"[^\W_]+")
_ARTICLES = frozenset(listed("the a an"))
_FIRST_WORD = re.compile(r"\A(\W*)([A-Z])([a-z]+)\b")
_LOWER_WORD = re.compile(r"(?<![\w-])[a-z]+")
_RELATIVE = frozenset(listed("that which who whom whose"))
_DETERMINERS = frozenset(listed("the a an this these those its their his her our each every no"))
_BEFORE_DETERMINER = frozenset(
    listed(
        "of in on at for with from to by during within under over through without against between into and or , ; all"
    )
)
"""What a second noun may follow without a clause of its own."""
_VERB_WORDS_MAX = 7
"""From "be" to "by"."""
_TURNS_MAX = 4


def comparable(claim: str, quote: str) -> tuple[str, str]:
    """Both as they can be compared word by word: phrases that say the same in one form, an order as the duty that the
    claim makes of it, and a first word without its capital letter where the other has it without.
    """
    claim, quote = in_one_form(claim), in_one_form(quote)
    quote = _spoken_out(claim, quote)
    return _in_lower_case(claim, quote), _in_lower_case(quote, claim)


def without_address(claim: str) -> str:
    """The claim without the words that make an order of it a duty ("you must"): the source has the order alone."""
    return _ADDRESSED.sub(" ", claim)


def _spoken_out(claim: str, quote: str) -> str:
    """A quote that orders what the claim says must or should be done, with that word: "Never mix oils", "You must never
    mix oils". Nothing of the order may be left out.
    """
    order = _COMMAND.match(quote)
    modal = None if order is None else _modal_of(order["verb"], claim)
    if order is None or modal is None:
        return quote
    rest = quote[order.end("verb") :]
    if _FINITE.search(_CLAUSE_ENDS.split(rest, 1)[0]):  # "Test results are kept"
        return quote
    deny = (order["deny"] or "").casefold()
    if _lacks(claim, order["lead"]) or _lacks(claim, rest):
        return quote
    denied = "never " if deny.startswith("never") else "not " if deny else ""
    return f"{order['lead']}you {modal} {denied}{order['verb']}{rest}"


def _modal_of(verb: str, claim: str) -> str | None:
    """The word by which the claim makes a duty of this verb."""
    for duty in _DUTY.finditer(claim):
        if stem((duty["verb"] or duty["done"]).casefold()) == stem(verb.casefold()):
            return str(duty["modal"] or duty["modal_of"])
    return None


def _lacks(claim: str, words: str) -> bool:
    """Whether the claim leaves out one of the words, articles aside."""
    said = {stem(one) for one in _WORD.findall(claim.casefold())}
    return any(stem(one) not in said for one in _WORD.findall(words.casefold()) if one not in _ARTICLES)


def _in_lower_case(text: str, other: str) -> str:
    first = _FIRST_WORD.match(text)
    if first is None:
        return text
    word = first[2].lower() + first[3]
    alike = {stem(one) for one in _LOWER_WORD.findall(other)}
    return text[: first.start(2)] + word + text[first.end(3) :] if stem(word) in alike else text


@dataclass(frozen=True, slots=True)
class OneVoice:
    """Two sentences' tokens, in the active voice.

    Args:
        claim, quote: tokens in their own case.
        comparable: nothing may have been turned wrongly: their order may be judged by these alone.
    """

    claim: list[str]
    quote: list[str]
    comparable: bool


def in_one_voice(claim: Sequence[str], quote: Sequence[str]) -> OneVoice | None:
    """Both in the active voice; None where not just one of them has a passive whose agent it names.

    Args:
        claim, quote: tokens in their own case.
    """
    turned, turned_there = in_active_voice(claim), in_active_voice(quote)
    changed, changed_there = turned != list(claim), turned_there != list(quote)
    if changed == changed_there:
        return None
    rest = turned if changed else turned_there
    plain = not _has_relative(claim) and not _has_relative(quote)
    return OneVoice(turned, turned_there, plain and "by" not in rest)


def deeds(words: Sequence[str]) -> list[tuple[list[str], str]]:
    """Who did what, for each participle whose agent is named, whatever its subject: agent, participle."""
    folded, found = [one.casefold() for one in words], list[tuple[list[str], str]]()
    for by in range(1, len(folded)):
        after = _agent_ends(folded, by) if folded[by] == "by" else by
        before = range(by - 1, max(by - _VERB_WORDS_MAX, -1), -1)
        participle = next((at for at in before if _is_participle(folded[at])), None)
        if after > by and participle is not None:
            found.append((list(words[by + 1 : after]), words[participle]))
    return found


def _has_relative(words: Sequence[str]) -> bool:
    """Whether a clause may stand within another: "the software that Adler developed", "the law the Senate passed"."""
    folded = [one.casefold() for one in words]
    if _RELATIVE.intersection(folded):
        return True
    return any(
        (folded[at] in _DETERMINERS or words[at][0].isupper())
        and folded[at - 1] not in _BEFORE_DETERMINER | _DETERMINERS
        and not (words[at - 1][0].isupper() or folded[at - 1].endswith(_PARTICIPLE))
        for at in range(1, _first_verb(folded))
    )


def _first_verb(folded: list[str]) -> int:
    return next((at for at, one in enumerate(folded) if one in _BESIDE_VERB), 0)


def in_active_voice(words: Sequence[str]) -> list[str]:
    """The words with each passive whose agent is named turned: who did it, the verb, what it was done to."""
    found = list(words)
    for _ in range(_TURNS_MAX):
        turned = _turned(found)
        if turned is None:
            break
        found = turned
    return found


def _turned(words: list[str]) -> list[str] | None:
    folded = [one.casefold() for one in words]
    for by, word in enumerate(folded):
        passive = _passive(folded, by) if word == "by" else None
        after = _agent_ends(folded, by) if passive else by
        if passive is None or after == by:
            continue
        start, verb, participle = passive
        subject, beside = words[start:verb], [one for one in words[verb:participle] if one.casefold() not in BE]
        return [
            *words[:start],
            *words[by + 1 : after],
            *beside,
            words[participle],
            *subject,
            *words[participle + 1 : by],
            *_done_as_well(words[after:], subject),
        ]
    return None


def _done_as_well(rest: list[str], subject: list[str]) -> list[str]:
    """What follows a passive, further participles of the same subject turned: "... and killed by bats"."""
    found: list[str] = []
    while (again := _next_done(rest)) is not None:
        participle, by, after = again
        beside = [one for one in rest[1:participle] if one.casefold() not in BE]
        found += [rest[0], *rest[by + 1 : after], *beside, rest[participle], *subject, *rest[participle + 1 : by]]
        rest = rest[after:]
    return found + rest


def _next_done(rest: list[str]) -> tuple[int, int, int] | None:
    """Where the participle, "by" and the end of the agent stand of a passive that begins with a joint."""
    folded = [one.casefold() for one in rest]
    if not folded or folded[0] not in _JOINTS:
        return None
    participle = next((at for at in range(1, len(folded)) if not _is_beside_verb(folded[at])), len(folded))
    by = next((at for at in range(participle + 1, len(folded)) if folded[at] == "by"), None)
    if by is None or not _is_participle(folded[participle]) or _BEGINS_CLAUSE.intersection(folded[participle:by]):
        return None
    after = _agent_ends(folded, by)
    return None if after == by else (participle, by, after)


def _passive(words: list[str], by: int) -> tuple[int, int, int] | None:
    """Where the subject, the verb's first word and its participle stand of the passive that this "by" belongs to."""
    be = next((at for at in range(by - 1, max(by - _VERB_WORDS_MAX, 0), -1) if words[at] in BE), None)
    if be is None or _BEGINS_CLAUSE.intersection(words[be:by]):
        return None
    participle = next((at for at in range(be + 1, by) if not _is_beside_verb(words[at])), None)
    if participle is None or not words[participle][0].isalpha():
        return None
    verb = be
    while verb > 0 and _is_beside_verb(words[verb - 1]):
        verb -= 1
    start = verb
    while start > 0 and not _begins_clause(words, start - 1):
        start -= 1
    return (start, verb, participle) if start < verb else None


def _begins_clause(words: list[str], at: int) -> bool:
    following = words[at + 1]
    timed = words[at] in _WITH_TIME and (following[0].isdigit() or following in MONTH_WORDS)
    return words[at] in _BEGINS_CLAUSE and not timed


def _agent_ends(words: list[str], by: int) -> int:
    """Where the words end that name who did it; at "by" where that says how much, when or how."""
    end = by + 1
    while end < len(words) and words[end] not in _AFTER_AGENT:
        end += 1
    named = end > by + 1 and words[by + 1][0].isalpha() and not words[by + 1].endswith("ing")
    return end if named else by


def _is_beside_verb(word: str) -> bool:
    return word in _BESIDE_VERB or word.endswith("ly")


def _is_participle(word: str) -> bool:
    return word.endswith(_PARTICIPLE) or word in _PARTICIPLES
