"""Signs that are no words and still say something: of numbers, between operands, options of commands, pictures."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

_SIGNED = re.compile(r"(?<![^\s(\[\"'\u201c=<>,:])(?P<sign>[-\u2212+\u00b1])[$€£¥]?(?P<number>\d+(?:[.,]\d+)*)")
_UNSIGNED = re.compile(r"(?<![A-Za-z0-9_.,\u2212+\u00b1-])[$€£¥]?(\d+(?:[.,]\d+)*)")
_MINUS = re.compile(r"(?:\b(?:minus|negative|moins|menos)\s|零下|マイナス)\s?(?=[$€£¥]?\d)", re.IGNORECASE)
_SAID_IN_WORDS = re.compile(r"\b(?:minus|negative|below|under|loss|deficit|BCE?)\b", re.IGNORECASE)
_TAG = re.compile(r"</?[A-Za-z!][^<>]*>")
_QUOTE_BLOCK = re.compile(r"^\s*>+ ?", re.MULTILINE)
_OPERATOR = re.compile(r"<=|>=|!=|==|=>|->|<>|&&|\|\||~~|[<>=\u2260\u2264\u2265\u2248\u00d7\u00f7\u00ac\u2192]")
_BETWEEN = re.compile(
    r"(?<![\w.)\]])(?P<left>[\w.)\]]+)(?P<gap>\s*)"
    r"(?P<operator><=|>=|!=|==|=>|->|<>|&&|\|\||[-+*/%^=<>&|\u2260\u2264\u2265\u00d7\u00f7])"
    r"\s*(?=(?P<right>[\w.(\[]+))"
)
_ONE_FORM = str.maketrans(
    {"\u2212": "-", "\u2013": "-", "\u2264": "<=", "\u2265": ">=", "\u2260": "!=", "\u2192": "->"}
)
_OPTION = re.compile(r"(?<![\w-])--?[A-Za-z][\w-]*")
_RATIO = re.compile(r"(?<![\w.:])\d+:\d+(?::\d+)*(?![\w:])")
_NO_PICTURES = frozenset("°©®™№℃℉§¶")


def differ(claim: str, quote: str) -> bool:
    """Whether a claim has a sign of a number, an operator, an option, a ratio or a picture that its quote has not, or
    another one between the same things.
    """
    claim, quote = (_MINUS.sub(" -", _QUOTE_BLOCK.sub("", _TAG.sub(" ", one))) for one in (claim, quote))
    if _signs_differ(claim, quote) or _pictures(claim) - _pictures(quote):
        return True
    plain, other = claim.translate(_ONE_FORM), quote.translate(_ONE_FORM)
    if any(set(form.findall(plain)).difference(form.findall(other)) for form in (_OPERATOR, _OPTION, _RATIO)):
        return True
    said = _between(plain)
    shown = _between(other) if said else {}
    return any(not operators & shown[pair] for pair, operators in said.items() if pair in shown)


def _signs_differ(claim: str, quote: str) -> bool:
    said, shown = _signs(claim), _signs(quote)
    if any(signs - shown.get(number, set()) for number, signs in said.items()):
        return True
    signed = {number for number, signs in shown.items() if signs - {"+"}} - said.keys()
    if signed.difference(_UNSIGNED.findall(quote)).isdisjoint(_UNSIGNED.findall(claim)):
        return False
    told, there = (Counter(map(str.casefold, _SAID_IN_WORDS.findall(text))) for text in (claim, quote))
    return not told - there


def _signs(text: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for match in _SIGNED.finditer(text):
        found.setdefault(match["number"], set()).add(match["sign"].replace("\u2212", "-"))
    return found


def _between(text: str) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for match in _BETWEEN.finditer(text):
        pair = (match["left"].casefold(), match["right"].casefold())
        found.setdefault(pair, set()).add(match["operator"])
    return found


def _pictures(text: str) -> set[str]:
    if text.isascii():
        return set()
    return {one for one in text if not one.isascii() and unicodedata.category(one) == "So"} - _NO_PICTURES
