"""The one file that knows how a set is evaluated: build or open its index, retrieve, answer, keep what was seen."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evaluation.answers import AnswerResult, measure_answers
from evaluation.calibrated import bring_up_to_date
from evaluation.configurations import SHIPPED, Configuration, changed, groups
from evaluation.generations import Generations
from evaluation.refusals import Refusals, measure_refusals
from evaluation.retrieval import Measured, measure_retrieval
from evaluation.runs import ConfigurationRecord, RunFile, ShownText, free_file, write_run
from evaluation.sets import QuestionSet
from evaluation.settings import EvaluationSettings
from evaluation.shown import Shown
from indexer.build import Request, build
from indexer.progress import Progress
from indexer.settings import IndexerSettings
from service.settings import ServiceSettings
from service.wiring import Service, support_of
from store.errors import UsageError
from store.index import IndexDirectory
from store.local import read_manifest
from store.text import canonical


@dataclass(frozen=True, slots=True)
class SetReport:
    """What was measured on one set; generation and counts are of the first configuration's index."""

    name: str
    generation: int
    documents: int
    passages: int
    questions: int
    measured: list[Measured]
    answered: dict[str, AnswerResult]
    results_file: Path
    refusals: Refusals | None = None

    @property
    def answers(self) -> AnswerResult | None:
        """Those under the settings as they are."""
        return next(iter(self.answered.values()), None)

    def as_json(self) -> dict[str, Any]:
        """The figures, without the per-question results."""
        return {
            "set": self.name,
            "generation": self.generation,
            "documents": self.documents,
            "passages": self.passages,
            "questions": self.questions,
            "modes": {
                one.name: {
                    **{name: round(value, 4) for name, value in one.measures.items()},
                    "degraded": one.degraded,
                    "latency_ms": one.latency_ms,
                    **({"answers": _rounded(self.answered[one.name].figures())} if one.name in self.answered else {}),
                }
                for one in self.measured
            },
            "answers": None if self.answers is None else _rounded(self.answers.figures()),
            "refusals": None if self.refusals is None else _rounded(self.refusals.figures()),
            "results_file": str(self.results_file),
        }


def evaluate(
    questions: QuestionSet,
    settings: EvaluationSettings,
    indexing: IndexerSettings,
    serving: ServiceSettings,
    configurations: Sequence[Configuration],
    folder: Path,
    progress: Progress,
    *,
    answers: bool | None = None,
    sample: Mapping[str, int] | None = None,
    generations: Generations | None = None,
) -> SetReport:
    """Evaluate one set. Budgets are lifted, so that quality never depends on noise.

    Args:
        questions: the set; one without a corpus is asked of the index in `settings.index`.
        configurations: what to measure; of those that share all settings one stands for all where questions are
            answered, which is always done in hybrid mode.
        folder: where the run file goes.
        answers: answer the questions too; None: if the set says which can be answered.
        sample: how the questions were drawn from those of the set, for the run file; None: they are all of them.
        generations: what a chat model is not asked again.

    Raises UsageError where a set without a corpus is to be indexed in another way than it is.
    """
    _refuse_impossible(questions, configurations, settings, serving)
    measured: dict[str, Measured] = {}
    records: dict[str, ConfigurationRecord] = {}
    shown = Shown()
    answered: dict[str, AnswerResult] = {}
    refusals = None
    answering = questions.says_answerable if answers is None else answers
    for group in groups(configurations):
        index = index_of(questions, settings, changed(indexing, group[0].indexing), progress)
        service = Service(
            changed(serving, group[0].serving).without_caches().model_copy(update={"index": index, "budgets": False})
        )
        try:
            service.reload()
            with service.holder.lease() as engine:
                progress.phase(f"{questions.name}: {_called(group)}", len(questions.judged) * len(group))
                found = asyncio.run(measure_retrieval(questions, engine, group, shown, progress.advance))
                measured.update((one.configuration.name, one) for one in found)
                record = _record(index, engine.snapshot.facts.generation)
                records.update((one.name, record(one)) for one in group)
                if answering:
                    progress.phase(f"{questions.name}: answers", len(questions.questions))
                    answers_found = asyncio.run(
                        measure_answers(questions, engine, progress.advance, generations, support_of(serving))
                    )
                    answered[_standing_for(group)] = answers_found
                    kinds = {one.answerable is not False for one in questions.questions}
                    if configurations[0] in group and kinds == {True, False}:
                        progress.phase(f"{questions.name}: refusals", len(questions.questions))
                        refusals = asyncio.run(measure_refusals(questions, engine, progress.advance))
                asyncio.run(shown.add_relevant(questions.qrels, engine.snapshot))
        finally:
            service.close()
    first = records[configurations[0].name]
    report = SetReport(
        name=questions.name,
        generation=first.generation,
        documents=first.documents,
        passages=first.passages,
        questions=len(questions.questions),
        measured=[measured[one.name] for one in configurations],
        answered={one.name: answered[one.name] for one in configurations if one.name in answered},
        results_file=free_file(folder, questions.name),
        refusals=refusals,
    )
    run = _run_file(report, questions, records, shown, indexing, serving)
    write_run(run.model_copy(update={"sample": sample}), report.results_file)
    return report


