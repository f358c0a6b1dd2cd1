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
_ITEM_NUMBER = re.compile(r"^[ \t]{0,8}\d{1,3}[.)](?=[ \t])", re.MULTILINE)
_FENCE = re.compile(r"^\s{0,3}(?:```|~~~)")
_TERMINATOR = re.compile(r"[.!?…。！？]")  # noqa: RUF001
_REFERS_BACK = re.compile(
    r"(?:-\s*)?(?:It|They|He|She|This|These|Those|That|Its|Their|His|Her|Such|Both|Each|Neither|There|Here|Then)\b"
)
_PRONOUN_FIRST = re.compile(
    r"(?:[-*+•]\s+)?(?:It|They|He|She|Its|Their|His|Her)\b(?! (?:is|was) (?:\w+ )?(?:that|to)\b)"
)
_MAYBE_MARKER = re.compile(r"\[\d{0,3}$|\[\d{1,3}\]")
_ENDED = re.compile(r"(?:[.!?…。！？][\"')\u201d]*\s*(?:\[\d{1,3}\])+|(?:\[\d{1,3}\])+[.!?…。！？])\s*\Z")  # noqa: RUF001
_FENCE_CLOSES = re.compile(r"\n\s{0,3}(?:```|~~~)[^\n]*\n")
_ABBREVIATED = re.compile(r"(?:^|[\s(])(?:approx|incl|excl|resp|vs|cf|ca)\.\s*$", re.IGNORECASE)
_ABBREVIATED_BEFORE_FIGURES = re.compile(
    r"(?:^|[\s(])(?:no|nos|nr|fig|figs|eq|vol|pp?|art|max|min|est|sect?|ch|app|v)\.\s*$", re.IGNORECASE
)
_INITIAL_OF_A_NAME = re.compile(r"(?:^|[\s(])(?:M|MM|Mme|Mlle|Dr|Pr)\.\s*$")
_ORDINAL = re.compile(  # "am 12. Oktober", "im 19. Jahrhundert"
    r"(?:^|\s)(?:am|im|vom|bis|zum|zur|des|der|dem|den|die|das|beim|seit|ab|ein|eine|einem|einen|und|oder|jeden) "
    r"\d{1,2}\.\s*$",
    re.IGNORECASE,
)
_ABBREVIATION_CHARS = 24  # before a full stop that are looked at: an article and a number, or an abbreviation
_ORDINALS_IN = frozenset(["de", "lb"])
_HOLD_CHARS = 2  # of the next sentence that must be seen before the one before it is final
_SETTLED_CHARS = 6  # of the next sentence, by which it is known whether it is one
_CLOSERS = " \t\"')\u201d\u2019]}*_"
_LOOKS_MAX = 64  # at a growing text for an end of its first sentence, before looks become rarer

PIECE_CHARS_MAX = 4_000
"""A sentence or code block that has no end by then is cut into pieces that nobody can check; a passage has less."""


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


def stands_for_another(sentence: str) -> bool:
    """Whether the sentence begins with a pronoun for somebody or something that the one before it names."""
    return _PRONOUN_FIRST.match(sentence) is not None


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
    """Sentence spans that cover `prose`, markers left with the sentence they follow, the number of an item with it."""
    masked = _ITEM_NUMBER.sub(_blank, _MARKER.sub(_blank, prose)).replace("\n", " ")
    spans: list[tuple[int, int]] = []
    for found in sentencex.get_sentence_boundaries(language, masked):
        start, end = found["start_index"], found["end_index"]
        piece = masked[start:end].strip()  # only markers or space: they close the sentence before
        if spans and (
            not piece or _goes_on(masked[max(spans[-1][0], start - _ABBREVIATION_CHARS) : start], piece, language)
        ):
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return spans


def _blank(match: re.Match[str]) -> str:
    return " " * len(match.group())


def _goes_on(before: str, following: str, language: str) -> bool:
    """Whether a full stop that sentencex takes for an end is one of an abbreviation or an ordinal number."""
    if language != "en" and following[0].islower():  # English manuals begin sentences with names of programs
        return True
    if following[0].isdigit() and _ABBREVIATED_BEFORE_FIGURES.search(before):
        return True
    if language == "fr" and _INITIAL_OF_A_NAME.search(before):
        return True
    return bool(_ABBREVIATED.search(before) or (language in _ORDINALS_IN and _ORDINAL.search(before)))


class Whole(str):
    """A sentence or line with its markers, of somebody who knows it to be whole: it is not cut again."""

    __slots__ = ()


