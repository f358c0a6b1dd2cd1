"""What is emitted, and what was written before it was checked: extractive and small chat models of this machine.

    python -m benchmarks.answers ../shared/data/clapnq-a corpus/evaluation --index data/index --output FOLDER
    python -m benchmarks.answers SET... --writer 0.5b --grammar gbnf --sample 50 --seed 0 --output FOLDER

Runs `footnote evaluate SET... --mode hybrid` for each writer, with budgets lifted, and lays the figures side by side. A
chat model runs on both cores (`benchmarks.local_model`): half a minute to a minute and a half a question.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

from benchmarks.local_model import MODELS, missing
from service.adapters.grammar import GrammarKind

EXTRACTIVE = "extractive"

FIGURES = (
    "answerable",
    "unanswerable",
    "refused_answerable",
    "refused_unanswerable",
    "refusal_precision",
    "claims",
    "withheld_share",
    "model_wrote",
    "stood_in",
    "degraded",
    "claims_cited",
    "quotes_exact",
    "cited_right_page",
    "citations_of_right_page",
    "citation_recall",
    "citation_precision",
    "citation_recall_by_words",
    "citation_precision_by_words",
    "citation_recall_by_scorer",
    "citation_precision_by_scorer",
    "token_f1",
    "token_coverage",
    "answer_contained",
    "prompt_tokens",
    "completion_tokens",
)
WRITTEN = "written_"


@contextmanager
def settings_of(writer: str, grammar: str = "none") -> Iterator[dict[str, str]]:
    """The settings with which the service has this writer; while they are used, its server runs.

    Args:
        writer: extractive, or a model of `benchmarks.local_model`.
        grammar: what its server holds a model to.
    """
    if writer == EXTRACTIVE:
        yield {"FOOTNOTE_GENERATOR": "extractive"}
        return
    command = [sys.executable, "-m", "benchmarks.local_model", writer]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            address = "" if server.stdout is None else server.stdout.readline().strip()
            if not address:
                raise SystemExit(f"the server of {writer} ended before it told its address.")
            yield {
                "FOOTNOTE_GENERATOR": "openai",
                "FOOTNOTE_GENERATOR_MODEL": f"qwen2.5-coder-{writer}",
                "FOOTNOTE_GENERATOR_BASE_URL": address,
                "FOOTNOTE_GENERATOR_API_KEY": "none",
                "FOOTNOTE_GENERATOR_BETWEEN_MS": "60000",
                "FOOTNOTE_GENERATOR_GRAMMAR": grammar,
            }
        finally:
            server.terminate()


def measured(
    writer: str, grammar: str, arguments: Sequence[str], output: Path, kept: Path | None
) -> list[dict[str, Any]]:
    """What `footnote evaluate` says of each set. Raises SystemExit with its status where it fails."""
    command = [sys.executable, "-m", "footnote", "evaluate", *arguments, "--mode", "hybrid", "--answers", "--json"]
    if kept is not None and writer != EXTRACTIVE:
        command += ["--generations", str(kept / f"{writer}-{grammar}.jsonl")]
    with settings_of(writer, grammar) as settings:
        done = subprocess.run(
            [*command, "--output", str(output / writer)],
            env={**os.environ, **settings},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
    if done.returncode:
        raise SystemExit(done.returncode)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def table(columns: Mapping[str, Mapping[str, float]]) -> str:
    """Markdown: a line a figure, a column a set and writer; what was written is a column of its own."""
    shown: dict[str, dict[str, float]] = {}
    for name, figures in columns.items():
        shown[name] = {one: value for one, value in figures.items() if not one.startswith(WRITTEN)}
        written = {one.removeprefix(WRITTEN): value for one, value in figures.items() if one.startswith(WRITTEN)}
        if written:
            shown[f"{name}, as written"] = written
    lines = [f"| | {' | '.join(shown)} |", "| --- |" + " --- |" * len(shown)]
    for one in FIGURES:
        values = [_number(found.get(one)) for found in shown.values()]
        if any(values):
            lines.append(f"| {one.replace('_', ' ')} | {' | '.join(values)} |")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--writer", action="append", choices=[EXTRACTIVE, *sorted(MODELS)], help="may be given again")
    parser.add_argument(
        "--grammar", choices=get_args(GrammarKind), default="none", help="what a chat model's server holds it to"
    )
    parser.add_argument("--sample", type=int, help="questions of each set; all by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--index", help="what a set without documents is asked of")
    parser.add_argument("--output", type=Path, required=True, help="a new folder for the runs")
    parser.add_argument("--kept", type=Path, help="a folder for what chat models write: a run that was stopped goes on")
    given = parser.parse_args()
    writers = given.writer or [EXTRACTIVE]
    lacking = [one for writer in writers if writer != EXTRACTIVE for one in missing(writer)]
    if lacking:
        raise SystemExit(f"not installed: {', '.join(lacking)}. Run `make demo-llm MODEL=...`, which installs them.")
    arguments = list(given.sets)
    if given.sample is not None:
        arguments += ["--sample", str(given.sample), "--seed", str(given.seed)]
    if given.index is not None:
        arguments += ["--index", given.index]
    columns = {}
    for writer in writers:
        for one in measured(writer, given.grammar, arguments, given.output, given.kept):
            columns[f"{one['set']}, {writer}"] = one["answers"]
    print(table(columns))


if __name__ == "__main__":
    main()
