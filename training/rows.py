"""Training rows: a question, the text that answers it, and near misses where the source gives some."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.sets import read_lines
from store.errors import UsageError


@dataclass(frozen=True, slots=True)
class TrainingText:
    """A text with the title it stands under; "" where it has none."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One question.

    Args:
        question: what is asked.
        positive: what answers it.
        negatives: what does not, as far as the source says.
    """

    question: str
    positive: TrainingText
    negatives: tuple[TrainingText, ...] = ()


def source_files(paths: Sequence[Path]) -> list[Path]:
    """The .jsonl and .jsonl.gz files among the paths and directly in their folders, by name.

    Subfolders are left alone: what may not be trained on can lie in one.
    Raises UsageError where there is none, or where two would be called alike.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found.extend(sorted(file for file in path.iterdir() if file.name.endswith((".jsonl", ".jsonl.gz"))))
        elif path.is_file():
            found.append(path)
        else:
            raise UsageError(f"training data {path}: there is no such file or folder.")
    if not found:
        raise UsageError(
            f"there is no .jsonl or .jsonl.gz in {', '.join(map(str, paths))}.",
            fix='A line of one is {"query", "positive": {"title", "text"}, "negatives"?: [{"title", "text"}]}.',
        )
    names = [source_name(path) for path in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"two training files are called {twice}.", fix="Rename one.")
    return found


def source_name(path: Path) -> str:
    """The file's name without .jsonl or .jsonl.gz."""
    return path.name.removesuffix(".gz").removesuffix(".jsonl")


def read_rows(path: Path, rows_max: int, *, seed: int = 0) -> list[TrainingRow]:
    """At most so many rows of the file, drawn at random, in the file's order. Raises UsageError naming a bad line."""
    rows = [_row(line, f"{path}:{number}") for number, line in enumerate(read_lines(path), 1)]
    if len(rows) <= rows_max:
        return rows
    chosen = random.Random(seed).sample(range(len(rows)), rows_max)  # noqa: S311  # a sample, not a secret
    return [rows[number] for number in sorted(chosen)]


def _row(line: dict[str, Any], place: str) -> TrainingRow:
    question = line.get("query")
    if not isinstance(question, str) or not question.strip():
        raise UsageError(f'{place}: a row needs "query", a text.')
    negatives = line.get("negatives", [])
    if not isinstance(negatives, list):
        raise UsageError(f'{place}: "negatives" must be a list.')
    return TrainingRow(
        question, _text(line.get("positive"), place), tuple(_text(negative, place) for negative in negatives)
    )


def _text(value: object, place: str) -> TrainingText:
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        raise UsageError(f'{place}: "positive" and each of "negatives" must be {{"title", "text"}}.')
    return TrainingText(str(value.get("title") or ""), value["text"])
