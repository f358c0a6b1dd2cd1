"""A conversation's last question made to stand for itself, by rules; and whether these left something open.

A question leans on what came before where a word in it stands for something said there ("it", "diese", "它"), where it
begins as a continuation or a correction ("and ...", "I mean ..."), or where it has next to no words of its own; not
where it has many. It is then given its topic, behind it: the words of the asker's turn before, and of one further back
where that leans too. What an assistant said gives names alone, and only where the asker named nobody or had asked who:
whoever asks may put anything into its mouth. In languages without a list only a question of next to no words leans.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from service.leaning_words import (
    ASKING_WHAT_IT_IS,
    ASKING_WHO,
    BEGINNING,
    EXPLETIVE,
    MAY_STAND_IN,
    PEOPLE,
    SAID_AROUND,
    STANDING_IN,
    UNSPACED_GOING_ON,
    UNSPACED_STANDING_IN,
)
from service.question import Turn
from store.detection import likeliest
from store.language import UNSPACED
from store.stop_words import question_words, stop_words

TOPIC_CHARS_MAX = 300
"""What is taken from earlier turns at most."""

_TURN_CHARS_MAX = 2_000  # of each earlier turn that are looked at
_SAMPLE_CHARS = 300  # of each turn, to tell the language by
_TURNS_MAX = 20
_LEANING_CHARS_MAX = 400  # what is longer stands for itself

_NAMES_MAX = 3
_OWN_WORDS_MIN = 2  # with fewer a question says nothing without what came before
_OWN_WORDS_ENOUGH = 6  # with as many it mostly says itself what its pronouns stand for
_FEW_WORDS = 3  # with so few it may be about what came before, though nothing in it has to be
_UNSPACED_OWN_MIN = 4  # signs: two words

_MARKER = re.compile(r"\s*\[\d{1,3}\]")
_WORD = re.compile(r"[^\W_](?:[\w.+#-]*\w|[+#]+)?(?:['\u2019]\w+)?")
_SENTENCE_END = re.compile(r"[.!?:\u2026\n]\s*[\"'(\[\u201c]*$")
_IS_UNSPACED = re.compile(f"[{UNSPACED}]")


@dataclass(frozen=True, slots=True)
class Condensed:
    """What is looked up and answered.

    Args:
        text: a question that stands for itself as far as rules can make it.
        left_open: it leans, or may lean, on something that rules did not find.
    """

    text: str
    left_open: bool = False


def condense(turns: Sequence[Turn]) -> Condensed:
    """The last user turn, with its topic where it leans on what came before. Empty without a user turn."""
    asked = [" ".join(one.content[:_TURN_CHARS_MAX].split()) for one in turns if one.role == "user"]
    asked = [one for one in asked if one][-_TURNS_MAX:]
    if not asked:
        return Condensed("")
    last, before = _asked_last(turns), asked[:-1]
    if not before or len(last) > _LEANING_CHARS_MAX:
        return Condensed(last)
    sample = " ".join(one.content[:_SAMPLE_CHARS] for one in turns[-4:])
    language = likeliest(sample, list(stop_words()))
    if not leans(last, language):
        return Condensed(last, left_open=language == "english" and _may_lean(last))
    return _with_topic(last, before, turns, language)


def _asked_last(turns: Sequence[Turn]) -> str:
    """The last user turn that says something."""
    return next(one.content.strip() for one in reversed(turns) if one.role == "user" and one.content.strip())


def leans(text: str, language: str) -> bool:
    """Whether a question needs what came before to be understood."""
    own = own_words(text, language)
    if len(own) >= _OWN_WORDS_ENOUGH:
        return False
    if _IS_UNSPACED.search(text):
        few = len(_IS_UNSPACED.findall(text)) < _UNSPACED_OWN_MIN
        return few or bool(UNSPACED_STANDING_IN.search(text) or UNSPACED_GOING_ON.search(text))
    begins = BEGINNING.get(language)
    if begins is not None and begins.match(text):
        return True
    words = _WORD.findall(EXPLETIVE.sub(" ", text) if language == "english" else text)
    standing_in = STANDING_IN.get(language, frozenset())
    if any(word.casefold() in standing_in for word in words):
        return True
    return not own or (len(own) < _OWN_WORDS_MIN and not ASKING_WHAT_IT_IS.match(text))


def _may_lean(text: str) -> bool:
    """Whether a short question without a name speaks of "the" this or that "one", which may have been said before."""
    return MAY_STAND_IN.search(text) is not None and not names(text) and len(own_words(text, "english")) <= _FEW_WORDS


def own_words(text: str, language: str) -> list[str]:
    """The words that say what a text is about, in order."""
    if _IS_UNSPACED.search(text):
        return text.split()
    unsaid = _unsaid(language)
    return list(
        dict.fromkeys(word for word in _WORD.findall(text) if word.casefold().replace("\u2019", "'") not in unsaid)
    )


def _unsaid(language: str) -> frozenset[str]:
    listed = stop_words().get(language, frozenset()) | question_words().get(language, frozenset())
    listed |= STANDING_IN.get(language, frozenset())
    return listed | SAID_AROUND if language == "english" else listed


def names(text: str) -> list[str]:
    """Names in a text: words in capitals that no sentence begins with, joined where they follow each other."""
    found: list[str] = []
    end = -1
    for match in _WORD.finditer(text):
        word = match[0]
        capital = word[0].isupper() or any(one.isupper() for one in word[1:])
        first = match.start() == 0 or _SENTENCE_END.search(text[max(match.start() - 8, 0) : match.start()]) is not None
        if not capital or (first and not any(one.isupper() for one in word[1:])):
            continue
        if found and text[end : match.start()] == " ":
            found[-1] += f" {word}"
        else:
            found.append(word)
        end = match.end()
    return list(dict.fromkeys(one for one in found if len(one) > 1))


def _with_topic(last: str, before: Sequence[str], turns: Sequence[Turn], language: str) -> Condensed:
    """The turn before gives its words; where it leans itself, the last one that does not gives its names, or its words
    where the turn before has next to none.
    """
    known = {word.casefold() for word in own_words(last, language)}
    topic = own_words(before[-1], language)
    far = leans(before[-1], language)
    if far:
        stands = next((one for one in reversed(before[:-1]) if not leans(one, language)), "")
        topic = [*((len(topic) >= _OWN_WORDS_MIN and names(stands)) or own_words(stands, language)), *topic]
    words = _new(topic, known)
    left_open = far or not words
    if _of_people(last, language):
        named = any(names(one) for one in before)
        known.update(one.casefold() for one in words if named)
        told = _new(names(_said_last(turns)), known)[:_NAMES_MAX]
        if not named or (told and _asks_who(before[-1], language)):
            words, left_open = [*told, *words], len(told) != 1
    return Condensed(_joined(last, words), left_open=left_open)


def _said_last(turns: Sequence[Turn]) -> str:
    """The assistant's last turn, without our markers, which would be looked up as numbers."""
    said = next((one.content for one in reversed(turns) if one.role == "assistant"), "")
    return _MARKER.sub("", said[:_TURN_CHARS_MAX])


def _asks_who(text: str, language: str) -> bool:
    asking = ASKING_WHO.get(language)
    return asking is not None and asking.match(text) is not None


def _of_people(text: str, language: str) -> bool:
    return any(word.casefold() in PEOPLE.get(language, ()) for word in _WORD.findall(text))


def _new(words: Iterable[str], known: set[str]) -> list[str]:
    return [word for word in dict.fromkeys(words) if word.casefold() not in known]


def _joined(last: str, topic: Sequence[str]) -> str:
    """The topic stands behind the question, so that it is plain which one is asked."""
    text = " ".join(topic)
    if len(text) > TOPIC_CHARS_MAX:
        text = text[:TOPIC_CHARS_MAX].rsplit(" ", 1)[0]
    return f"{last} ({text.strip()})" if text.strip() else last