def index_of(
    questions: QuestionSet, settings: EvaluationSettings, indexing: IndexerSettings, progress: Progress
) -> Path:
    """The index a set is asked of: its own, built in the cache (again only if it changed), or the one given.

    Each combination of settings that are not the default has an index of its own.
    """
    if questions.corpus is None:
        return settings.index
    corpus = questions.corpus.resolve()
    chosen = indexing.model_dump_json(exclude={"index"}, exclude_defaults=True)
    key = hashlib.sha256(f"{corpus}\0{chosen}".encode()).hexdigest()[:12]
    path = settings.evaluation_cache.expanduser() / "indexes" / f"{_slug(questions.name)}-{key}"
    index = IndexDirectory(path)
    build(index, Request([str(corpus)]), indexing.model_copy(update={"index": path}), progress)
    if settings.calibrate:
        bring_up_to_date(index, progress)
    return path


def _refuse_impossible(
    questions: QuestionSet,
    configurations: Sequence[Configuration],
    settings: EvaluationSettings,
    serving: ServiceSettings,
) -> None:
    """Raise UsageError where a configuration would be measured as if it were another."""
    for one in configurations:
        if questions.corpus is None and one.indexing:
            raise UsageError(
                f"question set {questions.name!r} has no corpus to index in another way: it asks {settings.index}.",
                fix="Leave out the indexer's settings, or put a corpus.jsonl beside its questions.",
            )
        chosen = changed(serving, one.serving)
        if chosen.rerank and chosen.reranker is None:
            raise UsageError(
                f"{one.name!r} has no reranker to rerank with.",
                fix="Export one with `footnote export-reranker`, then set FOOTNOTE_RERANKER=FOLDER.",
            )


def _record(index: Path, generation: int) -> Callable[[Configuration], ConfigurationRecord]:
    """Makes the record of a configuration that asked this index."""
    directory = IndexDirectory(index)
    current = directory.require_current()
    manifest = read_manifest(directory.snapshots / current.name, current.manifest_sha256)

    def record(one: Configuration) -> ConfigurationRecord:
        return ConfigurationRecord(
            mode=one.mode,
            changes=one.changes,
            generation=generation,
            documents=manifest.counts.documents,
            passages=manifest.counts.passages,
            splitter=manifest.splitter.model_dump(),
            model=manifest.space.model,
        )

    return record


def _run_file(
    report: SetReport,
    questions: QuestionSet,
    records: dict[str, ConfigurationRecord],
    shown: Shown,
    indexing: IndexerSettings,
    serving: ServiceSettings,
) -> RunFile:
    judged = {one.id for one in questions.judged}
    return RunFile(
        format=2,
        **report.as_json(),
        created_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        corpus=None if questions.corpus is None else str(questions.corpus.resolve()),
        settings={**serving.model_dump(mode="json"), **indexing.model_dump(mode="json")},
        configurations={one.name: records[one.name] for one in report.measured},
        queries={one.id: canonical(one.text) for one in questions.judged},
        qrels={question: grades for question, grades in questions.qrels.items() if question in judged},
        by_question={one.name: one.by_question for one in report.measured},
        rankings={one.name: one.rankings for one in report.measured},
        latency_by_question={one.name: one.latency_by_question for one in report.measured},
        texts={key: ShownText(**text) for key, text in shown.texts.items()},
        answers_by_question=None if report.answers is None else report.answers.by_question,
        answer_measures={name: found.measures for name, found in report.answered.items()},
        refusals_by_question=None
        if report.refusals is None
        else {key: asdict(one) for key, one in report.refusals.by_question.items()},
    )


def _standing_for(group: Sequence[Configuration]) -> str:
    """The one whose answers stand for all of a group, which differ in mode alone."""
    return next((one.name for one in group if one.mode == SHIPPED and one.fusion is None), group[0].name)


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in figures.items()}


def _called(group: Sequence[Configuration]) -> str:
    return group[0].name if len(group) == 1 else f"{len(group)} configurations"


def _slug(name: str) -> str:
    return "".join(character if character.isalnum() else "-" for character in name)
