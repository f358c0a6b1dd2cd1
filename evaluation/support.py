"""Measuring the support check on files of (claim, evidence, label): is a sentence supported by its source?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from evaluation.measures import binary_auroc
from evaluation.sets import open_text
from service.ground import COVERAGE_MIN, support_score
from store.analyzer import Analyzer
from store.errors import UsageError


def measure_support(path: Path) -> dict[str, float]:
    """`{"n", "balanced_accuracy", "auroc", "threshold"}` at the shipped threshold, never one chosen on this file.

    Lines are `{"claim": str, "evidence": str, "label": true|false}`. Raises UsageError naming file and line.
    """
    analyzer = Analyzer()
    scores: list[float] = []
    labels: list[bool] = []
    if not path.is_file():
        raise UsageError(f"there is no file {path}.")
    with open_text(path) as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            row = _row(line, path, number)
            scores.append(support_score(row["claim"], row["evidence"], analyzer))
            labels.append(row["label"])
    positive = sum(labels)
    if not 0 < positive < len(labels):
        raise UsageError(f"{path}: needs lines with label true and lines with label false.")
    right_true = sum(score >= COVERAGE_MIN and label for score, label in zip(scores, labels, strict=True))
    right_false = sum(score < COVERAGE_MIN and not label for score, label in zip(scores, labels, strict=True))
    balanced = (right_true / positive + right_false / (len(labels) - positive)) / 2
    return {
        "n": len(labels),
        "balanced_accuracy": round(balanced, 4),
        "auroc": round(binary_auroc(scores, labels), 4),
        "threshold": COVERAGE_MIN,
    }


def _row(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        row: Any = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{path}:{number}: not JSON: {error}.") from error
    kinds = {"claim": str, "evidence": str, "label": bool}
    if not isinstance(row, dict) or any(not isinstance(row.get(name), kind) for name, kind in kinds.items()):
        raise UsageError(f'{path}:{number}: expected {{"claim": str, "evidence": str, "label": true|false}}.')
    return row
