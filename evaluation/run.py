"""The one file that knows how a set is evaluated: build or open its index, retrieve, answer, keep what was seen."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.answers import AnswerResult, measure_answers
from evaluation.retrieval import ModeResult, measure_retrieval
from evaluation.sets import QuestionSet
from evaluation.settings import EvaluationSettings
from indexer.build import Request, build
from indexer.progress import Progress
from indexer.settings import IndexerSettings
from service.contract import Mode
from service.settings import ServiceSettings
from service.wiring import Service
from store.index import IndexDirectory


@dataclass(frozen=True, slots=True)
class SetReport:
    """What was measured on one set."""

    name: str
    generation: int
    documents: int
    passages: int
    questions: int
    modes: list[ModeResult]
    answers: AnswerResult | None
    results_file: Path

    def as_json(self) -> dict[str, Any]:
        """The figures, without the per-question results."""
        return {
            "set": self.name,
            "generation": self.generation,
            "documents": self.documents,
            "passages": self.passages,
            "questions": self.questions,
            "modes": {
                one.mode: {
                    **{name: round(value, 4) for name, value in one.measures.items()},
                    "degraded": one.degraded,
                    "latency_ms": one.latency_ms,
                }
                for one in self.modes
            },
            "answers": None
            if self.answers is None
            else {name: round(value, 4) for name, value in self.answers.figures().items()},
            "results_file": str(self.results_file),
        }


def evaluate(
    questions: QuestionSet,
    settings: EvaluationSettings,
    indexing: IndexerSettings,
    serving: ServiceSettings,
    modes: Sequence[Mode],
    progress: Progress,
    *,
    answers: bool | None = None,
) -> SetReport:
    """Evaluate one set. Budgets are lifted, so that quality never depends on noise.

    Args:
        questions: the set; one without a corpus is asked of the index in `settings.index`.
        answers: answer the questions too; None: if the set says which can be answered.
    """
    index = index_of(questions, settings, indexing, progress)
    service = Service(serving.model_copy(update={"index": index, "budgets": False}))
    try:
        service.reload()
        with service.holder.lease() as engine:
            progress.phase(f"{questions.name}: retrieval", len(questions.judged) * len(modes))
            measured = asyncio.run(measure_retrieval(questions, engine, modes, progress.advance))
            answered = None
            if questions.says_answerable if answers is None else answers:
                progress.phase(f"{questions.name}: answers", len(questions.questions))
                answered = asyncio.run(measure_answers(questions, engine, progress.advance))
            facts = engine.snapshot.facts
    finally:
        service.close()
    report = SetReport(
        name=questions.name,
        generation=facts.generation,
        documents=facts.documents,
        passages=facts.passages,
        questions=len(questions.questions),
        modes=measured,
        answers=answered,
        results_file=settings.evaluation_cache.expanduser()
        / "runs"
        / f"{time.strftime('%Y%m%d-%H%M%S')}-{_slug(questions.name)}.json",
    )
    _keep(report)
    return report


def index_of(
    questions: QuestionSet, settings: EvaluationSettings, indexing: IndexerSettings, progress: Progress
) -> Path:
    """The index a set is asked of: its own, built in the cache (again only if it changed), or the one given."""
    if questions.corpus is None:
        return settings.index
    corpus = questions.corpus.resolve()
    chosen = indexing.model_dump_json(exclude={"index"})
    key = hashlib.sha256(f"{corpus}\0{chosen}".encode()).hexdigest()[:12]
    path = settings.evaluation_cache.expanduser() / "indexes" / f"{_slug(questions.name)}-{key}"
    build(IndexDirectory(path), Request([str(corpus)]), indexing.model_copy(update={"index": path}), progress)
    return path


def _keep(report: SetReport) -> None:
    report.results_file.parent.mkdir(parents=True, exist_ok=True)
    kept = {
        **report.as_json(),
        "by_question": {one.mode: one.by_question for one in report.modes},
        "rankings": {one.mode: {question: ids[:100] for question, ids in one.rankings.items()} for one in report.modes},
        "answers_by_question": None if report.answers is None else report.answers.by_question,
    }
    report.results_file.write_text(json.dumps(kept, ensure_ascii=False), encoding="utf-8")


def _slug(name: str) -> str:
    return "".join(character if character.isalnum() else "-" for character in name)
