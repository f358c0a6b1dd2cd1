"""A source as claims are compared with it: its sentences, the windows of one or two of them, and their terms.

The sentences of one answer are compared with the same few texts, so what is found of a text is remembered.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from service.contract import Result
from service.facts import plain
from service.sentences import Unit, refers_back, units
from service.wording import COMMON, in_one_form
from store.analyzer import Analyzer
from store.detection import iso_639

TEXTS_KEPT = 128
"""Looked at once for all sentences of some twenty answers at the same time."""
_STOP_WITHIN = re.compile(
    r"(?:(?<=[a-z0-9)]{4})|(?<=\s[a-z]{3}))\s?[.!?][\"')\]\u201d]*(?P<space>\s+)"
    r"(?=(?:\d{1,2}[.)]\s+)?[\"'(\[\u201c]?[A-Z])"
)
"""After a word too long for an abbreviation, and before a capital letter, or the number of a clause."""


@dataclass(frozen=True, slots=True)
class Source:
    """A source as a claim is compared with it: text, title and section path, the terms of all that was sent, and the
    claim's language (Snowball's name).
    """

    text: str
    header: str
    sent: frozenset[str]
    language: str

    @property
    def units(self) -> tuple[Unit, ...]:
        """Its sentences and lines that stand for themselves."""
        return units_of(self.text, self.language)


def as_sources(results: Sequence[Result], analyzer: Analyzer) -> list[Source]:
    """What was sent, as claims of the analyzer's language are compared with it."""
    sent = frozenset[str]().union(*(terms_of(one.passage.text, analyzer) for one in results))
    return [
        Source(one.passage.text, " ".join([one.document.title, *one.passage.section]), sent, analyzer.main)
        for one in results
    ]


@lru_cache(maxsize=TEXTS_KEPT)
def terms_of(text: str, analyzer: Analyzer) -> frozenset[str]:
    """The text's terms."""
    return frozenset(analyzer.terms(text))


@lru_cache(maxsize=TEXTS_KEPT)
def units_of(text: str, language: str) -> tuple[Unit, ...]:
    """The text's sentences: rows, items and brackets, which stay whole where they are shown, at their full stops."""
    found = units(text, language=iso_639(language))
    return tuple(itertools.chain.from_iterable(_parts(text, one) for one in found))


def _parts(text: str, whole: Unit) -> Iterator[Unit]:
    start = whole.start
    if whole.kind in ("prose", "row", "item"):
        for stop in _STOP_WITHIN.finditer(text, whole.start, whole.end):
            yield replace(whole, start=start, end=stop.start("space"))
            start = stop.end()
    yield replace(whole, start=start)


@lru_cache(maxsize=TEXTS_KEPT)
def compared_windows(text: str, analyzer: Analyzer) -> tuple[tuple[int, int, frozenset[str]], ...]:
    """The windows of a text: start, end and terms of each."""
    return tuple(
        (start, end, frozenset(analyzer.terms(plain(in_one_form(text[start:end])))))
        for start, end in _windows(text, analyzer.main)
    )


@lru_cache(maxsize=64)
def common(analyzer: Analyzer) -> frozenset[str]:
    """Terms that do not tell where a sentence has them from."""
    return frozenset(analyzer.terms(" ".join(COMMON)))


def _windows(text: str, language: str) -> list[tuple[int, int]]:
    """Each sentence, and two where the second speaks of what the first does: otherwise what one says of its subject
    would support the same of another's.
    """
    found = units_of(text, language)
    single = [(one.start, one.end) for one in found]
    double = [
        (one.start, other.end)
        for one, other in itertools.pairwise(found)
        if refers_back(text, other.start) or text[: one.end].endswith((":", "\uff1a"))
    ]
    return single + double
