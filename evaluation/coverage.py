"""Whether what is returned covers the answer, at equal length of context, for sets that mark answers in documents."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WORDS = (200, 1000, 4000)
"""Words of context: of one, five and twenty passages of 200 words."""

NAMES = tuple(f"answer@{words}w" for words in WORDS)
_WORD = re.compile(r"\S+")
_GAP_MAX = 4  # characters of white space between two passages of one document


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece of a document's canonical text; offsets in characters, end exclusive."""

    document_id: str
    start: int
    end: int


def coverage(results: Iterable[tuple[Stretch, str]], answers: Sequence[Stretch]) -> dict[str, float]:
    """For each length of context 1.0 where it covers one of the answers whole, else 0.0.

    The context is the results' texts in rank order, what was there before left out; the last one is cut at a word.
    """
    found = dict.fromkeys(NAMES, 0.0)
    context: dict[str, list[tuple[int, int]]] = {}
    used = 0
    lengths = iter(zip(WORDS, NAMES, strict=True))
    words, name = next(lengths)
    for stretch, text in results:
        ends = [stretch.start + match.end() for match in _WORD.finditer(text)]
        known = context.setdefault(stretch.document_id, [])
        ends = [end for end in ends if not any(start < end <= stop for start, stop in known)]
        while used + len(ends) > words:
            cut = ends[words - used - 1] if words > used else stretch.start
            part = {**context, stretch.document_id: [*known, (stretch.start, cut)]}
            found[name] = _covers(part, answers)
            following = next(lengths, None)
            if following is None:
                return found
            words, name = following
        known.append((stretch.start, stretch.end))
        used += len(ends)
    whole = _covers(context, answers)
    return {each: whole if each == name or WORDS[NAMES.index(each)] > words else found[each] for each in NAMES}


def _covers(context: dict[str, list[tuple[int, int]]], answers: Sequence[Stretch]) -> float:
    return float(any(_holds(context.get(one.document_id, []), one.start, one.end) for one in answers))


def _holds(pieces: Sequence[tuple[int, int]], start: int, end: int) -> bool:
    at = start
    for left, right in sorted(pieces):
        if left > at + (_GAP_MAX if at > start else 0):
            break
        at = max(at, right)
    return at >= end and any(left <= start for left, _ in pieces)
