"""Segments: results of one document that lie beside each other merged, and each grown by what stands around it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from service.contract import Result, Segment

_WORD = re.compile(r"\S+")
_WORD_CHARS_MAX = 40
"""Words are looked for within so many characters each: a text without white space grows by no more."""


@dataclass(slots=True, eq=False)
class _Open:
    """A segment while it takes results in; `at` is its place among the results."""

    at: int
    start: int
    end: int
    passages: list[str] = field(default_factory=list)


def with_segments(results: Sequence[Result], texts: Mapping[str, str], words: int) -> list[Result]:
    """The results, best first, each with its segment; one that lies in or beside a better one's segment is merged into
    it. No text is in two segments.

    Args:
        texts: canonical texts by document id; results of documents that are not in it stay as they are.
        words: each segment grows to at least so many words where its document has them, evenly to both sides; 0 only
            merges neighbours.
    """
    segments: dict[str, list[_Open]] = {}
    kept: list[tuple[Result, _Open | None]] = []
    for result in results:
        text = texts.get(result.document.id)
        if text is None:
            kept.append((result, None))
            continue
        start, end = grown(text, result.passage.start, result.passage.end, words)
        known = segments.setdefault(result.document.id, [])
        touching = [one for one in known if _touch(text, one, start, end)]
        if touching:
            first = min(touching, key=lambda one: one.at)
            for one in touching:
                first.start, first.end = min(first.start, one.start, start), max(first.end, one.end, end)
                if one is not first:
                    first.passages += one.passages
                    known.remove(one)
            first.passages.append(result.passage.id)
            kept = [pair for pair in kept if pair[1] is None or pair[1] is first or pair[1] not in touching]
        else:
            known.append(_Open(len(kept), start, end, [result.passage.id]))
            kept.append((result, known[-1]))
    return [
        result.model_copy(update={"rank": rank, "segment": None if one is None else _segment(texts, result, one)})
        for rank, (result, one) in enumerate(kept, 1)
    ]


def grown(text: str, start: int, end: int, words: int) -> tuple[int, int]:
    """The span text[start:end] grown by whole words to at least `words`, where there are so many."""
    missing = words - sum(1 for _ in _WORD.finditer(text, start, end))
    if missing <= 0:
        return start, end
    reach = missing * _WORD_CHARS_MAX
    before = [match.start() for match in _WORD.finditer(text, max(start - reach, 0), start)]
    after = [match.end() for match in _WORD.finditer(text, end, min(end + reach, len(text)))]
    if before and max(start - reach, 0) > 0 and before[0] == max(start - reach, 0):
        del before[0]  # perhaps half a word
    if after and end + reach < len(text) and after[-1] == end + reach:
        del after[-1]
    left = min(len(before), max(missing // 2, missing - len(after)))
    right = min(len(after), missing - left)
    return (before[-left] if left else start), (after[right - 1] if right else end)


def _touch(text: str, one: _Open, start: int, end: int) -> bool:
    """Whether a span overlaps a segment, or only white space lies between."""
    if start <= one.end and one.start <= end:
        return True
    left, right = (one.end, start) if one.end < start else (end, one.start)
    return not text[left:right].strip()


def _segment(texts: Mapping[str, str], result: Result, one: _Open) -> Segment:
    text = texts[result.document.id][one.start : one.end]
    return Segment(text=text, start=one.start, end=one.end, passage_ids=one.passages)
