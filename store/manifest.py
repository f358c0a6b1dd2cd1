"""The manifest: what both sides must agree on, written once by the indexer and believed by every reader."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from store.embedding import EmbeddingSpace
from store.errors import FormatUnsupported, StoreCorrupt

FORMAT_VERSION = 1
"""1: the first format (docs/store-format.md)."""
OLDEST_READ = 1

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _inside(name: str) -> str:
    if any(part in {"", ".", ".."} for part in name.split("/")) or "\0" in name:
        raise ValueError(f"{name!r} is not a path inside the folder")
    return name


Inside = Annotated[str, AfterValidator(_inside)]
"""A relative path that leads nowhere else, whoever wrote the manifest."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileEntry(_Part):
    """One file of the snapshot (or of an encoder folder) with what it must hold."""

    sha256: Sha256
    size: Annotated[int, Field(ge=0)]


class Counts(_Part):
    """How much the snapshot holds."""

    documents: Annotated[int, Field(ge=0)]
    passages: Annotated[int, Field(ge=0)]
    quarantined: Annotated[int, Field(ge=0)] = 0


class SplitterSettings(_Part):
    """How documents were split; another value makes other passages, or (header) other texts of the same passages."""

    version: int
    passage_tokens: int
    header_tokens_max: int
    header: bool = True


class VectorIndex(_Part):
    """Which FAISS index was built and what was measured of it.

    `recall_at_10` is against exact search on held-out rows (1.0 for the exact kind, by definition); `refine_factor`
    times k candidates are rescored from the raw vectors.
    """

    kind: Literal["flat", "pq_fastscan", "hnsw"]
    refine_factor: Annotated[int, Field(ge=1, le=1000)] = 1
    recall_at_10: Annotated[float, Field(ge=0, le=1)] = 1.0
    meets_target: bool = True


class QueryEncoderEntry(_Part):
    """A query encoder admitted to the space, with its parity: cosine to the indexing model on sample texts.

    Weights in int8 are among `files` only where their parity sufficed.
    """

    kind: Literal["onnx", "hash"]
    folder: Inside | None = None
    files: dict[Inside, FileEntry] = {}
    parity_cosine_min: float = 1.0
    parity_cosine_min_int8: float | None = None
    parity_texts: int = 0


class Manifest(_Part):
    """manifest.json of one snapshot.

    `content_sha256` covers every document, passage span and ledger line, and nothing that differs between two builds of
    the same content: equal content is not published again.
    """

    format_version: int
    generation: Annotated[int, Field(ge=1, lt=10**12)]
    parent: str | None
    created_at: str
    counts: Counts
    files: dict[Inside, FileEntry]
    space: EmbeddingSpace
    query_encoders: list[QueryEncoderEntry]
    analyzer: str
    splitter: SplitterSettings
    vector_index: VectorIndex
    content_sha256: Sha256

    def to_bytes(self) -> bytes:
        """The file's bytes: indented JSON, so that people can read it."""
        return self.model_dump_json(indent=1).encode() + b"\n"

    @staticmethod
    def name_of(generation: int, data: bytes) -> str:
        """The snapshot's folder name: generation, then the first 8 hex digits of the manifest's sha256."""
        return f"{generation:06d}-{hashlib.sha256(data).hexdigest()[:8]}"


class _Version(BaseModel):
    format_version: int


def parse_manifest(data: bytes, file: str) -> Manifest:
    """The manifest in `data`; raises FormatUnsupported or StoreCorrupt, both naming `file`."""
    try:
        version = _Version.model_validate_json(data).format_version
        if not OLDEST_READ <= version <= FORMAT_VERSION:
            raise FormatUnsupported(file, f"{OLDEST_READ} to {FORMAT_VERSION}", version)
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole file"
        raise StoreCorrupt(file, "a manifest", f"{first['msg']} at {place}") from error
