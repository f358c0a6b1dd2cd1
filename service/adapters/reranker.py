"""Rerankers behind one protocol: the pure scoring of (question, passage) pairs. Off by default."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from store.embedding import open_session
from store.errors import UsageError

_TOKEN_CHARS_MAX = 40  # of a text are tokenized for each token that the model reads


class Reranker(Protocol):
    """Scores pairs; larger is better. Blocking; called in batches on an executor."""

    @property
    def name(self) -> str:
        """What the model is called in reports."""
        ...

    def score(self, question: str, texts: Sequence[str]) -> list[float]:
        """One score for each text."""
        ...


class OnnxCrossEncoder:
    """A cross-encoder exported by `footnote export-reranker`: `model.onnx` and `tokenizer.json` in a folder.

    Args:
        folder: where it was exported to.
        threads: ONNX Runtime's intra-op threads.
        max_tokens: question and passage together are cut to this.
    """

    def __init__(self, folder: Path, *, threads: int = 1, max_tokens: int = 256) -> None:
        from tokenizers import Tokenizer

        missing = [name for name in ("model.onnx", "tokenizer.json") if not (folder / name).is_file()]
        if missing:
            raise UsageError(
                f"reranker folder {folder} has no {' and no '.join(missing)}.",
                fix="Export one: `footnote export-reranker MODEL FOLDER`.",
            )
        self.name = folder.name
        self._text_chars_max = max_tokens * _TOKEN_CHARS_MAX
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(max_tokens, strategy="longest_first")
        self._tokenizer.enable_padding()
        self._session = open_session(folder / "model.onnx", threads)
        self._inputs = {entry.name for entry in self._session.get_inputs()}

    def score(self, question: str, texts: Sequence[str]) -> list[float]:
        """One score for each text: the model's only logit."""
        encoded = self._tokenizer.encode_batch(
            [(question[: self._text_chars_max], text[: self._text_chars_max]) for text in texts]
        )
        feeds: dict[str, Any] = {
            "input_ids": np.array([one.ids for one in encoded], np.int64),
            "attention_mask": np.array([one.attention_mask for one in encoded], np.int64),
            "token_type_ids": np.array([one.type_ids for one in encoded], np.int64),
        }
        (logits,) = self._session.run(None, {name: feeds[name] for name in self._inputs})
        return [float(value) for value in np.asarray(logits).reshape(len(texts), -1)[:, 0]]
