"""Sentences: where they begin and end, in finished text and in text that is still arriving.

Lines come first (a list item, a table row, a heading or a line of code is a unit of its own), then sentencex within
prose. Citation markers such as `[1]` belong to the sentence before them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import sentencex

UnitKind = Literal["prose", "item", "row", "heading", "code"]

_MARKER = re.compile(r"[ \t]*\[\d{1,3}\]")
_ITEM = re.compile(r"^\s{0,8}(?:[-*+•]|\d{1,3}[.)])\s+")
_FENCE = re.compile(r"^\s{0,3}(?:```|~~~)")
_TERMINATOR = re.compile(r"[.!?…。！？]")  # noqa: RUF001
_REFERS_BACK = re.compile(
    r"(?:-\s*)?(?:It|They|He|She|This|These|Those|That|Its|Their|His|Her|Such|Both|Each|Neither|There|Here|Then)\b"
)
_HOLD_CHARS = 2  # of the next sentence that must be seen before the one before it is final


@dataclass(frozen=True, slots=True)
class Unit:
    """A sentence, or a line that stands for itself: text[start:end] without surrounding white space."""

    start: int
    end: int
    kind: UnitKind


def units(text: str, *, language: str = "en") -> list[Unit]:
    """The sentences and self-standing lines of `text`, in order."""
    found: list[Unit] = []
    prose_from: int | None = None
    at = 0
    fenced = False
    for line in text.splitlines(keepends=True):
        kind = "code" if fenced or _FENCE.match(line) else _line_kind(line)
        if _FENCE.match(line):
            fenced = not fenced
        if kind == "prose":
            prose_from = at if prose_from is None else prose_from
        else:
            if prose_from is not None:
                found.extend(_prose(text, prose_from, at, language))
                prose_from = None
            if kind is not None:
                found.extend(_trimmed(text, at, at + len(line), kind))
        at += len(line)
    if prose_from is not None:
        found.extend(_prose(text, prose_from, at, language))
    return found


def refers_back(text: str, start: int = 0) -> bool:
    """Whether the sentence at `start` begins with a word that speaks of what the one before it said."""
    return _REFERS_BACK.match(text, start) is not None


def _line_kind(line: str) -> UnitKind | None:
    if not line.strip():
        return None
    if _ITEM.match(line):
        return "item"
    if line.startswith(("    ", "\t")):
        return "code"
    if line.lstrip().startswith("#"):
        return "heading"
    if " | " in line:
        return "row"
    return "prose"


def _prose(text: str, start: int, end: int, language: str) -> Iterator[Unit]:
    for left, right in _boundaries(text[start:end], language):
        yield from _trimmed(text, start + left, start + right, "prose")


def _trimmed(text: str, start: int, end: int, kind: UnitKind) -> Iterator[Unit]:
    piece = text[start:end]
    left, right = start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())
    if left < right:
        yield Unit(left, right, kind)


def _boundaries(prose: str, language: str) -> list[tuple[int, int]]:
    """Sentence spans that cover `prose`, markers left with the sentence they follow."""
    masked = _MARKER.sub(lambda match: " " * len(match.group()), prose).replace("\n", " ")
    spans: list[tuple[int, int]] = []
    for found in sentencex.get_sentence_boundaries(language, masked):
        start, end = found["start_index"], found["end_index"]
        if not masked[start:end].strip() and spans:  # only markers or space: they close the sentence before
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return spans


class SentenceStream:
    """Cuts arriving text into finished pieces: a sentence with its markers and the white space after it, a line that
    stands for itself, or a whole fenced code block. Pieces joined are the text; how it arrived makes no difference.
    """

    def __init__(self, *, language: str = "en") -> None:
        self._language = language
        self._buffer = ""

    def feed(self, text: str) -> Iterator[str]:
        """Take more text; yields the pieces that are now final."""
        for character in text:
            self._buffer += character
            piece = self._ready()
            while piece:
                self._buffer = self._buffer[len(piece) :]
                yield piece
                piece = self._ready()

    def finish(self) -> Iterator[str]:
        """The rest, when no more will come."""
        rest, self._buffer = self._buffer, ""
        if not rest:
            return
        if _FENCE.match(rest.lstrip("\n")):
            yield rest
            return
        spans = _boundaries(rest, self._language) or [(0, len(rest))]
        for number, (start, end) in enumerate(spans):
            last = number == len(spans) - 1
            yield rest[0 if number == 0 else start : len(rest) if last else end]

    def _ready(self) -> str:
        buffer = self._buffer
        if _FENCE.match(buffer):
            closing = re.search(r"\n\s{0,3}(?:```|~~~)[^\n]*\n", buffer)
            return buffer[: closing.end()] if closing else ""
        line_end = buffer.find("\n")
        if line_end >= 0:
            # A line is final with the first character of the next, so that the blank lines after it stay with it.
            after = len(buffer) - len(buffer[line_end:].lstrip("\n"))
            if after < len(buffer):
                return self._first_sentence(buffer[:after]) or buffer[:after]
            return ""
        return self._first_sentence(buffer)

    def _first_sentence(self, text: str) -> str:
        if not _TERMINATOR.search(text):
            return ""
        spans = _boundaries(text, self._language)
        if len(spans) < 2:
            return ""
        rest = text[spans[0][1] :]
        if len(rest.strip()) < _HOLD_CHARS or rest.lstrip().startswith("["):
            return ""
        return text[: spans[0][1]]
