"""Embedding passages: sentence-transformers with both cores busy, and the protocol behind it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from store.embedding import EmbeddingSpace, Vectors, unit_rows

_PART_SLACK = 16  # characters or tokens that a part may be longer for ending between words


class DocumentEmbedder(Protocol):
    """Turns embedded texts (header and passage) into vectors of one space."""

    @property
    def space(self) -> EmbeddingSpace:
        """The space its vectors belong to."""
        ...

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors of `texts`, float32, shape (len(texts), dimension), rows of unit length."""
        ...

    def encode_as_read(self, texts: Sequence[str]) -> Vectors:
        """The same by as much of each text as the model reads, as others embed with it."""
        ...


class SentenceTransformerEmbedder:
    """Any sentence-transformers model from a folder. Torch is imported when the first text is embedded.

    Args:
        folder: the model's folder.
        space: its space, as read from the folder.
        batch: texts in one forward pass.
    """

    def __init__(self, folder: Path, space: EmbeddingSpace, *, batch: int = 32) -> None:
        self._folder = folder
        self._space = space
        self._batch = batch
        self._model: Any = None

    @property
    def space(self) -> EmbeddingSpace:
        """The space its vectors belong to."""
        return self._space

    @property
    def model(self) -> Any:
        """The loaded SentenceTransformer."""
        if self._model is None:
            from sentence_transformers import SentenceTransformer
            from transformers.utils import logging

            logging.disable_progress_bar()  # loading takes a second; the build has a bar of its own
            self._model = SentenceTransformer(str(self._folder), device="cpu", local_files_only=True)
            self._model.max_seq_length = self._space.max_tokens
        return self._model

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors of `texts`, float32, shape (len(texts), dimension), rows of unit length.

        Of a text that is longer than the model reads, the mean of its parts' vectors.
        """
        parts = [self._parts(text) for text in texts]
        vectors = self.encode_as_read([part for some in parts for part in some])
        starts = np.cumsum([0, *map(len, parts)])[:-1]
        return unit_rows(np.add.reduceat(vectors, starts, axis=0)) if len(texts) else vectors

    def encode_as_read(self, texts: Sequence[str]) -> Vectors:
        """The same by as much of each text as the model reads, as others embed with it."""
        prefix = self._space.document_prefix
        vectors = self.model.encode(
            [prefix + text for text in texts],
            batch_size=self._batch,
            convert_to_numpy=True,
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        return unit_rows(np.asarray(vectors, np.float32).reshape(len(texts), self._space.dimension))

    def _parts(self, text: str) -> list[str]:
        """The text, or as few parts of like length as the model reads whole, cut before words where there are any."""
        room = self._space.max_tokens - 2
        if len(text) <= room:
            return [text]
        offsets = self.model.tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, verbose=False, truncation=False
        )["offset_mapping"]
        if len(offsets) <= room:
            return [text]
        count = math.ceil(len(offsets) / (room - _PART_SLACK))
        borders = [_word_start(text, offsets[len(offsets) * number // count][0]) for number in range(1, count)]
        return [text[left:right] for left, right in itertools.pairwise([0, *borders, len(text)])]


def _word_start(text: str, at: int) -> int:
    """The nearest start of a word before `at`; `at` where there is none near."""
    space = text.rfind(" ", max(at - _PART_SLACK, 0), at)
    return at if space < 0 else space + 1


def encode_sorted(
    embedder: DocumentEmbedder,
    texts: Sequence[str],
    keep: Callable[[Sequence[int], Vectors], None],
    *,
    chunk: int = 256,
) -> None:
    """Embed `texts` longest first (so that a batch holds texts of like length and little is padding), handing each
    finished chunk to `keep` with the positions of its texts, so that nothing done is lost when the run is stopped.
    """
    order = sorted(range(len(texts)), key=lambda position: -len(texts[position]))
    for at in range(0, len(order), chunk):
        part = order[at : at + chunk]
        keep(part, embedder.encode_documents([texts[position] for position in part]))
