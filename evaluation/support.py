"""Measuring the support check on files of (claim, evidence, label): is a sentence supported by its source?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.measures import binary_auroc
from evaluation.sets import read_lines
from service.support import SupportCheck
from store.errors import UsageError


@dataclass(frozen=True, slots=True)
class SupportPair:
    """A claim, what it is said to follow from, and whether people found that it does."""

    claim: str
    evidence: str
    label: bool


def read_support(path: Path) -> list[SupportPair]:
    """The pairs of a file of `{"claim", "evidence", "label": true|false}`. Raises UsageError naming a bad line."""
    if not path.is_file():
        raise UsageError(f"there is no file {path}.")
    pairs = [_pair(row, f"{path}:{number}") for number, row in enumerate(read_lines(path), 1)]
    if len({one.label for one in pairs}) < 2:
        raise UsageError(f"{path}: needs lines with label true and lines with label false.")
    return pairs


def measure_support(path: Path, check: SupportCheck) -> dict[str, float]:
    """`{"n", "balanced_accuracy", "auroc", "threshold"}` at the shipped threshold, never one chosen on this file."""
    pairs = read_support(path)
    scores = [check.score(one.claim, one.evidence) for one in pairs]
    labels = [one.label for one in pairs]
    return {
        "n": len(pairs),
        "balanced_accuracy": round(balanced_accuracy(scores, labels, check.threshold), 4),
        "auroc": round(binary_auroc(scores, labels), 4),
        "threshold": check.threshold,
    }


def balanced_accuracy(scores: Sequence[float], labels: Sequence[bool], threshold: float) -> float:
    """Mean of the share of the supported that reach the threshold and of the others that do not."""
    positive = sum(labels)
    reached = sum(score >= threshold for score, label in zip(scores, labels, strict=True) if label)
    below = sum(score < threshold for score, label in zip(scores, labels, strict=True) if not label)
    return (reached / positive + below / (len(labels) - positive)) / 2


def _pair(row: dict[str, Any], place: str) -> SupportPair:
    kinds = {"claim": str, "evidence": str, "label": bool}
    if any(not isinstance(row.get(name), kind) for name, kind in kinds.items()):
        raise UsageError(f'{place}: expected {{"claim": str, "evidence": str, "label": true|false}}.')
    return SupportPair(row["claim"], row["evidence"], row["label"])
