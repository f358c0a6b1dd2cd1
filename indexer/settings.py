"""Settings of the offline indexer."""

from __future__ import annotations

from pydantic import Field

from store.settings import IndexSettings


class IndexerSettings(IndexSettings):
    """Everything the indexer can be told."""

    embedding_model: str = Field(
        "all-MiniLM-L6-v2",
        description="a sentence-transformers model by name or folder; hash:384 needs no model (tests, measurements)",
    )
    embedding_batch: int = Field(32, ge=1, description="texts embedded in one forward pass")
    query_prefix: str = Field("", description="put before a question when it is embedded (E5: 'query: ')")
    document_prefix: str = Field("", description="put before a passage when it is embedded (E5: 'passage: ')")
    passage_tokens: int | None = Field(
        None, ge=16, description="longest passage in the model's tokens, header included; absent: the model's maximum"
    )
    passage_header: bool = Field(
        default=True, description="put title and section path before a passage where it is embedded and indexed"
    )
    language: str = Field(
        "auto",
        description="stemming language of the lexical leg: auto detects each document's; a Snowball name or none "
        "holds for all",
    )
    base_url: str | None = Field(None, description="gives files a URL: this, then their path")
