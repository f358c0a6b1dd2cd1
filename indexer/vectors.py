"""Where a passage's vector comes from: the cache, the parent snapshot, the model, or a file that somebody else made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from indexer.cache import EmbeddingCache
from indexer.embed import DocumentEmbedder, encode_sorted
from indexer.parent import Parent
from indexer.progress import Progress
from indexer.staging import StagedDocument
from store.document import embedded_text
from store.embedding import EmbeddingSpace, Vectors, unit_rows
from store.errors import InputError, SpaceMismatch, UsageError
from store.files import sha256_file

PARITY_MIN = 0.99
"""Least cosine between a given vector and the named model's own vector of the same text."""


class VectorSource(Protocol):
    """Gives the vectors of staged passages, window by window."""

    def vectors_of(self, window: Sequence[StagedDocument]) -> Vectors:
        """float32, shape (passages of the window, dimension), in row order."""
        ...

    @property
    def embedded(self) -> int:
        """How many texts were embedded so far."""
        ...


class Embedding:
    """Vectors from the parent snapshot (of the same space), else from the cache, else embedded now and cached.

    `header`: whether title and section path are embedded with a passage.
    """

    def __init__(
        self,
        embedder: DocumentEmbedder,
        cache: EmbeddingCache,
        parent: Parent | None,
        progress: Progress,
        *,
        header: bool = True,
    ) -> None:
        self._embedder = embedder
        self._header = header
        self._cache = cache
        self._parent = parent
        self._progress = progress
        self.embedded = 0

    def vectors_of(self, window: Sequence[StagedDocument]) -> Vectors:
        """The vector of every passage's embedded text; equal texts are embedded once."""
        hashes = [span.embedded_hash for staged in window for span in staged.spans]
        wanted = dict.fromkeys(hashes)
        known = {} if self._parent is None else self._parent.vectors_of(list(wanted))
        known |= self._cache.get([key for key in wanted if key not in known])
        texts = {
            span.embedded_hash: embedded_text(
                staged.document.title,
                span.section,
                staged.document.text[span.start : span.end],
                header=self._header,
            )
            for staged in window
            for span in staged.spans
            if span.embedded_hash not in known
        }
        missing = list(texts)

        def keep(positions: Sequence[int], vectors: Vectors) -> None:
            keys = [missing[position] for position in positions]
            self._cache.put(keys, vectors)
            known.update(zip(keys, vectors, strict=True))
            self._progress.advance(len(keys))

        encode_sorted(self._embedder, list(texts.values()), keep)
        self.embedded += len(missing)
        found = np.empty((len(hashes), self._embedder.space.dimension), np.float32)
        for row, key in enumerate(hashes):
            found[row] = known[key]
        return found


class GivenVectors:
    """Vectors from a `.npy` file, row by row those of the lines of one JSONL file.

    Args:
        path: a two-dimensional array of floats; it is mapped, never read whole, and never unpickled.

    Raises UsageError where it is no such file.
    """

    def __init__(self, path: Path) -> None:
        try:
            rows: Any = np.lib.format.open_memmap(path, mode="r")  # refuses pickled objects
        except (OSError, ValueError, EOFError) as error:
            raise UsageError(f"vectors {path} cannot be read as a .npy array: {error}.") from error
        if rows.ndim != 2 or rows.dtype.kind != "f" or not rows.shape[1]:
            found = f"{rows.dtype} of shape {rows.shape}"
            raise UsageError(f"vectors {path}: expected floats of shape (lines, dimension), found {found}.")
        self.path = path
        self._rows = rows
        self.sha256 = sha256_file(path)
        self.embedded = 0

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self._rows.shape[1])

    def __len__(self) -> int:
        return len(self._rows)

    def check_line(self, line: int) -> None:
        """Raise InputError ("bad_vector") where the row of the line with this number (from 0) has no direction."""
        length = float(np.linalg.norm(self._rows[line]))
        if not 0 < length < float("inf"):  # a NaN is neither
            raise InputError("bad_vector", f"row {line} of {self.path.name} is zero or not finite.")

    def vectors_of(self, window: Sequence[StagedDocument]) -> Vectors:
        """The rows that were staged for these passages, of unit length."""
        lines = np.array([staged.line for staged in window for _ in staged.spans], np.int64)
        return unit_rows(np.asarray(self._rows[lines], np.float32))


def unknown_space(dimension: int) -> EmbeddingSpace:
    """The space of vectors whose model nobody named: only vectors can be asked for, never texts embedded."""
    return EmbeddingSpace(
        model="unknown",
        weights_sha256="",
        tokenizer_sha256="",
        pooling="",
        dimension=dimension,
        normalised=True,
        max_tokens=0,
    )


def require_parity(embedder: DocumentEmbedder, texts: Sequence[str], headed: Sequence[str], vectors: Vectors) -> None:
    """Raise SpaceMismatch unless given vectors are what this model makes of these texts, with or without a header."""
    if vectors.shape[1] != embedder.space.dimension:
        raise SpaceMismatch("dimension", embedder.space.dimension, vectors.shape[1])
    cosines = [np.einsum("ij,ij->i", embedder.encode_as_read(form), vectors) for form in (texts, headed)]
    worst = float(np.maximum(*cosines).min(initial=1.0))
    if worst < PARITY_MIN:
        raise SpaceMismatch(
            f"vectors given for model {embedder.space.model} (least cosine to its own, over {len(texts)} texts)",
            f">= {PARITY_MIN}",
            round(worst, 4),
        )
