"""Settings of the evaluation."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from store.settings import IndexSettings


class EvaluationSettings(IndexSettings):
    """Everything the evaluation can be told beyond the indexer's and the service's settings."""

    evaluation_cache: Path = Field(
        Path("~/.cache/footnote/evaluation"),
        description="where indexes of question sets and per-query results are kept",
    )
    calibrate: bool = Field(
        default=True,
        description="weigh the legs and set when to refuse for each index after it was made; false: the defaults",
    )
    wrong_refusals_max: float = Field(
        0.1, gt=0, lt=1, description="share of answerable questions that a calibrated threshold may refuse"
    )
    wrong_refusals_confidence: float = Field(
        0.9, gt=0, lt=1, description="how surely a calibrated threshold refuses no more than that"
    )
