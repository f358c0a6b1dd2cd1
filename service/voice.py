"""Two sentences in one form, so that they can be compared: a passive turned, a command spoken out as the duty it makes.

English, and without a parser: by short words and the places they have. What is not recognised is left as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from service.fact_words import MONTHS, listed
from service.facts import stem
from service.wording import in_one_form

_BE = frozenset(listed("is are was were be been being"))
_BESIDE_VERB = _BE | frozenset(
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
_MONTHS = frozenset(month.casefold() for month in MONTHS)
_AFTER_AGENT = (
    _BEGINS_CLAUSE
    | _BE
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
_FORBIDS = re.compile(r"(?P<before>[;,:]\s+|\b(?:and|but)\s+)do not\s+(?P<verb>[^\W\d_]+)", re.IGNORECASE)
"""What is forbidden after something else was said."""
_DUTY = re.compile(
    r"\b(?P<modal>must|shall|should|have to|has to|needs? to|required to)\s+"
    r"(?:(?:not|never|always|first|then|also|be|only)\s+)*(?P<verb>[^\W\d_]+)",
    re.IGNORECASE,
)
_ADDRESSED = re.compile(r"\byou (?:must|shall|should|have to|need to|are required to)\b", re.IGNORECASE)
_DESIGNATION = re.compile(
    r"\b(?!(?:At|On|In|Within|From|By|After|Before|Until|Since|The|About|Over|Under|Between|For|Every|Each)\b)"
    r"[A-Z][\w-]*(?: \d[\w.]*\w| \d|(?<=[A-Za-z])\d[\w-]*)(?!\w)"
)
"""A name with a number in it or after it."""
_MAY = re.compile(r"\bmay\b", re.IGNORECASE)
_CAN = re.compile(r"\bcan\b", re.IGNORECASE)
_FIRST_WORD = re.compile(r"\A(\W*)([A-Z])([a-z]+)\b")
_LOWER_WORD = re.compile(r"(?<![\w-])[a-z]+")
_VERB_WORDS_MAX = 7
"""From "be" to "by"."""
_TURNS_MAX = 4


def comparable(claim: str, quote: str, header: str = "") -> tuple[str, str]:
    """Both as they can be compared word by word: phrases that say the same in one form, an order as the duty that the
    claim makes of it, what may be so as what can, a first word without its capital letter where the other has it
    without; and the claim without names with numbers that it has from the header, where the quote has none of the kind.
    """
    claim, quote = in_one_form(_without_designations(claim, quote, header)), in_one_form(quote)
    quote = _spoken_out(claim, quote)
    if _MAY.search(quote) and not _MAY.search(claim) and not _CAN.search(quote):
        claim = _CAN.sub("may", claim)
    return _in_lower_case(claim, quote), _in_lower_case(quote, claim)


def without_address(claim: str) -> str:
    """The claim without the words that make an order of it a duty ("you must"): the source has the order alone."""
    return _ADDRESSED.sub(" ", claim)


def _spoken_out(claim: str, quote: str) -> str:
    """A quote that orders what the claim says must or should be done, with that word: "Never mix oils", "You must never
    mix oils".
    """
    duties = {stem(one["verb"].casefold()): one["modal"] for one in _DUTY.finditer(claim)}
    if not duties:
        return quote

    def forbidden(match: re.Match[str]) -> str:
        modal = duties.get(stem(match["verb"].casefold()))
        return match.group() if modal is None else f"{match['before']}you {modal} not {match['verb']}"

    quote = _FORBIDS.sub(forbidden, quote)
    order = _COMMAND.match(quote)
    modal = None if order is None else duties.get(stem(order["verb"].casefold()))
    if order is None or modal is None:
        return quote
    deny = (order["deny"] or "").casefold()
    denied = "never " if deny.startswith("never") else "not " if deny else ""
    return f"{order['lead']}you {modal} {denied}{quote[order.start('verb') :]}"


def _without_designations(claim: str, quote: str, header: str) -> str:
    """The claim without "Model E3" or "Section 7" where that is its page's own, and the quote speaks of no other."""
    own = {one.group() for one in _DESIGNATION.finditer(header)}
    if not own or _DESIGNATION.search(quote):
        return claim
    return _DESIGNATION.sub(lambda one: "" if one.group() in own else one.group(), claim)


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
        comparable: one of them alone was turned, and whole: their order may be judged by these alone.
        done: of the quote, who did what (a participle), for each passive that was turned.
    """

    claim: list[str]
    quote: list[str]
    comparable: bool
    done: list[tuple[list[str], str]]


def in_one_voice(claim: Sequence[str], quote: Sequence[str]) -> OneVoice | None:
    """Both in the active voice; None where neither has a passive whose agent it names.

    Args:
        claim, quote: tokens in their own case.
    """
    (turned, _), (turned_there, done) = _in_active_voice(claim), _in_active_voice(quote)
    changed, changed_there = turned != list(claim), turned_there != list(quote)
    if not (changed or changed_there):
        return None
    rest = turned if changed else turned_there
    return OneVoice(turned, turned_there, changed != changed_there and "by" not in rest, done)


def in_active_voice(words: Sequence[str]) -> list[str]:
    """The words with each passive whose agent is named turned: who did it, the verb, what it was done to."""
    return _in_active_voice(words)[0]


def _in_active_voice(words: Sequence[str]) -> tuple[list[str], list[tuple[list[str], str]]]:
    found, done = list(words), list[tuple[list[str], str]]()
    for _ in range(_TURNS_MAX):
        turned = _turned(found, done)
        if turned is None:
            break
        found = turned
    return found, done


def _turned(words: list[str], done: list[tuple[list[str], str]]) -> list[str] | None:
    folded = [one.casefold() for one in words]
    for by, word in enumerate(folded):
        passive = _passive(folded, by) if word == "by" else None
        after = _agent_ends(folded, by) if passive else by
        if passive is None or after == by:
            continue
        start, verb, participle = passive
        subject, beside = words[start:verb], [one for one in words[verb:participle] if one.casefold() not in _BE]
        done.append((words[by + 1 : after], words[participle]))
        return [
            *words[:start],
            *words[by + 1 : after],
            *beside,
            words[participle],
            *subject,
            *words[participle + 1 : by],
            *_done_as_well(words[after:], subject, done),
        ]
    return None


def _done_as_well(rest: list[str], subject: list[str], done: list[tuple[list[str], str]]) -> list[str]:
    """What follows a passive, a second participle of the same subject turned: "... and killed by bats"."""
    folded = [one.casefold() for one in rest]
    if not folded or folded[0] not in _JOINTS:
        return rest
    participle = next((at for at in range(1, len(folded)) if not _is_beside_verb(folded[at])), len(folded))
    by = next((at for at in range(participle + 1, len(folded)) if folded[at] == "by"), None)
    if by is None or not _is_participle(folded[participle]) or _BEGINS_CLAUSE.intersection(folded[participle:by]):
        return rest
    after = _agent_ends(folded, by)
    if after == by:
        return rest
    beside = [one for one in rest[1:participle] if one.casefold() not in _BE]
    done.append((rest[by + 1 : after], rest[participle]))
    again = _done_as_well(rest[after:], subject, done)
    return [rest[0], *rest[by + 1 : after], *beside, rest[participle], *subject, *rest[participle + 1 : by], *again]


def _passive(words: list[str], by: int) -> tuple[int, int, int] | None:
    """Where the subject, the verb's first word and its participle stand of the passive that this "by" belongs to."""
    be = next((at for at in range(by - 1, max(by - _VERB_WORDS_MAX, 0), -1) if words[at] in _BE), None)
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
    timed = words[at] in _WITH_TIME and (following[0].isdigit() or following in _MONTHS)
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
