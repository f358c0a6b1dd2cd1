"""Measuring retrieval: every question of a set through each configuration, with budgets lifted, and every stage's time.

The service ranks; only where a configuration names a fusion, the legs are asked once for all such configurations and
fused here. A test holds that way against the service's own, to the order.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from evaluation.configurations import Configuration
from evaluation.coverage import NAMES as COVERAGE
from evaluation.coverage import Stretch, coverage
from evaluation.fusions import LegScores
from evaluation.measures import best_passage_ranking, percentile, ranking_measures
from evaluation.sets import QuestionSet, SetQuestion
from evaluation.shown import Shown
from service.answer import LEG_DEPTH_MIN, search
from service.budget import Deadline
from service.contract import Mode, Result
from service.engine import Engine
from service.legs import ask_legs, candidates_of
from service.question import ANYONE, Question
from store.text import canonical

PASSAGES = 300
"""Passages ranked for each question, so that a hundred documents are reached where each has few."""

DOCUMENTS = 100
"""Documents kept of each ranking."""

LATENCY_QUESTIONS = 200


@dataclass(frozen=True, slots=True)
class Measured:
    """One configuration on one set.

    Args:
        configuration: what was measured.
        measures: means over the judged questions.
        by_question: the same by question.
        latency_ms: stage (and "total") -> {"p50", "p99"} of searches for ten results, one at a time, warm.
        latency_by_question: question id -> stage (and "total") -> milliseconds, of the questions that were timed.
        degraded: how many searches fell back somewhere; quality figures with any are not to be trusted.
        rankings: question id -> up to 100 document ids, best first.
    """

    configuration: Configuration
    measures: dict[str, float]
    by_question: dict[str, dict[str, float]]
    latency_ms: dict[str, dict[str, float]]
    latency_by_question: dict[str, dict[str, float]]
    degraded: int
    rankings: dict[str, list[str]]

    @property
    def name(self) -> str:
        """The configuration's name; of one that changes no setting, its mode."""
        return self.configuration.name


@dataclass(slots=True)
class _Tally:
    """What is gathered of one configuration, question by question."""

    rankings: dict[str, list[str]] = field(default_factory=dict)
    times_ms: dict[str, dict[str, float]] = field(default_factory=dict)
    degraded: int = 0
    covered: dict[str, dict[str, float]] = field(default_factory=dict)


async def measure_retrieval(
    questions: QuestionSet,
    engine: Engine,
    configurations: Sequence[Configuration],
    shown: Shown,
    advance: Callable[[], None],
) -> list[Measured]:
    """Every judged question in every configuration; `advance` is called after each.

    All configurations are of this engine's index and settings. `shown` is told what was found.
    """
    tallies = {one.name: _Tally() for one in configurations}
    served = [one for one in configurations if one.fusion is None]
    fused = [one for one in configurations if one.fusion is not None]
    for one in served:
        await _serve(one, questions, engine, tallies[one.name], shown, advance)
    if fused:
        await _fuse_here(fused, questions, engine, tallies, shown, advance)
    return [_measured(one, questions, tallies[one.name]) for one in configurations]


def question_of(one: SetQuestion, mode: Mode, top_k: int) -> Question:
    """A set's question as the service takes it."""
    return Question(request_id=one.id, text=canonical(one.text), mode=mode, top_k=top_k)


async def _serve(
    configuration: Configuration,
    questions: QuestionSet,
    engine: Engine,
    tally: _Tally,
    shown: Shown,
    advance: Callable[[], None],
) -> None:
    """Rank by the service, then time it."""
    mode = configuration.mode
    for one in questions.judged:
        response = await search(question_of(one, mode, PASSAGES), engine, Deadline(engine.clock, None))
        tally.degraded += bool(response.degraded)
        found = [(sys.intern(result.passage.document_id), result.score) for result in response.results]
        tally.rankings[one.id] = list(best_passage_ranking(found))[:DOCUMENTS]
        if one.answers:
            tally.covered[one.id] = coverage(map(_stretch, response.results), one.answers)
        passages = ((one.document.id, one.document.title, one.passage.text) for one in response.results)
        shown.note(tally.rankings[one.id], passages)
        advance()
    for one in questions.judged[:LATENCY_QUESTIONS]:
        deadline = Deadline(engine.clock, None)
        started = time.perf_counter()
        response = await search(question_of(one, mode, 10), engine, deadline)
        total_ms = (time.perf_counter() - started) * 1000
        tally.times_ms[one.id] = {"total": total_ms, **{stage.name: stage.took_ms for stage in response.stages}}


