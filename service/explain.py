"""How a ranking came about: each candidate's rank and score in every step, and why a document is not a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from service.engine import Engine
from service.question import Question
from store.filters import matches
from store.snapshot import LegQuery, LegScores, Vector

CANDIDATES_MAX = 50
"""Candidates that an explanation lists, best first."""


class CandidateScores(NamedTuple):
    """A candidate's score in each step that scored it."""

    dense: float | None
    lexical: float | None
    fused: float
    rerank: float | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """What retrieval saw, step by step.

    Args:
        depth: how many passages each leg was asked for.
        dense, lexical: what each leg found, best first; None where it was not asked or did not answer.
        vector: the question's, where it was embedded.
        fused: candidates in fused order.
        ranked: candidates in the order of the results, which is another one after reranking.
        scores: by id, of each candidate where an explanation was asked for, else of the results.
        final: the score that `ranked` is sorted by.
        top_k: how many of them became results.
    """

    depth: int
    dense: Sequence[str] | None
    lexical: Sequence[str] | None
    vector: Vector | None
    fused: Sequence[str]
    ranked: Sequence[str]
    scores: Mapping[str, CandidateScores]
    final: Mapping[str, float]
    top_k: int


def candidates(trace: Trace) -> list[dict[str, Any]]:
    """Every step's rank and score of the best candidates; a rank is null where that step did not have the passage."""
    ranks = _Ranks(trace)
    return [_steps(key, trace, ranks) for key in trace.ranked[:CANDIDATES_MAX]]


class _Ranks:
    """Where each step has a passage: the first is 1."""

    def __init__(self, trace: Trace) -> None:
        self.dense, self.lexical, self.fused, self.ranked = (
            {key: number for number, key in enumerate(order or (), 1)}
            for order in (trace.dense, trace.lexical, trace.fused, trace.ranked)
        )


def _steps(key: str, trace: Trace, ranks: _Ranks) -> dict[str, Any]:
    scores = trace.scores.get(key)
    return {
        "passage_id": key,
        "rank": ranks.ranked.get(key),
        "score": trace.final.get(key),
        "dense": {"rank": ranks.dense.get(key), "score": None if scores is None else scores.dense},
        "lexical": {"rank": ranks.lexical.get(key), "score": None if scores is None else scores.lexical},
        "fused": {"rank": ranks.fused.get(key), "score": None if scores is None else scores.fused},
        "rerank": None if scores is None else scores.rerank,
    }


async def why(document_id: str, question: Question, engine: Engine, trace: Trace) -> dict[str, Any]:
    """What became of a document: `outcome` (unknown, filtered, not_found, outranked, result), `reason` in words, and
    the steps of each of its passages, with both legs' exact scores whether they found it or not.
    """
    snapshot = engine.snapshot
    stored = await snapshot.document(id=document_id, principals=question.principals)
    if stored is None:
        return _told(document_id, "unknown", "The index holds no document of this id that the asker may read.")
    if question.filter is not None and not matches(question.filter, stored.header.metadata):
        return _told(document_id, "filtered", "The filter leaves it out.")
    ids = await snapshot.passage_ids(document_id, question.principals)
    text = None if trace.lexical is None else question.text
    exact = await snapshot.score(LegQuery(text, None if trace.dense is None else trace.vector), ids)
    ranks = _Ranks(trace)
    passages = [
        _steps(key, trace, ranks)
        | {
            "dense": {"rank": ranks.dense.get(key), "score": one.dense},
            "lexical": {"rank": ranks.lexical.get(key), "score": one.lexical},
        }
        for key, one in zip(ids, exact, strict=True)
    ]
    passages.sort(key=lambda one: (one["rank"] is None, one["rank"]))
    outcome, reason = _verdict(passages, exact, trace)
    return _told(document_id, outcome, reason) | {"passages": passages[:CANDIDATES_MAX]}


def _told(document_id: str, outcome: str, reason: str) -> dict[str, Any]:
    return {"document_id": document_id, "outcome": outcome, "reason": reason, "passages": []}


def _verdict(passages: Sequence[dict[str, Any]], exact: Sequence[LegScores], trace: Trace) -> tuple[str, str]:
    if not passages:
        return "not_found", "It has no passage: there was no text to index."
    best = passages[0]
    rank = best["rank"]
    if rank is None:
        return "not_found", " ".join(_missed(exact, trace))
    if rank <= trace.top_k:
        return "result", f"Its best passage is number {rank} of the results."
    last = trace.ranked[trace.top_k - 1]
    reason = (
        f"Its best passage is number {rank} of {len(trace.ranked)} candidates with {best['score']:.3f}; the last of "
        f"{trace.top_k} results has {trace.final[last]:.3f}."
    )
    before = best["fused"]["rank"]
    if before is not None and before <= trace.top_k:
        reason += f" Reranking moved it from number {before}."
    return "outranked", reason


def _missed(exact: Sequence[LegScores], trace: Trace) -> list[str]:
    """For each leg that was asked, what would have been needed."""
    reasons = []
    if trace.dense is not None:
        best = max(-1.0 if one.dense is None else one.dense for one in exact)
        last = _score(trace, trace.dense, "dense")
        reasons.append(
            f"The dense leg's best {trace.depth} passages end at a cosine of {last:.3f}; its best has {best:.3f}."
        )
    if trace.lexical is not None:
        best = max(one.lexical or 0.0 for one in exact)
        if best == 0:
            reasons.append("It shares no term with the question.")
        else:
            last = _score(trace, trace.lexical, "lexical")
            reasons.append(
                f"The lexical leg's best {trace.depth} passages end at a BM25 of {last:.2f}; its best has {best:.2f}."
            )
    return reasons


def _score(trace: Trace, leg: Sequence[str], name: str) -> float:
    """What the last passage that a leg found has."""
    return float(getattr(trace.scores[leg[-1]], name) or 0.0) if leg else 0.0
