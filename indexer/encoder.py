"""Exporting models to ONNX, so that the service embeds and reranks without torch, and measuring that they agree."""

from __future__ import annotations

import collections
import hashlib
import json
import secrets
import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from indexer.embed import SentenceTransformerEmbedder
from store.embedding import ENCODER_FILES, EmbeddingSpace, OnnxEncoder, Precision
from store.errors import SpaceMismatch, StoreCorrupt, UsageError
from store.files import Disk, check_file
from store.index import list_files
from store.manifest import QueryEncoderEntry

PARITY_COSINE_MIN = 0.999
_OPSET = 17
_INT8_BLOCK = 16  # weights that share a scale; docs/measurements.md tells why not 32
PARITY_TEXTS = (
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

    Its weights are kept in int8 too, where that export agrees with the model as well.

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
        _export(embedder.model, space, build / ENCODER_FILES["fp32"])
        texts = [*PARITY_TEXTS, *samples]
        parity = _parity(embedder, build, space, texts, "fp32")
        if parity < PARITY_COSINE_MIN:
            raise SpaceMismatch("query encoder parity (least cosine)", f">= {PARITY_COSINE_MIN}", round(parity, 6))
        _quantise(build / ENCODER_FILES["fp32"], build / ENCODER_FILES["int8"])
        parity_int8 = _parity(embedder, build, space, texts, "int8")
        if parity_int8 < PARITY_COSINE_MIN:
            disk.unlink(build / ENCODER_FILES["int8"])
        entry = QueryEncoderEntry(
            kind="onnx",
            folder=space.fingerprint,
            files=list_files(build),
            parity_cosine_min=round(parity, 6),
            parity_cosine_min_int8=round(parity_int8, 6),
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
    to_onnx(Pooled().eval(), [example[name] for name in names], names, path, {"embedding": {0: "batch"}})


def to_onnx(
    module: Any, example: Sequence[Any], names: Sequence[str], path: Path, outputs: Mapping[str, dict[int, str]]
) -> None:
    """Write the module as ONNX. `names` are its inputs', `outputs` names the axes of each output that vary."""
    import torch

    axes: dict[str, dict[int, str]] = {name: {0: "batch", 1: "tokens"} for name in names}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer warns of branches that do not depend on the input here
        torch.onnx.export(
            module,
            tuple(example),
            str(path),
            input_names=list(names),
            output_names=list(outputs),
            dynamic_axes={**axes, **outputs},
            opset_version=_OPSET,
            dynamo=False,
        )


def _quantise(source: Path, target: Path) -> None:
    """Write `source` with the weights of its matrix products in int8, a scale for each block of _INT8_BLOCK.

    The operator is ONNX Runtime's MatMulNBits; with accuracy level 4 it quantises activations by blocks too. Its own
    quantiser is not used: importing it sets up logging for the whole process.
    """
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(str(source))
    graph = model.graph
    weights = {entry.name: entry for entry in graph.initializer}
    uses = collections.Counter(name for node in graph.node for name in node.input)
    for place, node in enumerate(graph.node):
        weight = weights.get(node.input[1]) if node.op_type == "MatMul" else None
        if weight is None or len(weight.dims) != 2 or weight.dims[0] % _INT8_BLOCK or uses[weight.name] > 1:
            continue
        taken, given = weight.dims
        blocks = numpy_helper.to_array(weight).T.reshape(given, taken // _INT8_BLOCK, _INT8_BLOCK)
        scales = np.maximum(np.abs(blocks).max(axis=2) / 127, np.finfo(np.float32).tiny)
        codes = (np.rint(blocks / scales[:, :, None]) + 128).astype(np.uint8)  # 128 stands for zero
        names = f"{weight.name}.int8", f"{weight.name}.scales"
        attributes = {"K": taken, "N": given, "bits": 8, "block_size": _INT8_BLOCK, "accuracy_level": 4}
        product = helper.make_node(
            "MatMulNBits", [node.input[0], *names], node.output, node.name, domain="com.microsoft", **attributes
        )
        graph.node[place].CopyFrom(product)
        graph.initializer.extend(map(numpy_helper.from_array, (codes, scales.astype(np.float32)), names))
        graph.initializer.remove(weight)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, str(target))


def _parity(
    embedder: SentenceTransformerEmbedder,
    folder: Path,
    space: EmbeddingSpace,
    texts: Sequence[str],
    precision: Precision,
) -> float:
    """The least cosine between the model's vectors and the export's, prefixes left out on both sides."""
    ours = OnnxEncoder(folder, space, threads=2, precision=precision).encode_queries(texts)
    theirs = embedder.model.encode(
        [space.query_prefix + text for text in texts],
        convert_to_numpy=True,
        normalize_embeddings=True,
        show_progress_bar=False,
    )
    return float(np.min(np.sum(ours * np.asarray(theirs, np.float32), axis=1)))


def export_cross_encoder(model: str, folder: Path, *, int8: bool = False) -> float:
    """Export a sentence-transformers CrossEncoder (by name or folder) for the service; returns the largest difference
    between its scores and the export's on sample pairs. The folder must not exist yet.

    With `int8`, weights of products and embeddings are quantised: a quarter of the size.

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
    build = Path(tempfile.mkdtemp(prefix=".build-", dir=existing_parent(folder)))
    try:
        tokenizer.backend_tokenizer.save(str(build / "tokenizer.json"))
        to_onnx(
            Logits().eval(), [example[name] for name in names], names, build / "model.onnx", {"logits": {0: "batch"}}
        )
        if int8:
            quantise_dynamically(build / "model.onnx")
        difference = _score_difference(build, encoder, pairs)
        build.chmod(0o755)
        Disk().publish_folder(build, folder)
    finally:
        shutil.rmtree(build, ignore_errors=True)
    return difference


def quantise_dynamically(path: Path) -> None:
    """Quantise the weights of products and embeddings at `path`, in place: a quarter of the size."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    whole = path.with_name("whole.onnx")
    path.rename(whole)
    quantize_dynamic(
        whole,
        path,
        op_types_to_quantize=["MatMul", "Gather"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        extra_options={"MatMulConstBOnly": True},
    )
    whole.unlink()


def existing_parent(folder: Path) -> Path:
    """The folder's parent, made where it is not there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder.parent


def _score_difference(folder: Path, encoder: Any, pairs: Sequence[tuple[str, str]]) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    wanted = {entry.name for entry in session.get_inputs()}
    inputs = encoder.tokenizer(*map(list, zip(*pairs, strict=True)), padding=True, return_tensors="np")
    (logits,) = session.run(None, {name: value for name, value in inputs.items() if name in wanted})
    return float(np.max(np.abs(logits[:, 0] - encoder.predict(list(pairs)))))
