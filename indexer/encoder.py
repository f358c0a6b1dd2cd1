"""Exporting models to ONNX, so that the service embeds and reranks without torch, and measuring that they agree."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from indexer.embed import SentenceTransformerEmbedder
from store.embedding import EmbeddingSpace, OnnxEncoder
from store.errors import SpaceMismatch, StoreCorrupt, UsageError
from store.files import Disk, check_file
from store.index import list_files
from store.manifest import QueryEncoderEntry

PARITY_COSINE_MIN = 0.999
_OPSET = 17
_PARITY_TEXTS = (
    "how do I reset my password",
    "What is the maximum number of connections?",
    "error 42P01 relation does not exist",
    "naïve café, 東京, 😀 emoji & symbols <b>",
    "a",
    "The quick brown fox jumps over the lazy dog. " * 40,
)


def ensure_query_encoder(
    encoders: Path,
    embedder: SentenceTransformerEmbedder,
    model_folder: Path,
    samples: Sequence[str],
    disk: Disk | None = None,
) -> QueryEncoderEntry:
    """The admitted query encoder of the embedder's space: the one exported before, if whole, else exported now.

    Args:
        encoders: `INDEX/encoders`.
        embedder: the model that embeds passages; loaded only if an export is needed.
        model_folder: where its tokenizer lies.
        samples: passages of the corpus, for measuring parity besides fixed texts.
        disk: what the folder's changes go through.

    Raises SpaceMismatch where the export disagrees with the model (cosine below PARITY_COSINE_MIN).
    """
    disk = disk or Disk()
    space = embedder.space
    folder = encoders / space.fingerprint
    known = _exported_before(folder)
    if known is not None:
        return known
    disk.make_folder(encoders)
    for stray in encoders.glob(".build-*"):
        disk.remove_tree(stray)
    build = encoders / f".build-{secrets.token_hex(4)}"
    disk.mkdir(build)
    try:
        disk.write(build / "tokenizer.json", (model_folder / "tokenizer.json").read_bytes())
        _export(embedder.model, space, build / "model.onnx")
        texts = [*_PARITY_TEXTS, *samples]
        parity = _parity(embedder, build, space, texts)
        if parity < PARITY_COSINE_MIN:
            raise SpaceMismatch("query encoder parity (least cosine)", f">= {PARITY_COSINE_MIN}", round(parity, 6))
        entry = QueryEncoderEntry(
            kind="onnx",
            folder=space.fingerprint,
            files=list_files(build),
            parity_cosine_min=round(parity, 6),
            parity_texts=len(texts),
        )
        disk.write(build / "encoder.json", _sealed(entry).encode())
        if folder.exists():
            disk.remove_folder(folder)
        disk.publish_folder(build, folder)
    finally:
        disk.remove_tree(build)
    return entry.model_copy(update={"files": list_files(folder)})


def _sealed(entry: QueryEncoderEntry) -> str:
    """encoder.json: the entry, and its own sha256, since nothing else vouches for it."""
    described = entry.model_dump_json()
    return json.dumps(
        {"entry": json.loads(described), "sha256": hashlib.sha256(described.encode()).hexdigest()}, indent=1
    )


def _exported_before(folder: Path) -> QueryEncoderEntry | None:
    try:
        text = (folder / "encoder.json").read_text()
        entry = QueryEncoderEntry.model_validate(json.loads(text)["entry"])
        if text != _sealed(entry):
            return None
        files = list_files(folder)
        for name, file in entry.files.items():
            check_file(folder / name, sha256=file.sha256, size=file.size)
    except (OSError, ValueError, KeyError, TypeError, StoreCorrupt):
        return None
    if files.keys() != entry.files.keys() | {"encoder.json"}:
        return None
    return entry.model_copy(update={"files": files})


def _export(model: Any, space: EmbeddingSpace, path: Path) -> None:
    import torch

    names = [
        name for name in ("input_ids", "attention_mask", "token_type_ids") if name in model.tokenizer.model_input_names
    ]

    class Pooled(torch.nn.Module):  # type: ignore[misc]  # torch is not typed here
        """The whole sentence-transformers model, ending in one unit vector a text."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *inputs: Any) -> Any:
            embedding = self.model(dict(zip(names, inputs, strict=True)))["sentence_embedding"]
            return torch.nn.functional.normalize(embedding, p=2, dim=1)

    example = dict(
        model.tokenizer(
            ["a short text", "a longer text, so that there is padding"],
            padding=True,
            truncation=True,
            max_length=space.max_tokens,
            return_tensors="pt",
        )
    )
    _to_onnx(Pooled().eval(), [example[name] for name in names], names, path, "embedding")


