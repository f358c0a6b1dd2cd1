"""What networks that judge support learn from: labelled rows, and targets made of labels and of what teachers say."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from service.support import compared
from store.analyzer import Analyzer
from store.errors import UsageError
from store.text import canonical
from training.pair_network import Floats, Pair, Targets
from training.support import Label, LabelledRow, read_labelled_rows

HELD_BACK_OF = 25
"""One row of so many is held back."""

REFUTED_SHARE = 0.5
"""What the loss of the output "refuted" weighs against that of "supported"."""
TEACHER_SHARE = 0.5
"""Of a labelled row's target; the rest is its label."""
POOL_WEIGHT = 0.7
"""What a pair of the pool counts against a labelled row."""
LIKELY, UNLIKELY_KEPT = 0.1, 0.4
"""Of the pool every pair is kept that teachers give more than this, and this share of the others."""


@dataclass(frozen=True, slots=True)
class EntailmentRow:
    """A labelled claim.

    Args:
        claim: as it stands.
        text: what the service compares it with of the evidence.
        label: what the one says of the other.
        source: the file's name without .jsonl.
        evidence: all of it.
    """

    claim: str
    text: str
    label: Label
    source: str
    evidence: str

    @property
    def pair(self) -> Pair:
        """Claim and text."""
        return self.claim, self.text

    @property
    def supported(self) -> bool:
        """Whether the text supports the claim."""
        return self.label == "supported"


def read_source(path: Path, rows_max: int, *, seed: int) -> list[LabelledRow]:
    """As `read_labelled_rows`; raises UsageError too where not two rows at least are supported and two are not."""
    rows = read_labelled_rows(path, rows_max, seed=seed)
    supported = sum(row.label == "supported" for row in rows)
    if min(supported, len(rows) - supported) < 2:
        raise UsageError(
            f"{path}: needs claims that are supported and claims that are not, two of each at least.",
            fix="Leave the file out, or add rows of the other kind.",
        )
    return rows


def beside_what_is_compared(rows: Sequence[LabelledRow], source: str, analyzer: Analyzer) -> list[EntailmentRow]:
    """The claims, each beside what the service compares it with; those that it has nothing for are left out."""
    found = []
    for row in rows:
        claim, evidence = canonical(row.claim), canonical(row.evidence)
        text = compared(claim, evidence, analyzer)
        if text:
            found.append(EntailmentRow(claim, text, row.label, source, evidence))
    return found


def held_back(rows: Sequence[EntailmentRow], dice: random.Random) -> tuple[list[EntailmentRow], list[EntailmentRow]]:
    """One row in 25, drawn, and the others. A pair that stands in the rows twice counts once, as it stands last."""
    once = list({row.pair: row for row in rows}.values())
    dice.shuffle(once)
    return once[::HELD_BACK_OF], [row for place, row in enumerate(once) if place % HELD_BACK_OF]


def refuting_sources(rows: Sequence[EntailmentRow], never: Collection[str]) -> frozenset[str]:
    """The sources that tell refuted from neutral: those with a refuted row, but for the ones named."""
    return frozenset(row.source for row in rows if row.label == "refuted") - frozenset(never)


def label_targets(rows: Sequence[EntailmentRow], refuting: Collection[str], weights: Mapping[str, float]) -> Targets:
    """Targets of the labels alone; "refuted" has none where the source does not tell.

    Args:
        rows: the labelled rows.
        refuting: the sources that tell.
        weights: of sources; else 1.
    """
    wanted = np.array([[row.label == "supported", row.label == "refuted"] for row in rows], np.float32)
    shares = np.array([[1.0, REFUTED_SHARE * (row.source in refuting)] for row in rows], np.float32)
    counts = np.array([[weights.get(row.source, 1.0)] for row in rows], np.float32)
    return Targets(wanted, shares * counts)


def softened(labels: Targets, taught: Floats) -> Targets:
    """Half the label and half what the teachers say; theirs alone where there is no label.

    Args:
        labels: of the labelled rows.
        taught: float32, shape (rows, 2): the teachers' probabilities of supported and refuted.
    """
    wanted = np.where(labels.weights > 0, (1 - TEACHER_SHARE) * labels.wanted + TEACHER_SHARE * taught, taught)
    return _all_counting(wanted, labels.weights[:, 0])


def worth_learning(taught: Floats, dice: np.random.Generator) -> npt.NDArray[np.intp]:
    """Places of the pool's pairs that are learned from: of those that hardly support anything only some.

    Args:
        taught: float32, shape (pairs, 2).
        dice: which of them.
    """
    return np.flatnonzero((taught[:, 0] > LIKELY) | (dice.random(len(taught)) < UNLIKELY_KEPT))


def pool_targets(taught: Floats) -> Targets:
    """What the teachers say, of pairs without a label."""
    return _all_counting(taught, np.full(len(taught), POOL_WEIGHT))


def _all_counting(wanted: Floats, counts: npt.NDArray[np.floating[Any]]) -> Targets:
    weights = np.stack([counts, REFUTED_SHARE * counts], axis=1)
    return Targets(wanted.astype(np.float32), weights.astype(np.float32))
