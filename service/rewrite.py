"""A model's rewriting of a question: data, which counts only where it keeps to what was asked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from service.condense import names
from service.contract import Usage
from service.question import Turn
from store.text import canonical

REWRITING_CHARS_MAX = 400

_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_MARKER = re.compile(r"\s*\[\d{1,3}\]")
_UNPRINTED = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


@dataclass(frozen=True, slots=True)
class Rewriting:
    """What a model wrote, and what it took."""

    text: str
    usage: Usage


class Rewriter(Protocol):
    """Rewrites a conversation's last question so that it stands for itself."""

    async def rewrite(self, turns: Sequence[Turn]) -> Rewriting:
        """The question in other words. Raises GeneratorFailed. Cancelling it stops the work behind it."""
        ...


def admitted(written: str, asked: str, turns: Sequence[Turn]) -> str | None:
    """The rewriting where it may be asked instead: one printed line of at most REWRITING_CHARS_MAX, with every number
    and name of the question, and with none that the conversation does not have.
    """
    text = _MARKER.sub("", canonical(written)).strip().strip('"\u201c\u201d').strip()
    if not text or len(text) > REWRITING_CHARS_MAX or _UNPRINTED.search(text) or not re.search(r"\w", text):
        return None
    folded = text.casefold()
    if any(one.casefold() not in folded for one in names(asked)):
        return None
    if not set(_NUMBER.findall(asked)) <= set(_NUMBER.findall(text)):
        return None
    said = "\n".join(one.content for one in turns).casefold()
    words = {word for name in names(text) for word in name.casefold().split()}
    if any(word not in said for word in words) or not set(_NUMBER.findall(text)) <= set(_NUMBER.findall(said)):
        return None
    return text