async def _fuse_here(
    configurations: Sequence[Configuration],
    questions: QuestionSet,
    engine: Engine,
    tallies: Mapping[str, _Tally],
    shown: Shown,
    advance: Callable[[], None],
) -> None:
    """Ask the legs once for each question, and fuse what they found in every way."""
    for one in questions.judged:
        legs, degraded, _ = await _legs(question_of(one, "hybrid", PASSAGES), engine, PASSAGES)
        ranked = {which.name: legs.ranked(_fuse(which, legs))[:PASSAGES] for which in configurations}
        wanted = list(dict.fromkeys(key for order in ranked.values() for key in order))
        stored = await engine.snapshot.passages(wanted, ANYONE)
        for name, order in ranked.items():
            found = [stored[key] for key in order if key in stored]
            ranking = list(dict.fromkeys(sys.intern(each.document.id) for each in found))[:DOCUMENTS]
            tallies[name].rankings[one.id] = ranking
            tallies[name].degraded += degraded
            shown.note(ranking, ((each.document.id, each.document.title, each.passage.text) for each in found))
            advance()
    for one in questions.judged[:LATENCY_QUESTIONS]:
        legs, _, took_ms = await _legs(question_of(one, "hybrid", 10), engine, LEG_DEPTH_MIN)
        for which in configurations:
            started = time.perf_counter()
            order = legs.ranked(_fuse(which, legs))[:10]
            fuse_ms = (time.perf_counter() - started) * 1000
            await engine.snapshot.passages(order, ANYONE)
            read_ms = (time.perf_counter() - started) * 1000 - fuse_ms
            tallies[which.name].times_ms[one.id] = {
                **took_ms,
                "fuse": took_ms["fuse"] + fuse_ms,
                "passages": read_ms,
                "total": took_ms["total"] + fuse_ms + read_ms,
            }


def _fuse(configuration: Configuration, legs: LegScores) -> Mapping[str, float]:
    assert configuration.fusion is not None
    return configuration.fusion.fuse(legs)


async def _legs(question: Question, engine: Engine, depth: int) -> tuple[LegScores, bool, dict[str, float]]:
    """What both legs found, whether one fell back, and what it took: each stage and "total", milliseconds."""
    facts = engine.snapshot.facts
    deadline = Deadline(engine.clock, None)
    started = time.perf_counter()
    found = await ask_legs(question, engine.snapshot, engine.encoder, engine.inference, depth, engine.budgets, deadline)
    asked = time.perf_counter()
    candidates = await candidates_of(engine.snapshot, found)
    ended = time.perf_counter()
    dense = found.dense or {}
    beyond = {key: score for key, score in candidates.dense.items() if key not in dense}
    scores = LegScores(question.text, dense, found.lexical or {}, beyond, facts.dense_minimum, facts.lexical_minimum)
    took_ms = {stage.name: stage.took_ms for stage in deadline.report()}
    took_ms |= {"fuse": (ended - asked) * 1000, "total": (ended - started) * 1000}
    return scores, bool(found.degraded), took_ms


def _stretch(result: Result) -> tuple[Stretch, str]:
    passage = result.passage
    return Stretch(passage.document_id, passage.start, passage.end), passage.text


def _measured(configuration: Configuration, questions: QuestionSet, tally: _Tally) -> Measured:
    falling = {key: {one: -float(rank) for rank, one in enumerate(ids)} for key, ids in tally.rankings.items()}
    measures, by_question = ranking_measures(questions.qrels, falling)
    if tally.covered:
        for name in COVERAGE:
            measures[name] = sum(one[name] for one in tally.covered.values()) / len(tally.covered)
        for key, found in tally.covered.items():
            by_question[key].update(found)
    by_stage: dict[str, list[float]] = {}
    for times in tally.times_ms.values():
        for stage, took_ms in times.items():
            by_stage.setdefault(stage, []).append(took_ms)
    latency = {
        stage: {"p50": round(percentile(values, 50), 2), "p99": round(percentile(values, 99), 2)}
        for stage, values in by_stage.items()
    }
    rounded = {key: {stage: round(one, 3) for stage, one in times.items()} for key, times in tally.times_ms.items()}
    return Measured(configuration, measures, by_question, latency, rounded, tally.degraded, tally.rankings)