class Overlong(str):
    """A piece of a sentence that is longer than PIECE_CHARS_MAX. What it says may depend on its other pieces."""

    __slots__ = ()


class SentenceStream:
    """Cuts arriving text into finished pieces: a sentence with its markers and the white space after it, a line that
    stands for itself, or a whole fenced code block. Pieces joined are the text; how it arrived makes no difference.

    Memory and the time for a character are bounded: what has no end is cut into pieces that are `Overlong`.
    """

    def __init__(self, *, language: str = "en") -> None:
        self._language = language
        self._clear()

    def _clear(self) -> None:
        self._buffer = ""
        self._overlong = False
        self._fenced = False
        self._terminated = -1  # where the buffer's last terminator stands
        self._looks = 0
        self._look_from = 0

    def feed(self, text: str) -> Iterator[str]:
        """Take more text; yields the pieces that are now final."""
        for character in text:
            self._buffer += character
            if _TERMINATOR.match(character):
                self._terminated = len(self._buffer) - 1
            while piece := self._ready():
                yield self._taken(piece)
            if len(self._buffer) >= PIECE_CHARS_MAX:
                self._fenced = self._fenced or (not self._overlong and bool(_FENCE.match(self._buffer)))
                self._overlong = True
                line = self._buffer.rfind("\n", PIECE_CHARS_MAX // 2) if self._fenced else -1  # it may close the block
                yield Overlong(self._taken(self._buffer if line < 0 else self._buffer[:line], ends=False))

    def finish(self) -> Iterator[str]:
        """The rest, when no more will come."""
        rest, overlong = self._buffer, self._overlong
        self._clear()
        if not rest:
            return
        if overlong or _FENCE.match(rest.lstrip("\n")):
            yield Overlong(rest) if overlong else rest
            return
        spans = _boundaries(rest, self._language) or [(0, len(rest))]
        for number, (start, end) in enumerate(spans):
            last = number == len(spans) - 1
            yield rest[0 if number == 0 else start : len(rest) if last else end]

    def broken_off(self) -> Iterator[str]:
        """The rest, where the text broke off: sentences that have both their stop and their markers, which is how one
        ends. Half a sentence may say the opposite of the whole.
        """
        yield from (piece for piece in self.finish() if not isinstance(piece, Overlong) and _ENDED.search(piece))

    def _taken(self, piece: str, *, ends: bool = True) -> str:
        self._buffer = self._buffer[len(piece) :]
        self._terminated = max((match.start() for match in _TERMINATOR.finditer(self._buffer)), default=-1)
        self._looks = self._look_from = 0
        if not ends or not self._overlong:
            return piece
        self._overlong = self._fenced = False
        return Overlong(piece)

    def _ready(self) -> str:
        buffer = self._buffer
        if self._fenced or (not self._overlong and _FENCE.match(buffer)):
            line = buffer.rfind("\n", 0, len(buffer) - 1)
            closing = _FENCE_CLOSES.match(buffer, line) if line >= 0 and buffer.endswith("\n") else None
            return buffer[: closing.end()] if closing else ""
        line_end = buffer.find("\n")
        if line_end >= 0 and buffer.endswith("\n"):
            return ""
        if line_end >= 0:
            # A line is final with the first character of the next, so that the blank lines after it stay with it.
            after = len(buffer) - len(buffer[line_end:].lstrip("\n"))
            if after < len(buffer):
                return self._first_sentence(buffer[:after]) or buffer[:after]
            return ""
        if self._terminated < 0 or len(buffer) < self._look_from or not self._may_tell():
            return ""
        self._looks += 1
        if self._looks > _LOOKS_MAX:
            self._look_from = len(buffer) + len(buffer) // 8
        return self._first_sentence(buffer)

    def _may_tell(self) -> bool:
        """Whether just enough follows the last terminator to know if it ended a sentence."""
        following = self._buffer[self._terminated + 1 : self._terminated + 65]
        return _HOLD_CHARS <= len(_MARKER.sub("", following).strip(_CLOSERS)) <= _SETTLED_CHARS

    def _first_sentence(self, text: str) -> str:
        if not _TERMINATOR.search(text):
            return ""
        spans = _boundaries(text, self._language)
        if len(spans) < 2:
            return ""
        rest = text[spans[0][1] :]
        if len(rest.strip()) < _HOLD_CHARS or _MAYBE_MARKER.match(rest.lstrip()):
            return ""
        return text[: spans[0][1]]
