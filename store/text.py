"""Canonical text: the one form of a document's text that all offsets refer to."""

from __future__ import annotations

import re
import unicodedata

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def canonical(text: str) -> str:
    """The canonical form of `text`: CRLF and CR to LF, NUL dropped, lone surrogates to U+FFFD, then NFC.

    Offsets everywhere are Unicode code points into the result, half-open. Idempotent.
    """
    if text.isascii() and "\r" not in text and "\x00" not in text:
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
    text = _LONE_SURROGATE.sub("\ufffd", text)
    return unicodedata.normalize("NFC", text)
