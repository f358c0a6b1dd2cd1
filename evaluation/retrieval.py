"""Measuring retrieval: every question of a set through each mode, with budgets lifted, and the time of every stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evaluation.measures import best_passage_ranking, percentile, ranking_measures
from evaluation.sets import QuestionSet, SetQuestion
from service.answer import search
from service.budget import Deadline
from service.contract import Mode
from service.engine import Engine
from service.question import Question
from store.text import canonical

PASSAGES = 300
"""Passages ranked for each question, so that a hundred documents are reached where each has few."""

LATENCY_QUESTIONS = 200


@dataclass(frozen=True, slots=True)
class ModeResult:
    """One mode on one set.

    Args:
        mode: hybrid, dense or lexical.
        measures: means over the judged questions.
        by_question: the same by question.
        latency_ms: stage (and "total") -> {"p50", "p99"} of searches for ten results, one at a time, warm.
        degraded: how many searches fell back somewhere; quality figures with any are not to be trusted.
        rankings: question id -> document ids, best first.
    """

    mode: Mode
    measures: dict[str, float]
    by_question: dict[str, dict[str, float]]
    latency_ms: dict[str, dict[str, float]]
    degraded: int
    rankings: dict[str, list[str]]


async def measure_retrieval(
    questions: QuestionSet, engine: Engine, modes: Sequence[Mode], advance: Callable[[], None]
) -> list[ModeResult]:
    """Every judged question in every mode; `advance` is called after each."""
    results = []
    for mode in modes:
        rankings: dict[str, dict[str, float]] = {}
        degraded = 0
        for one in questions.judged:
            response = await search(question_of(one, mode, PASSAGES), engine, Deadline(engine.clock, None))
            degraded += bool(response.degraded)
            rankings[one.id] = best_passage_ranking(
                [(result.passage.document_id, result.score) for result in response.results]
            )
            advance()
        measures, by_question = ranking_measures(questions.qrels, rankings)
        latency = await _latency(questions.judged[:LATENCY_QUESTIONS], mode, engine)
        ordered = {key: sorted(ranking, key=lambda name: -ranking[name]) for key, ranking in rankings.items()}
        results.append(ModeResult(mode, measures, by_question, latency, degraded, ordered))
    return results


def question_of(one: SetQuestion, mode: Mode, top_k: int) -> Question:
    """A set's question as the service takes it."""
    return Question(request_id=one.id, text=canonical(one.text), mode=mode, top_k=top_k)


async def _latency(sample: Sequence[SetQuestion], mode: Mode, engine: Engine) -> dict[str, dict[str, float]]:
    taken: dict[str, list[float]] = {}
    for one in sample:
        deadline = Deadline(engine.clock, None)
        started = time.perf_counter()
        response = await search(question_of(one, mode, 10), engine, deadline)
        taken.setdefault("total", []).append((time.perf_counter() - started) * 1000)
        for stage in response.stages:
            taken.setdefault(stage.name, []).append(stage.took_ms)
    return {
        name: {"p50": round(percentile(values, 50), 2), "p99": round(percentile(values, 99), 2)}
        for name, values in taken.items()
    }
