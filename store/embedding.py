"""Embedding spaces and the encoders that turn a question into a vector of one. Torch is not needed here."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import rfc8785

from store.errors import SpaceMismatch

Vectors = npt.NDArray[np.float32]
"""float32, shape (n, dimension), rows of unit length where the space is normalised."""


Precision = Literal["fp32", "int8"]
CPU_FACTS = Path("/proc/cpuinfo")
ENCODER_FILES: dict[Precision, str] = {"fp32": "model.onnx", "int8": "model.int8.onnx"}
"""What holds a query encoder's weights."""

_TOKEN_CHARS_MAX = 40  # of a question are tokenized for each token that the model reads


@dataclass(frozen=True, slots=True)
class EmbeddingSpace:
    """Everything that decides whether two vectors may be compared. Part of the manifest, never a setting.

    Args:
        model: the model's name.
        weights_sha256, tokenizer_sha256: of the files themselves (hex); equal names prove nothing.
        pooling: "mean", "cls", ...; the sentence-transformers modules after the encoder.
        dimension: length of a vector.
        normalised: whether rows have unit length, so that the inner product is the cosine.
        max_tokens: what the encoder reads at most, special tokens included.
        query_prefix, document_prefix: put before a text on each side.
    """

    model: str
    weights_sha256: str
    tokenizer_sha256: str
    pooling: str
    dimension: int
    normalised: bool
    max_tokens: int
    query_prefix: str = ""
    document_prefix: str = ""

    @property
    def fingerprint(self) -> str:
        """First 16 hex digits of sha256 over the RFC 8785 JSON of all fields."""
        return hashlib.sha256(rfc8785.dumps(asdict(self))).hexdigest()[:16]

    def require_same(self, other: EmbeddingSpace) -> None:
        """Raise SpaceMismatch naming the first field in which `other` differs, with both values."""
        for field in fields(self):
            mine, its = getattr(self, field.name), getattr(other, field.name)
            if mine != its:
                raise SpaceMismatch(field.name, mine, its)


class QueryEncoder(Protocol):
    """Turns questions into vectors of one space. Safe to call from several threads."""

    @property
    def space(self) -> EmbeddingSpace:
        """The space its vectors belong to."""
        ...

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of `texts`, float32, shape (len(texts), dimension)."""
        ...


def quickest_precisions(facts: Path = CPU_FACTS) -> tuple[Precision, ...]:
    """The precisions in which this processor embeds a question, the quickest first.

    int8 is the quicker one where there are int8 dot products (VNNI; measured with AVX-512 alone). Where ONNX Runtime
    has no kernel for a processor it unpacks every weight before it multiplies, which takes four times as long as fp32.
    Where the system does not tell, fp32.

    Args:
        facts: what Linux says of its processors.
    """
    try:
        told = facts.read_text(errors="replace")
    except OSError:
        return ("fp32",)
    flags = set(re.findall(r"^flags\s*:(.*)$", told, flags=re.MULTILINE))
    everywhere = flags and all({"avx512_vnni", "avx_vnni"} & set(one.split()) for one in flags)
    return ("int8", "fp32") if everywhere else ("fp32",)


def unit_rows(vectors: Vectors) -> Vectors:
    """Rows scaled to unit length; a zero row stays zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.where(norms == 0, 1, norms), dtype=np.float32)


def open_session(path: Path, threads: int) -> Any:
    """An ONNX Runtime session on the processor, whose threads sleep while there is nothing to do.

    Args:
        path: of the model.
        threads: intra-op, for one call.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class OnnxEncoder:
    """The query encoder that the indexer exported: ONNX with pooling inside, and its tokenizer.

    Args:
        folder: holds the weights (`ENCODER_FILES`) and `tokenizer.json`, already checked against the manifest.
        space: the space it was admitted to.
        threads: ONNX Runtime's intra-op threads for one call.
        precision: which weights.
    """

    def __init__(self, folder: Path, space: EmbeddingSpace, *, threads: int = 1, precision: Precision = "fp32") -> None:
        from tokenizers import Tokenizer

        self.precision = precision
        self._space = space
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(space.max_tokens)
        self._tokenizer.enable_padding()
        self._session = open_session(folder / ENCODER_FILES[precision], threads)
        self._inputs = {entry.name for entry in self._session.get_inputs()}

    @property
    def space(self) -> EmbeddingSpace:
        """The space its vectors belong to."""
        return self._space

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of `texts`, float32, shape (len(texts), dimension)."""
        if not texts:
            return np.zeros((0, self._space.dimension), np.float32)
        longest = self._space.max_tokens * _TOKEN_CHARS_MAX  # the model would read no further anyway
        encoded = self._tokenizer.encode_batch([(self._space.query_prefix + text)[:longest] for text in texts])
        feeds: dict[str, Any] = {
            "input_ids": np.array([one.ids for one in encoded], np.int64),
            "attention_mask": np.array([one.attention_mask for one in encoded], np.int64),
            "token_type_ids": np.array([one.type_ids for one in encoded], np.int64),
        }
        (vectors,) = self._session.run(None, {name: feeds[name] for name in self._inputs})
        return np.ascontiguousarray(vectors, dtype=np.float32)


class HashEmbedder:
    """An encoder without a model: hashed character trigrams and words. Fast and deterministic, with real though weak
    lexical similarity. It ships for tests, for measuring everything but the model, and for machines without one.

    Args:
        dimension: length of a vector.
    """

    def __init__(self, dimension: int = 384) -> None:
        self._space = EmbeddingSpace(
            model=f"hash:{dimension}",
            weights_sha256="",
            tokenizer_sha256="",
            pooling="sum",
            dimension=dimension,
            normalised=True,
            max_tokens=256,
        )

    @property
    def space(self) -> EmbeddingSpace:
        """The space its vectors belong to."""
        return self._space

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of `texts`, float32, shape (len(texts), dimension)."""
        vectors = np.zeros((len(texts), self._space.dimension), np.float32)
        for row, text in enumerate(texts):
            for word in text.casefold().split():
                _add_hashed(vectors[row], word, 1.0)
                for i in range(len(word) - 2):
                    _add_hashed(vectors[row], word[i : i + 3], 0.3)
        return unit_rows(vectors)

    encode_documents = encode_queries
    encode_as_read = encode_queries


def _add_hashed(vector: npt.NDArray[np.float32], feature: str, weight: float) -> None:
    digest = int.from_bytes(hashlib.blake2b(feature.encode(), digest_size=8).digest(), "little")
    vector[(digest >> 1) % len(vector)] += weight if digest & 1 else -weight