def _to_onnx(module: Any, example: Sequence[Any], names: Sequence[str], path: Path, output: str) -> None:
    import torch

    axes: dict[str, dict[int, str]] = {name: {0: "batch", 1: "tokens"} for name in names}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer warns of branches that do not depend on the input here
        torch.onnx.export(
            module,
            tuple(example),
            str(path),
            input_names=list(names),
            output_names=[output],
            dynamic_axes={**axes, output: {0: "batch"}},
            opset_version=_OPSET,
            dynamo=False,
        )


def _parity(embedder: SentenceTransformerEmbedder, folder: Path, space: EmbeddingSpace, texts: Sequence[str]) -> float:
    """The least cosine between the model's vectors and the export's, prefixes left out on both sides."""
    ours = OnnxEncoder(folder, space, threads=2).encode_queries(texts)
    theirs = embedder.model.encode(
        [space.query_prefix + text for text in texts],
        convert_to_numpy=True,
        normalize_embeddings=True,
        show_progress_bar=False,
    )
    return float(np.min(np.sum(ours * np.asarray(theirs, np.float32), axis=1)))


def export_cross_encoder(model: str, folder: Path) -> float:
    """Export a sentence-transformers CrossEncoder (by name or folder) for the service; returns the largest difference
    between its scores and the export's on sample pairs. The folder must not exist yet.

    Raises UsageError for a model that was not trained to give a pair one score: it would get a head of random weights.
    """
    import torch
    from sentence_transformers import CrossEncoder
    from transformers import AutoConfig

    if folder.exists():
        raise UsageError(f"{folder} exists already.", fix="Name a folder that does not exist yet.")
    config: Any = AutoConfig.from_pretrained(model)
    heads = [name for name in config.architectures or [] if name.endswith("ForSequenceClassification")]
    if not heads or config.num_labels != 1:
        kind = (
            f"{config.num_labels} labels" if heads else f"architecture {', '.join(config.architectures or ['unknown'])}"
        )
        raise UsageError(
            f"{model} is no cross-encoder that gives a pair one score ({kind}).",
            fix="Name one that does, such as cross-encoder/ms-marco-MiniLM-L6-v2, or the folder of one.",
        )
    encoder: Any = CrossEncoder(model, device="cpu", num_labels=1, activation_fn=torch.nn.Identity())
    tokenizer = encoder.tokenizer
    names = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in tokenizer.model_input_names]

    class Logits(torch.nn.Module):  # type: ignore[misc]  # torch is not typed here
        """The classifier alone: one logit a pair."""

        def __init__(self) -> None:
            super().__init__()
            self.model = encoder.model

        def forward(self, *inputs: Any) -> Any:
            return self.model(**dict(zip(names, inputs, strict=True))).logits

    pairs = [("what is a cat", "A cat is a small animal."), ("who", "Nobody knows, least of all the author of this.")]
    example = dict(tokenizer(*map(list, zip(*pairs, strict=True)), padding=True, return_tensors="pt"))
    build = Path(tempfile.mkdtemp(prefix=".build-", dir=_existing_parent(folder)))
    try:
        tokenizer.backend_tokenizer.save(str(build / "tokenizer.json"))
        _to_onnx(Logits().eval(), [example[name] for name in names], names, build / "model.onnx", "logits")
        difference = _score_difference(build, encoder, pairs)
        build.chmod(0o755)
        Disk().publish_folder(build, folder)
    finally:
        shutil.rmtree(build, ignore_errors=True)
    return difference


def _existing_parent(folder: Path) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder.parent


def _score_difference(folder: Path, encoder: Any, pairs: Sequence[tuple[str, str]]) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    wanted = {entry.name for entry in session.get_inputs()}
    inputs = encoder.tokenizer(*map(list, zip(*pairs, strict=True)), padding=True, return_tensors="np")
    (logits,) = session.run(None, {name: value for name, value in inputs.items() if name in wanted})
    return float(np.max(np.abs(logits[:, 0] - encoder.predict(list(pairs)))))
