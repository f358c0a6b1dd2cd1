"""Token vectors of a text by a frozen sentence encoder: what its word pieces mean where they stand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from store.embedding import open_session

TOKENS_MAX = 256
_TOKEN_CHARS_MAX = 40  # of a text are tokenized for each token that the model reads
_REMEMBERED = 32
"""Texts whose vectors are kept: the sentences of one answer are compared with the same few. Under 1 MB each."""


@dataclass(frozen=True, slots=True, eq=False)
class TokenVectors:
    """A text's word pieces, without the marks at its beginning and end.

    Args:
        ids: int64, shape (tokens,): numbers in the vocabulary.
        spans: int64, shape (tokens, 2): text[start:end] of each, in code points.
        vectors: float32, shape (layers, tokens, dimension), each of unit length.
        mean: float32, shape (dimension,), of unit length: the sentence vector, as sentence-transformers pools it.
    """

    ids: npt.NDArray[np.int64]
    spans: npt.NDArray[np.int64]
    vectors: npt.NDArray[np.float32]
    mean: npt.NDArray[np.float32]


class TokenEncoder(Protocol):
    """Gives texts token vectors. Blocking; the same text always gets the same ones."""

    def encode(self, text: str) -> TokenVectors:
        """Of the first TOKENS_MAX word pieces."""
        ...


class OnnxTokenEncoder:
    """An encoder exported by `footnote train verifier`. One text at a time: int8 products take their scale from all of
    a batch, so that a text's vectors would depend on its neighbours.

    Args:
        folder: holds `model.onnx` and `tokenizer.json`.
        threads: ONNX Runtime's intra-op threads.
    """

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(TOKENS_MAX)
        self._tokenizer.no_padding()
        self._session = open_session(folder / "model.onnx", threads)
        self._remembered = lru_cache(maxsize=_REMEMBERED)(self._encode)

    def encode(self, text: str) -> TokenVectors:
        """Of the first TOKENS_MAX word pieces."""
        return self._remembered(text[: TOKENS_MAX * _TOKEN_CHARS_MAX])

    def _encode(self, text: str) -> TokenVectors:
        encoded = self._tokenizer.encode(text)
        ids = np.array([encoded.ids], np.int64)
        feeds: dict[str, Any] = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.zeros_like(ids),
        }
        vectors, mean = self._session.run(None, feeds)
        return TokenVectors(
            ids[0, 1:-1],
            np.array(encoded.offsets[1:-1], np.int64).reshape(-1, 2),
            np.ascontiguousarray(vectors[0, :, 1:-1], np.float32),
            np.asarray(mean[0], np.float32),
        )
