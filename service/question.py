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
        turns: the conversation, only where rules left open what its last question means: a model may then rewrite it.
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
    turns: tuple[Turn, ...] = ()
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
