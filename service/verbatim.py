"""Where a text says something word for word. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

_WORD_OR_MARK = re.compile(r"\w+(?:[^\s\w]\w+)*|[^\s\w]")
_SIGNS = "-+\u2212\u00b1"


def find_ignoring_space(text: str, wanted: str) -> tuple[int, int] | None:
    """Where `wanted` stands in `text` word for word; None where it does not. Runs of white space are equal, and those
    beside a mark of punctuation are nothing, so that "was , as" is "was, as".

    Whole words only: "art" is not found in "party".
    """
    wanted = wanted.strip()
    first = _without_space(text).find(_without_space(wanted)) if wanted else -1
    if first < 0:
        return None
    at = text.find(wanted)
    if at >= 0 and len(_without_space(text[:at])) == first and _is_whole(text, at, at + len(wanted)):
        return at, at + len(wanted)
    pattern, end, was_word = "", 0, False
    for token in _WORD_OR_MARK.finditer(wanted):
        is_word = token.group()[-1].isalnum()
        if token.start():
            pattern += r"\s+" if was_word and is_word and token.start() > end else r"\s*"
        pattern += re.escape(token.group())
        end, was_word = token.end(), is_word
    for match in re.finditer(pattern, text):
        if _is_whole(text, *match.span()):
            return match.span()
    return None


def _is_whole(text: str, start: int, end: int) -> bool:
    return not _in_a_word(text, start) and not _in_a_word(text, end)


def _in_a_word(text: str, at: int) -> bool:
    """Whether a word goes on at a place, over a hyphen too: "toxic" is not what "non-toxic" says, nor 12 what -12."""
    before, after = text[max(at - 2, 0) : at], text[at : at + 2]
    if not before or not after:
        return False
    if (before[-1].isalnum() and after[0].isalnum()) or (before[-1] in _SIGNS and after[0].isdigit()):
        return True
    over_left = before[-1] == "-" and before[0].isalnum() and len(before) == 2 and after[0].isalpha()
    return over_left or (before[-1].isalpha() and after[0] == "-" and after[1:].isalpha())


@lru_cache(maxsize=256)
def _without_space(text: str) -> str:
    return "".join(text.split())


def whole_lines(text: str, code: str) -> tuple[int, int] | None:
    """Where code stands in `text` as whole lines, or between backticks; None where it does not."""
    found = re.search(rf"(?:(?<=`)|(?<![^\n])[ \t]*){re.escape(code.strip())}(?=`|[ \t]*(?:\n|\Z))", text)
    return None if found is None else (found.end() - len(code.strip()), found.end())
