"""Tables of measurements for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from evaluation.answer_figures import written_beside
from evaluation.coverage import NAMES, WORDS

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table

    from evaluation.ablation import Ablated
    from evaluation.comparison import SetComparison
    from evaluation.run import SetReport

ALPHA = 0.05
_WIDTH = 100


def print_report(report: SetReport) -> None:
    """Figures, stage times and answers of one set."""
    from rich.markup import escape
    from rich.table import Table

    console = _console()
    title = (
        f"{escape(report.name)}: {report.questions} questions, {report.documents} documents, {report.passages} passages"
    )
    table = Table(title=title, title_justify="left")
    for name in ("mode", "nDCG@10", "R@10", "R@100", "MRR@10", "p50 ms", "p99 ms"):
        table.add_column(name, justify="left" if name == "mode" else "right")
    for one in report.measured:
        measures = [f"{one.measures[name]:.4f}" for name in ("nDCG@10", "R@10", "R@100", "RR@10")]
        total = one.latency_ms.get("total", {"p50": float("nan"), "p99": float("nan")})
        table.add_row(escape(one.name), *measures, f"{total['p50']:.1f}", f"{total['p99']:.1f}")
    console.print(table)
    if any(NAMES[0] in one.measures for one in report.measured):
        console.print(_coverage(report))
    for one in report.measured:
        stages = ", ".join(
            f"{name} {value['p50']:.1f} / {value['p99']:.1f}"
            for name, value in one.latency_ms.items()
            if name != "total"
        )
        console.print(f"{escape(one.name)}, ms p50 / p99: {stages}")
    for one in report.measured:
        if one.degraded:
            console.print(
                f"[yellow]{escape(one.name)}: {one.degraded} searches were degraded; do not trust these figures"
            )
    for name, found in report.answered.items():
        title = "answers" if len(report.answered) == 1 else f"answers: {escape(name)}"
        console.print(_answers(title, found.figures()))
    if report.refusals is not None:
        console.print(_figures("refusals", report.refusals.figures()))
    console.print(f"per-question results: {report.results_file}", soft_wrap=True, markup=False)


def _answers(title: str, figures: Mapping[str, float]) -> Table:
    """Figures of answers as they left, and beside them of what a model wrote, where one did."""
    from rich.table import Table

    rows = written_beside(figures)
    columns = 2 if any(written is not None for *_, written in rows) else 1
    table = Table(title=title, title_justify="left", show_header=columns > 1)
    table.add_column("")
    for name in ("as it left", "as written")[:columns]:
        table.add_column(name, justify="right")
    for name, *values in rows:
        table.add_row(name.replace("_", " "), *("" if one is None else _number(one) for one in values[:columns]))
    return table


def _number(value: float) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _figures(title: str, figures: Mapping[str, float]) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_header=False)
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), _number(value))
    return table


def _coverage(report: SetReport) -> Table:
    from rich.markup import escape
    from rich.table import Table

    title = "answer covered whole, in so many words of context"
    table = Table(title=title, title_justify="left")
    for name in ("mode", *(f"{words:,}" for words in WORDS)):
        table.add_column(name, justify="left" if name == "mode" else "right")
    for one in report.measured:
        if NAMES[0] in one.measures:
            table.add_row(escape(one.name), *(f"{one.measures[name]:.3f}" for name in NAMES))
    return table


def print_comparison(found: Sequence[SetComparison], measure: str, *, permutations: int) -> None:
    """Candidate against baseline, a row a set."""
    from rich.markup import escape

    console = _console()
    names = {(one.baseline, one.candidate) for one in found}
    what = " against ".join(reversed(next(iter(names)))) if len(names) == 1 else "candidate against baseline"
    _comparisons(console, f"{measure}: {what}", "set", [(one.set, one) for one in found])
    for one in found:
        if one.left_out:
            console.print(f"[yellow]{escape(one.set)}: {one.left_out} questions that are not common were left out")
    console.print(_LEGEND.format(permutations=permutations, over="the sets"), style="dim")


def print_ablations(found: Sequence[Ablated], measure: str, folder: Path, *, permutations: int) -> None:
    """Every dimension's variants against the default."""
    console = _console()
    for one in found:
        if one.dimension.skipped:
            console.print(f"{one.dimension.name}: left out, {one.dimension.skipped}", soft_wrap=True)
            continue
        sets = {each.set for each in one.comparisons}
        rows = [
            (each.candidate if len(sets) == 1 else f"{each.set}: {each.candidate}", each) for each in one.comparisons
        ]
        title = f"{one.dimension.name}, {measure} against the default"
        _comparisons(console, f"{title} on {next(iter(sets))}" if len(sets) == 1 else title, "variant", rows)
    console.print(_LEGEND.format(permutations=permutations, over="a table's rows"), style="dim")
    console.print(f"per-question results: {folder}", soft_wrap=True, markup=False)
    console.print(f"look at them: footnote evaluate report {folder} --output report.html", soft_wrap=True, markup=False)


def _comparisons(console: Console, title: str, first: str, rows: Sequence[tuple[str, SetComparison]]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), title_justify="left")
    table.add_column(first, overflow="fold")
    for name in ("base", "this", "diff", "effect", "found at", "win/loss/tie", "p (Holm)"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, one in rows:
        found = one.difference
        effect = "" if found.effect_size is None else f"{found.effect_size:+.2f}"
        detectable = "" if found.detectable is None else f"{found.detectable:.4f}"
        table.add_row(
            escape(name),
            f"{found.baseline:.4f}",
            f"{found.candidate:.4f}",
            f"[{_colour(one)}]{found.difference:+.4f}[/]",
            effect,
            detectable,
            f"{found.wins}/{found.losses}/{found.ties}",
            f"{one.p_holm:.4f}{' *' if one.p_holm < ALPHA else '  '}",
        )
    console.print(table)


def _colour(one: SetComparison) -> str:
    if one.p_holm >= ALPHA:
        return "default"
    return "green" if one.difference.difference > 0 else "red"


_LEGEND = (
    "effect: mean difference in standard deviations of the questions' differences; found at: the smallest true "
    "difference that so many questions show in 4 of 5 cases; p: paired randomisation, {permutations:,} permutations, "
    "two-sided, adjusted by Holm over {over}; * below 0.05."
)


def _console() -> Console:
    from rich.console import Console

    return Console(width=_WIDTH, highlight=False)
