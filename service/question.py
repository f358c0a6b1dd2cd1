"""A question on its way through the service."""

from __future__ import annotations

from dataclasses import dataclass

from service.contract import GuardrailMode, Mode
from store.filters import Filter
from store.snapshot import Principals, Vector

ANYONE: Principals = frozenset()


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked, by whom, and how it is to be answered.

    Args:
        request_id: names the request everywhere.
        text: the question as it is retrieved for (of several turns, condensed to one).
        principals: who asks; every leg, document and source page applies it.
        mode: which legs to ask.
        top_k: passages wanted (1 to 1000).
        rerank: None for the index's default.
        filter: parsed metadata filter.
        vector: the question's vector where the caller brings it.
        guardrail: whether unsupported sentences are withheld or flagged.
        explain: whether search tells how each score came about.
        why: a document's id: search tells what became of it.
        segment_words: merge neighbouring results into segments of at least so many words; None: do not.
    """

    request_id: str
    text: str
    principals: Principals = ANYONE
    mode: Mode = "hybrid"
    top_k: int = 10
    rerank: bool | None = None
    filter: Filter | None = None
    vector: Vector | None = None
    guardrail: GuardrailMode = "verified"
    explain: bool = False
    why: str | None = None
    segment_words: int | None = None


_FOLLOW_UP_CHARS_MAX = 60


def condense(turns: list[Turn]) -> str:
    """A standalone question from a conversation, without a model: the last user turn; a short one, which likely leans
    on what came before, is preceded by the user turn before it.
    """
    asked = [turn.content.strip() for turn in turns if turn.role == "user" and turn.content.strip()]
    if not asked:
        return ""
    if len(asked) > 1 and len(asked[-1]) <= _FOLLOW_UP_CHARS_MAX:
        return f"{asked[-2]} {asked[-1]}"
    return asked[-1]
