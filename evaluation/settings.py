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
        default=True, description="weigh the legs for each index after it was made; false: the default weight"
    )
