"""The one file that knows how a report is made: read the runs set by set, compare, render, write one page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from evaluation.configurations import SHIPPED
from evaluation.errors import RunUnreadable
from evaluation.measures import RANKING
from evaluation.report_page import Entry, SetPage, set_page
from evaluation.runs import Run, read_run
from indexer.progress import Progress
from store.errors import UsageError

TEMPLATES = Path(__file__).parent / "templates"


def write_report(
    runs: Sequence[Run], output: Path, progress: Progress, *, baseline: str | None = None, measure: str = "nDCG@10"
) -> Path:
    """Write one page about all sets of the runs; returns where it is. Only one set is held in memory at a time.

    Args:
        baseline: the label that others are compared with; None: the shipped configuration of the first run.

    Raises:
        RunUnreadable: a run cannot be read, or has no such baseline or measure.
        RunsDiffer: runs of one set have no question in common.
        UsageError: the measure is none, or the page's folder is missing.
    """
    if measure not in RANKING:
        raise UsageError(f"unknown measure {measure!r}; known: {', '.join(RANKING)}.")
    if not output.parent.is_dir() or output.is_dir():
        raise UsageError(f"--output {output}: there is no folder {output.parent} or the name is a folder's.")
    names = list(dict.fromkeys(name for run in runs for name in run.places))
    progress.phase("Comparing", len(names))
    pages: list[SetPage] = []
    for name in names:
        entries = _entries(runs, name)
        pages.append(set_page(entries, baseline or _first(entries), measure))
        progress.advance()
    aside = output.with_name(f".{output.name}.{os.getpid()}")
    aside.write_text(render(pages, measure), encoding="utf-8")
    aside.replace(output)
    return output


def render(pages: Sequence[SetPage], measure: str) -> str:
    """The page as HTML: no script, nothing from elsewhere, every value escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    labels = list(dict.fromkeys(row.label for page in pages for row in page.rows))
    overview = [
        (label, [next((row for row in page.rows if row.label == label), None) for page in pages]) for label in labels
    ]
    return environment.get_template("report.html").render(
        pages=pages, measure=measure, measures=RANKING, overview=overview if len(pages) > 1 else []
    )


def _entries(runs: Sequence[Run], name: str) -> list[Entry]:
    """Every configuration of the set; where several runs are told apart, their names come first."""
    entries: list[Entry] = []
    for run in runs:
        place = run.places.get(name)
        if place is None:
            continue
        found = read_run(place)
        wanted = list(found.by_question) if run.configuration is None else [found.named(run.configuration)]
        several = len({one.path for one in runs}) > 1
        entries.extend(Entry(f"{run.name} {one}" if several else one, one, found) for one in wanted)
    labels = [one.label for one in entries]
    for label in labels:
        if labels.count(label) > 1:
            raise RunUnreadable(f"two runs are called {label!r} on {name}.", fix="Rename one of their folders.")
    return entries


def _first(entries: Sequence[Entry]) -> str:
    """The label of the first run's shipped configuration, else of its first."""
    return next((one.label for one in entries if one.configuration == SHIPPED), entries[0].label)
