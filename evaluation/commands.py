"""The command that measures: evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from store.commands import IndexOption, JsonOption

if TYPE_CHECKING:
    from evaluation.run import SetReport

app = typer.Typer()


@app.command()
def evaluate(
    sets: Annotated[
        list[str],
        typer.Argument(
            metavar="SET...",
            help="BEIR-style folders; SET:zh picks corpus.zh.jsonl. Or: support FILE.",
            show_default=False,
        ),
    ],
    modes: Annotated[list[str] | None, typer.Option("--mode", help="lexical, dense, hybrid; all by default.")] = None,
    answers: Annotated[
        bool | None,
        typer.Option(
            "--answers/--no-answers", help="Answer the questions too; by default where a set says which can be."
        ),
    ] = None,
    index: IndexOption = None,
    json: JsonOption = False,
) -> None:
    """Retrieval and answer quality on question sets: nDCG@10, Recall, MRR, refusals, exact quotes, stage times.

    A set's own corpus is indexed in the evaluation cache (again only if it changed); a set without one is asked of
    --index. Budgets are lifted. `footnote evaluate support FILE` measures the support check on lines of
    {"claim", "evidence", "label": true|false}.
    """
    from store.errors import UsageError
    from store.output import emit

    if sets[0] == "support":
        _support(sets[1:], json=json)
        return
    chosen = modes or ["lexical", "dense", "hybrid"]
    unknown = [mode for mode in chosen if mode not in ("lexical", "dense", "hybrid")]
    if unknown:
        raise UsageError(f"unknown mode {unknown[0]!r}; known: lexical, dense, hybrid.")

    from evaluation.run import evaluate as run
    from evaluation.sets import read_set
    from evaluation.settings import EvaluationSettings
    from indexer.progress import watching
    from indexer.settings import IndexerSettings
    from service.settings import ServiceSettings
    from store.settings import load_settings

    questions = [read_set(name) for name in sets]
    kinds = (EvaluationSettings, IndexerSettings, ServiceSettings)
    settings, indexing, serving = (load_settings(kind, index=index) for kind in kinds)
    with watching() as progress:
        reports = [
            run(one, settings, indexing, serving, chosen, progress, answers=answers)  # type: ignore[arg-type]
            for one in questions
        ]
    if json:
        emit([report.as_json() for report in reports])
    else:
        for report in reports:
            _table(report)


def _support(files: list[str], *, json: bool) -> None:
    from evaluation.support import measure_support
    from store.errors import UsageError
    from store.output import emit

    if not files:
        raise UsageError("`footnote evaluate support` needs a file.")
    measured = {name: measure_support(Path(name)) for name in files}
    if json:
        emit(next(iter(measured.values())) if len(files) == 1 else measured)
        return
    for name, figures in measured.items():
        typer.echo(f"{name}: " + ", ".join(f"{key} {value}" for key, value in figures.items()))


def _table(report: SetReport) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=100)
    title = f"{report.name}: {report.questions} questions, {report.documents} documents, {report.passages} passages"
    table = Table(title=title, title_justify="left")
    for name in ("mode", "nDCG@10", "R@10", "R@100", "MRR@10", "p50 ms", "p99 ms"):
        table.add_column(name, justify="left" if name == "mode" else "right")
    for one in report.modes:
        measures = [f"{one.measures[name]:.4f}" for name in ("nDCG@10", "R@10", "R@100", "RR@10")]
        total = one.latency_ms.get("total", {"p50": float("nan"), "p99": float("nan")})
        table.add_row(one.mode, *measures, f"{total['p50']:.1f}", f"{total['p99']:.1f}")
    console.print(table)
    for one in report.modes:
        stages = ", ".join(
            f"{name} {value['p50']:.1f} / {value['p99']:.1f}"
            for name, value in one.latency_ms.items()
            if name != "total"
        )
        console.print(f"{one.mode}, ms p50 / p99: {stages}")
    for one in report.modes:
        if one.degraded:
            console.print(f"[yellow]{one.mode}: {one.degraded} searches were degraded; do not trust these figures")
    if report.answers is not None:
        answers = Table(title="answers", title_justify="left", show_header=False)
        for name, value in report.answers.figures().items():
            answers.add_row(name.replace("_", " "), f"{value:.3f}" if isinstance(value, float) else str(value))
        console.print(answers)
    console.print(f"per-question results: {report.results_file}", soft_wrap=True)
