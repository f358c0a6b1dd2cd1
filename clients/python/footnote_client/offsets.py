"""Offsets are Unicode code points, as in Python's strings. JavaScript, Java, C# and editors' protocols count UTF-16."""

from __future__ import annotations

from bisect import bisect_left


class Utf16:
    """Offsets into one text, both ways. Made once, each question takes logarithmic time.

    Args:
        text: what the offsets point into: an answer, or a document's text.
    """

    def __init__(self, text: str) -> None:
        self._length = len(text)
        self._wide = [at for at, one in enumerate(text) if ord(one) > 0xFFFF]

    def offset(self, code_points: int) -> int:
        """The offset in UTF-16 code units. Raises ValueError outside the text."""
        if not 0 <= code_points <= self._length:
            raise ValueError(f"{code_points} is outside of a text of {self._length} code points")
        return code_points + bisect_left(self._wide, code_points)

    def code_points(self, offset: int) -> int:
        """The offset in code points. Raises ValueError outside the text, and inside of a character."""
        wide = bisect_left(self._wide, offset, key=self.offset)
        found = offset - wide
        if wide and self.offset(self._wide[wide - 1]) + 1 == offset:
            raise ValueError(f"{offset} is inside of a character of two UTF-16 code units")
        if not 0 <= found <= self._length:
            raise ValueError(f"{offset} is outside of a text of {self._length + len(self._wide)} UTF-16 code units")
        return found
