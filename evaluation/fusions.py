"""Fusions to compare: functions from the two legs' scores to fused scores, tried on legs that were asked once.

A fusion that a run should measure is a `Fusion` value; nothing else needs to know it. `fixed_weights` and
`reciprocal_rank` are the references that any other is held against.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from store.fusion import convex

RANK_CONSTANT = 60


@dataclass(frozen=True, slots=True)
class LegScores:
    """What both legs found for one question; scores by passage id, best first.

    Args:
        question: its text.
        dense, lexical: each leg's own candidates.
        beyond: dense scores of candidates that only the lexical leg found.
        dense_minimum, lexical_minimum: the smallest score each leg can give.
    """

    question: str
    dense: Mapping[str, float]
    lexical: Mapping[str, float]
    beyond: Mapping[str, float]
    dense_minimum: float
    lexical_minimum: float

    def ranked(self, fused: Mapping[str, float]) -> list[str]:
        """Candidates by fused score; equal ones in the order that the service gives them."""
        position = {key: number for number, key in enumerate(dict.fromkeys([*self.dense, *self.lexical]))}
        return sorted(fused, key=lambda key: (-fused[key], position[key]))


@dataclass(frozen=True, slots=True)
class Fusion:
    """A named fusion. `fuse` returns a fused score for every candidate of either leg."""

    name: str
    fuse: Callable[[LegScores], Mapping[str, float]]


def fixed_weights(weights: Sequence[float]) -> list[Fusion]:
    """TM2C2 (`store.fusion.convex`) with each of these dense weights."""
    return [Fusion(f"weight {weight:g}", partial(_convex, weight)) for weight in weights]


def reciprocal_rank(constant: int = RANK_CONSTANT) -> Fusion:
    """Reciprocal rank fusion (Cormack, Clarke, Buettcher, SIGIR 2009): the sum over legs of 1 / (constant + rank)."""
    return Fusion(f"rrf {constant}", partial(_reciprocal_rank, constant))


def _convex(weight: float, legs: LegScores) -> Mapping[str, float]:
    return convex(
        {**legs.dense, **legs.beyond},
        legs.lexical,
        dense_weight=weight,
        dense_minimum=legs.dense_minimum,
        lexical_minimum=legs.lexical_minimum,
    )


def _reciprocal_rank(constant: int, legs: LegScores) -> Mapping[str, float]:
    fused: dict[str, float] = {}
    for leg in (legs.dense, legs.lexical):
        for rank, key in enumerate(leg, 1):
            fused[key] = fused.get(key, 0.0) + 1 / (constant + rank)
    return fused
