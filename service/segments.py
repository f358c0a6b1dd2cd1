"""Segments: results of one document that lie beside each other merged, and each grown by what stands around it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.contract import Result, Segment
from store.language import UNSPACED

_WORD = re.compile(rf"[{UNSPACED}]{{1,2}}|[^\s{UNSPACED}]+")
"""A run without white space; in scripts that have none between words, two characters."""

_WORD_CHARS_MAX = 40
"""Words are looked for within so many characters each: a text without white space grows by no more."""


@dataclass(slots=True, eq=False)
class _Open:
    """A segment while it takes results in, whose places among the results are `members`: the best one keeps it."""

    start: int
    end: int
    members: list[int]

    @property
    def best(self) -> int:
        """The place of its best result."""
        return min(self.members)


def with_segments(results: Sequence[Result], texts: Mapping[str, str], words: int) -> list[Result]:
    """The results, best first, each with its segment; one that lies in or beside a better one's segment is merged into
    it. No text is in two segments.

    Args:
        texts: canonical texts by document id; results of documents that are not in it stay as they are.
        words: each segment grows to at least so many words where its document has them, evenly to both sides; 0 only
            merges neighbours.
    """
    segments: dict[str, list[_Open]] = {}
    for at, result in enumerate(results):
        text = texts.get(result.document.id)
        if text is None:
            continue
        start, end = grown(text, result.passage.start, result.passage.end, words)
        known = segments.setdefault(result.document.id, [])
        merged = _Open(start, end, [at])
        for one in [one for one in known if _touch(text, one, start, end)]:
            merged.start, merged.end = min(merged.start, one.start), max(merged.end, one.end)
            merged.members += one.members
            known.remove(one)
        known.append(merged)
    kept = {one.best: _segment(texts, results, one) for known in segments.values() for one in known}
    left = [(at, result) for at, result in enumerate(results) if at in kept or result.document.id not in texts]
    return [
        result.model_copy(update={"rank": rank, "segment": kept.get(at)}) for rank, (at, result) in enumerate(left, 1)
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


def _segment(texts: Mapping[str, str], results: Sequence[Result], one: _Open) -> Segment:
    text = texts[results[one.best].document.id][one.start : one.end]
    members = [results[at].passage.id for at in sorted(one.members)]
    return Segment(text=text, start=one.start, end=one.end, passage_ids=members)
