"""The learned support scorer: how likely it is that a part of a passage supports a claim.

A model scores both; its score is brought to a probability by a logistic model (Platt 1999). There are two: the
guardrail's reads one sentence beside another (`service/adapters/entailment_model.py`), and the one that measures reads
texts of any length (`service/support_scorer.py`). Weights, calibration and thresholds come from `footnote train
verifier`; `card.json` says of what data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.adapters.entailment_model import PAIR, EntailmentModel
from service.adapters.token_encoder import OnnxTokenEncoder
from service.support_scorer import HEAD, SupportReader, SupportScorer, read_head
from store.analyzer import Analyzer
from store.errors import StoreCorrupt, UsageError
from store.files import sha256_file

BUNDLED = Path(__file__).with_name("support_model")
"""The weights that come with Footnote."""

CARD = "card.json"
FILES = ("model.onnx", PAIR, "tokenizer.json", HEAD)


class SupportCalibration(BaseModel):
    """From a score to a probability: 1 / (1 + exp(-(intercept + slope * score))).

    Args:
        intercept, slope: the logistic model's.
        threshold: the probability from which a claim counts as supported where both errors weigh the same.
        accept_from: the guardrail's, which had rather withhold: hardly any unsupported claim reaches it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    intercept: float
    slope: float
    threshold: Annotated[float, Field(ge=0, le=1)]
    accept_from: Annotated[float, Field(ge=0, le=1)]


class VerifierCard(BaseModel):
    """What the service reads of a scorer's card; the rest is for people.

    Args:
        sha256: of each of FILES.
        calibration: of the scorer of texts of any length.
        entailment: of the guardrail's.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    sha256: dict[str, str]
    calibration: SupportCalibration
    entailment: SupportCalibration


class PairModel(Protocol):
    """Scores a claim against texts; larger is better supported. Blocking."""

    def score(self, claim: str, texts: Sequence[str], /) -> list[float]:
        """One score for each text."""
        ...


class Verifier:
    """Scores parts of passages against claims. Blocking: 10 to 20 ms for a pair of 128 tokens on one core.

    Args:
        model: gives a pair one score.
        calibration: brings it to a probability.
    """

    def __init__(self, model: PairModel, calibration: SupportCalibration) -> None:
        self._model = model
        self.calibration = calibration

    def probabilities(self, claim: str, parts: Sequence[str]) -> list[float]:
        """For each part, the probability that it supports the claim, 0 to 1.

        Args:
            claim: one sentence.
            parts: of a passage, each with its header before it.
        """
        if not parts:
            return []
        return [probability(score, self.calibration) for score in self._model.score(claim, parts)]


def probability(score: float, calibration: SupportCalibration) -> float:
    """The calibrated probability of support, 0 to 1."""
    linear = calibration.intercept + calibration.slope * score
    return 1 / (1 + math.exp(-max(min(linear, 50.0), -50.0)))


def open_verifier(folder: Path, *, threads: int = 1) -> Verifier:
    """The guardrail's scorer in a folder, its files checked against its card.

    Raises UsageError where the folder holds none, StoreCorrupt where a file is not the one that the card names.
    """
    card = _checked_card(folder)
    return Verifier(EntailmentModel(folder, threads=threads), card.entailment)


def open_support(folder: Path, *, threads: int = 1) -> Verifier:
    """The scorer of texts of any length in a folder. Raises as `open_verifier` does."""
    card = _checked_card(folder)
    head = read_head(folder / HEAD)
    reader = SupportReader(OnnxTokenEncoder(folder, threads=threads), head.rarity, Analyzer())
    return Verifier(SupportScorer(reader, head), card.calibration)


def _checked_card(folder: Path) -> VerifierCard:
    lacking = [name for name in (CARD, *FILES) if not (folder / name).is_file()]
    if lacking:
        raise UsageError(
            f"support scorer {folder} has no {' and no '.join(lacking)}.",
            fix="Make one with `footnote train verifier`, or set FOOTNOTE_VERIFIER=bundled or none.",
        )
    try:
        card = VerifierCard.model_validate_json((folder / CARD).read_bytes())
    except ValidationError as error:
        raise UsageError(f"support scorer {folder}: {CARD} cannot be read: {error.errors()[0]['msg']}.") from None
    for name in FILES:
        found = sha256_file(folder / name)
        if found != card.sha256.get(name):
            expected = card.sha256.get(name, "none")
            fix = "Install Footnote again, or make the scorer again with `footnote train verifier`."
            raise StoreCorrupt(str(folder / name), f"sha256 {expected}", f"sha256 {found}", fix=fix)
    return card
