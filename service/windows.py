"""The parts of a passage that a claim is compared with: runs of whole sentences, as much as a small model reads."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from service.sentences import Unit, units
from store.analyzer import Analyzer

WINDOW_CHARS = 480
"""Code points of a window at most, but for a single longer sentence: about 100 tokens of English."""


def windows(text: str, *, chars_max: int = WINDOW_CHARS) -> list[tuple[int, int]]:
    """Spans of `text`: from each sentence on, as many whole ones as fit; none that lies within another."""
    found: list[tuple[int, int]] = []
    sentences = units(text)
    for at, first in enumerate(sentences):
        end = _end(sentences, at, first.start + chars_max)
        if not found or end > found[-1][1]:
            found.append((first.start, end))
    return found


def _end(sentences: Sequence[Unit], at: int, limit: int) -> int:
    end = sentences[at].end
    for following in sentences[at + 1 :]:
        if following.end > limit:
            break
        end = following.end
    return end


def runs(text: str, *, chars_max: int = WINDOW_CHARS) -> list[tuple[int, int]]:
    """Spans of `text` one after the other, each of as many whole sentences as fit: together all of it."""
    found: list[tuple[int, int]] = []
    for sentence in units(text):
        if found and sentence.end - found[-1][0] <= chars_max:
            found[-1] = (found[-1][0], sentence.end)
        else:
            found.append((sentence.start, sentence.end))
    return found


def merged(spans: Collection[tuple[int, int]]) -> list[tuple[int, int]]:
    """The spans in the text's order, those that overlap as one."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if found and start < found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def likeliest(
    wanted: Collection[str], text: str, analyzer: Analyzer, count: int, *, chars_max: int = WINDOW_CHARS
) -> list[tuple[int, int]]:
    """The `count` windows that hold most of the wanted terms, best first; of equal ones the earlier."""
    sought = frozenset(wanted)
    held = [
        (-len(sought.intersection(analyzer.terms(text[start:end]))), start, end)
        for start, end in windows(text, chars_max=chars_max)
    ]
    return [(start, end) for _, start, end in sorted(held)[:count]]
