"""Training rows of a support scorer: a claim, its evidence, and whether the one follows from the other."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from evaluation.sets import read_lines
from service.support import compared
from store.analyzer import Analyzer
from store.errors import UsageError
from store.text import canonical
from training.examples import Example

Label = Literal["supported", "refuted", "neutral"]

LABELS: dict[object, Label] = {
    "supported": "supported",
    "refuted": "refuted",
    "neutral": "neutral",
    True: "supported",
    False: "neutral",
}
"""A label as NLI sets have it, or as `footnote evaluate support` reads it: false does not tell refuted from neutral."""


@dataclass(frozen=True, slots=True)
class LabelledRow:
    """One claim, its evidence, and what the one says of the other."""

    claim: str
    evidence: str
    label: Label


@dataclass(frozen=True, slots=True)
class SupportRow:
    """One claim; `supported` is 1.0 or 0.0."""

    claim: str
    evidence: str
    supported: float


def read_support_rows(path: Path, rows_max: int, *, seed: int = 0) -> list[SupportRow]:
    """The rows of `read_labelled_rows`, refuted and neutral alike not supported."""
    rows = read_labelled_rows(path, rows_max, seed=seed)
    return [SupportRow(row.claim, row.evidence, float(row.label == "supported")) for row in rows]


def read_labelled_rows(path: Path, rows_max: int, *, seed: int = 0) -> list[LabelledRow]:
    """At most so many rows of the file, drawn at random, in the file's order. Raises UsageError naming a bad line."""
    rows = [_row(line, f"{path}:{number}") for number, line in enumerate(read_lines(path), 1)]
    if len(rows) <= rows_max:
        return rows
    chosen = random.Random(seed).sample(range(len(rows)), rows_max)  # noqa: S311  # a sample, not a secret
    return [rows[number] for number in sorted(chosen)]


def examples_of_support(rows: Sequence[SupportRow], analyzer: Analyzer) -> list[Example]:
    """The claims, each beside what the service compares it with of its evidence."""
    examples = []
    for row in rows:
        claim = canonical(row.claim)
        text = compared(claim, canonical(row.evidence), analyzer)
        if text:
            examples.append(Example(claim, text, row.supported))
    return examples


def _row(line: dict[str, Any], place: str) -> LabelledRow:
    claim, evidence, label = line.get("claim"), line.get("evidence"), line.get("label")
    if not isinstance(claim, str) or not isinstance(evidence, str) or not claim.strip() or not evidence.strip():
        raise UsageError(f'{place}: a row needs "claim" and "evidence", texts.')
    if not isinstance(label, str | bool) or label not in LABELS:
        raise UsageError(f'{place}: "label" must be one of {", ".join(map(str, LABELS))}, found {label!r}.')
    return LabelledRow(claim, evidence, LABELS[label])
