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
TOKEN_PARITY_COSINE_MIN = 0.95  # of one token in int8; all-MiniLM-L6-v2 has 0.98
PAIR_DIFFERENCE_MAX = 1.0  # of a logit in int8
_SHARED_BYTES_MIN = 4096  # of a weight that two models hold
_OPSET = 17
_INT8_BLOCK = 16  # weights that share a scale; docs/measurements.md tells why not 32
_PARITY_TEXTS = (
    "how do I reset my password",
    "What is the maximum number of connections?",
    "error 42P01 relation does not exist",
    "naïve café, 東京, 😀 emoji & symbols <b>",
    "a",
    "The quick brown fox jumps over the lazy dog. " * 40,
)

_PARITY_PAIRS = (
    ("The king opened the bridge.", "In 1894 the king opened the bridge in front of a large crowd."),
    ("Refunds take two weeks.", "Shipping\nCustomers who send a product back get their money within 14 days."),
    ("Nobody may enter.", "Everybody is welcome."),
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
        texts = [*_PARITY_TEXTS, *samples]
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
    _to_onnx(Pooled().eval(), [example[name] for name in names], names, path, {"embedding": {0: "batch"}})


def _to_onnx(
    module: Any, example: Sequence[Any], names: Sequence[str], path: Path, outputs: Mapping[str, dict[int, str]]
) -> None:
    """`outputs` names the axes of each output that vary."""
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
    build = Path(tempfile.mkdtemp(prefix=".build-", dir=_existing_parent(folder)))
    try:
        tokenizer.backend_tokenizer.save(str(build / "tokenizer.json"))
        _to_onnx(
            Logits().eval(), [example[name] for name in names], names, build / "model.onnx", {"logits": {0: "batch"}}
        )
        if int8:
            _quantise_dynamically(build / "model.onnx")
        difference = _score_difference(build, encoder, pairs)
        build.chmod(0o755)
        Disk().publish_folder(build, folder)
    finally:
        shutil.rmtree(build, ignore_errors=True)
    return difference


def export_token_encoder(model: Path, folder: Path, layers: Sequence[int]) -> None:
    """Export a sentence-transformers model for the support scorer, in int8: of a text every token's vector after each
    of these layers ("vectors", batch x layers x tokens x dimension) and their mean after the last one ("mean"), all of
    unit length.

    Args:
        model: its folder.
        folder: where `model.onnx` and `tokenizer.json` are written; must not exist yet.
        layers: numbers from 1, the last being that of the model.

    Raises SpaceMismatch where a token's vector is unlike the model's own (cosine below TOKEN_PARITY_COSINE_MIN).
    """
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(str(model))
    network: Any = AutoModel.from_pretrained(str(model), attn_implementation="eager").eval()
    names = ["input_ids", "attention_mask", "token_type_ids"]

    class Tokens(torch.nn.Module):  # type: ignore[misc]  # torch is not typed here
        """The encoder without its pooling."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, *inputs: Any) -> Any:
            given = dict(zip(names, inputs, strict=True))
            states = self.network(**given, output_hidden_states=True).hidden_states
            vectors = torch.stack([torch.nn.functional.normalize(states[layer], dim=-1) for layer in layers], dim=1)
            mask = given["attention_mask"].unsqueeze(-1).to(states[-1].dtype)
            mean = torch.nn.functional.normalize((states[-1] * mask).sum(dim=1), dim=-1)
            return vectors, mean

    example = dict(
        tokenizer(["a short text", "a longer text, so that there is padding"], padding=True, return_tensors="pt")
    )
    build = Path(tempfile.mkdtemp(prefix=".build-", dir=_existing_parent(folder)))
    try:
        shutil.copyfile(model / "tokenizer.json", build / "tokenizer.json")
        tokens = Tokens().eval()
        axes = {"vectors": {0: "batch", 2: "tokens"}, "mean": {0: "batch"}}
        _to_onnx(tokens, [example[name] for name in names], names, build / "model.onnx", axes)
        _quantise_dynamically(build / "model.onnx")
        least = _token_parity(build / "model.onnx", tokens, tokenizer, names)
        if least < TOKEN_PARITY_COSINE_MIN:
            raise SpaceMismatch("token parity (least cosine)", f">= {TOKEN_PARITY_COSINE_MIN}", round(least, 4))
        build.chmod(0o755)
        Disk().publish_folder(build, folder)
    finally:
        shutil.rmtree(build, ignore_errors=True)


def export_adapted_encoder(model: Path, adapter: Mapping[str, np.ndarray[Any, Any]], folder: Path, rank: int) -> None:
    """Export the same model with a low-rank adapter (LoRA, Hu et al. 2021, arXiv:2106.09685) and a head for the support
    scorer, in int8, beside what `export_token_encoder` wrote: of a claim and a text one row of logits, whether the text
    supports the claim and whether it refutes it ("logits", batch x 2).

    The encoder's own weights are those in `model.onnx`, which the new `pair.onnx` points into.

    Args:
        model: its folder.
        adapter: as `footnote train entailment` makes it; of a product `PLACE.A`, shape (rank, given), and `PLACE.B`,
            shape (taken, rank), and of the head `h.weight`, shape (2, twice the dimension), and `h.bias`.
        folder: holds `model.onnx`.
        rank: what is kept of the adapter's, by singular values.

    Raises SpaceMismatch where a logit is unlike the adapted model's own (by more than PAIR_DIFFERENCE_MAX).
    """
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(str(model))
    network: Any = AutoModel.from_pretrained(str(model), attn_implementation="eager").eval()
    weights = {name: torch.tensor(np.asarray(value, np.float32)) for name, value in adapter.items()}
    names = ["input_ids", "attention_mask", "token_type_ids"]

    class Adapted(torch.nn.Module):  # type: ignore[misc]  # torch is not typed here
        """A product and what the adapter adds to it."""

        def __init__(self, place: str, product: Any) -> None:
            super().__init__()
            self.product = product
            left, singular, right = torch.linalg.svd(weights[f"{place}.B"] @ weights[f"{place}.A"], full_matrices=False)
            root = singular[:rank].sqrt()
            self.down = torch.nn.Linear(product.in_features, rank, bias=False)
            self.up = torch.nn.Linear(rank, product.out_features, bias=False)
            self.down.weight.data = root[:, None] * right[:rank]
            self.up.weight.data = left[:, :rank] * root

        def forward(self, given: Any) -> Any:
            return self.product(given) + self.up(self.down(given))

    class Pair(torch.nn.Module):  # type: ignore[misc]  # torch is not typed here
        """The adapted encoder, and the head over its first token and the mean of all."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network
            self.head = torch.nn.Linear(*reversed(weights["h.weight"].shape))
            self.head.weight.data, self.head.bias.data = weights["h.weight"], weights["h.bias"]

        def forward(self, *inputs: Any) -> Any:
            given = dict(zip(names, inputs, strict=True))
            tokens = self.network(**given).last_hidden_state
            mask = given["attention_mask"].unsqueeze(-1).to(tokens.dtype)
            mean = (tokens * mask).sum(dim=1) / mask.sum(dim=1)
            return self.head(torch.cat([tokens[:, 0], mean], dim=-1))

    for place in sorted(name.removesuffix(".A") for name in weights if name.endswith(".A")):
        parent, _, name = place.rpartition(".")
        around = network.get_submodule(parent)
        setattr(around, name, Adapted(place, getattr(around, name)))
    pair = Pair().eval()
    example = dict(tokenizer(*map(list, zip(*_PARITY_PAIRS, strict=True)), padding=True, return_tensors="pt"))
    path = folder / "pair.onnx"
    with torch.no_grad():
        _to_onnx(pair, [example[name] for name in names], names, path, {"logits": {0: "batch"}})
    _quantise_dynamically(path)
    shorten_names(path)
    _share_weights(path, folder / "model.onnx")
    difference = _pair_difference(path, pair, tokenizer, names)
    if difference > PAIR_DIFFERENCE_MAX:
        raise SpaceMismatch("pair parity (largest difference)", f"<= {PAIR_DIFFERENCE_MAX}", round(difference, 4))


def _share_weights(path: Path, other: Path) -> None:
    """Point the model at `path` into the file of the other model, beside it, for the weights that both hold."""
    import onnx
    from onnx.external_data_helper import set_external_data

    model, there = onnx.load(str(path)), other.read_bytes()
    for weight in model.graph.initializer:
        held = weight.raw_data
        found = there.find(held) if len(held) >= _SHARED_BYTES_MIN else -1
        if found >= 0:
            set_external_data(weight, other.name, offset=found, length=len(held))
            weight.ClearField("raw_data")
            weight.data_location = onnx.TensorProto.EXTERNAL
    path.write_bytes(model.SerializeToString())


def _pair_difference(path: Path, pair: Any, tokenizer: Any, names: Sequence[str]) -> float:
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = []
    for one, other in _PARITY_PAIRS:
        inputs = tokenizer(one, other, return_tensors="pt")
        with torch.no_grad():
            theirs = pair(*(inputs[name] for name in names)).numpy()
        (ours,) = session.run(None, {name: inputs[name].numpy() for name in names})
        found.append(float(np.abs(ours - theirs).max()))
    return max(found)


def _token_parity(path: Path, tokens: Any, tokenizer: Any, names: Sequence[str]) -> float:
    """The least cosine between a token's vectors of both, over texts one by one."""
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = []
    for text in _PARITY_TEXTS:
        inputs = tokenizer(text, truncation=True, max_length=256, return_tensors="pt")
        with torch.no_grad():
            theirs = tokens(*(inputs[name] for name in names))[0].numpy()
        ours = session.run(["vectors"], {name: inputs[name].numpy() for name in names})[0]
        found.append(float(np.sum(ours * theirs, axis=-1).min()))
    return min(found)


def _quantise_dynamically(path: Path) -> None:
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


def shorten_names(path: Path) -> None:
    """Numbers for the names of what is inside a model without branches: they take more than a tenth of a megabyte."""
    import onnx

    model = onnx.load(str(path))
    graph = model.graph
    names = {one.name: one.name for one in (*graph.input, *graph.output)}
    for node in graph.node:
        node.name = ""
        for names_of in (node.input, node.output):
            names_of[:] = [one and names.setdefault(one, str(len(names))) for one in names_of]
    for weight in graph.initializer:
        weight.name = names.setdefault(weight.name, str(len(names)))
    del graph.value_info[:]
    onnx.save(model, str(path))


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
