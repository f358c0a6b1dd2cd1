"""Citation markers as models write them, brought to the one form that is asked for: `[1]`, one number each.

Models that were taught other forms write `[1, 2]`, `[^1]`, `[Source 1]`, `(passage 1)` or `【1†source】` all the
same. Read as they stand, their numbers would be taken for part of the sentence, and true sentences withheld.
"""

from __future__ import annotations

import re

_OPENING = "[［【("  # noqa: RUF001
_CLOSING = {"[": "]", "［": "]］", "【": "】", "(": ")"}  # noqa: RUF001
_CHARS_MAX = 48
_RANGE_MAX = 5
_KIND = r"(?:sources?|passages?|documents?|docs?|refs?|references?|citations?)\s*#?\s*"
_NUMBERS = r"\d{1,3}(?:\s*(?:,|;|&|and|-|\u2013)\s*(?:source |passage )?\d{1,3})*"
_BRACKETED = re.compile(rf"[\[［【]\[?\^?(?:{_KIND})?(?P<numbers>{_NUMBERS})\]?[\]］】]", re.IGNORECASE)  # noqa: RUF001
_IN_ROUND = re.compile(rf"\({_KIND}(?P<numbers>{_NUMBERS})\)", re.IGNORECASE)
_DAGGERED = re.compile(r"【(?P<numbers>\d{1,3})(?::\d{1,3})?†[^【】]*】")
_PART = re.compile(r"(\d{1,3})(?:\s*[-\u2013]\s*(\d{1,3}))?")


class MarkerForms:
    """Rewrites the markers of arriving text; how it arrived makes no difference. Code is left as it is.

    Args:
        sources: how many there are. A bracket with another number is no marker, and stays.
    """

    def __init__(self, sources: int) -> None:
        self._sources = sources
        self._held = ""
        self._in_code = False
        self._fenced = False
        self._line = ""

    def feed(self, text: str) -> str:
        """What is known of the text so far, its markers in one form."""
        return "".join(self._next(character) for character in text)

    def rest(self) -> str:
        """What was held back, when no more will come."""
        held, self._held = self._held, ""
        return held

    def _next(self, character: str) -> str:
        self._follow(character)
        if not self._held:
            if character in _OPENING and not self._in_code and not self._fenced:
                self._held = character
                return ""
            return character
        self._held += character
        if character in _CLOSING[self._held[0]]:
            if self._held.startswith("[[") and self._held.count("]") < 2:
                return ""
            return self._written(self.rest())
        opens_again = character in _OPENING and self._held != "[["
        if opens_again or character == "\n" or len(self._held) > _CHARS_MAX:
            held = self.rest()
            if not opens_again:
                return held
            self._held = character
            return held[:-1]
        return ""

    def _follow(self, character: str) -> None:
        """Whether what comes is code: between fences, or between backticks on one line."""
        if character == "\n":
            if self._line.lstrip().startswith(("```", "~~~")):
                self._fenced = not self._fenced
            self._line, self._in_code = "", False
            return
        self._line += character if len(self._line) < _CHARS_MAX else ""
        if character == "`":
            self._in_code = not self._in_code

    def _written(self, bracket: str) -> str:
        match = _BRACKETED.fullmatch(bracket) or _IN_ROUND.fullmatch(bracket) or _DAGGERED.fullmatch(bracket)
        if match is None:
            return bracket
        numbers: list[int] = []
        for first, last in _PART.findall(match["numbers"]):
            low, high = int(first), int(last or first)
            numbers += range(low, high + 1) if low <= high < low + _RANGE_MAX else [low, high]
        if not all(1 <= number <= self._sources for number in numbers):
            return bracket
        return "".join(f"[{number}]" for number in dict.fromkeys(numbers))
