"""Exporting the support scorer's encoders to ONNX: token vectors, and the same encoder with an adapter for pairs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from indexer.encoder import PARITY_TEXTS, existing_parent, quantise_dynamically, to_onnx
from store.errors import SpaceMismatch
from store.files import Disk

TOKEN_PARITY_COSINE_MIN = 0.95  # of one token in int8; all-MiniLM-L6-v2 has 0.98
PAIR_DIFFERENCE_MAX = 1.0  # of a logit in int8
_SHARED_BYTES_MIN = 4096  # of a weight that two models hold
_PARITY_PAIRS = (
    ("The king opened the bridge.", "In 1894 the king opened the bridge in front of a large crowd."),
    ("Refunds take two weeks.", "Shipping\nCustomers who send a product back get their money within 14 days."),
    ("Nobody may enter.", "Everybody is welcome."),
)


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
    build = Path(tempfile.mkdtemp(prefix=".build-", dir=existing_parent(folder)))
    try:
        shutil.copyfile(model / "tokenizer.json", build / "tokenizer.json")
        tokens = Tokens().eval()
        axes = {"vectors": {0: "batch", 2: "tokens"}, "mean": {0: "batch"}}
        to_onnx(tokens, [example[name] for name in names], names, build / "model.onnx", axes)
        quantise_dynamically(build / "model.onnx")
        least = _token_parity(build / "model.onnx", tokens, tokenizer, names)
        if least < TOKEN_PARITY_COSINE_MIN:
            raise SpaceMismatch("token parity (least cosine)", f">= {TOKEN_PARITY_COSINE_MIN}", round(least, 4))
        build.chmod(0o755)
        Disk().publish_folder(build, folder)
    finally:
        shutil.rmtree(build, ignore_errors=True)


def export_adapted_encoder(model: Path, adapter: Mapping[str, np.ndarray[Any, Any]], path: Path, rank: int) -> None:
    """Export the same model with a low-rank adapter (LoRA, Hu et al. 2021, arXiv:2106.09685) and a head for the support
    scorer, in int8, beside what `export_token_encoder` wrote: of a claim and a text one row of logits, whether the text
    supports the claim and whether it refutes it ("logits", batch x 2).

    The encoder's own weights are those in `model.onnx`, which the new file points into.

    Args:
        model: its folder.
        adapter: as `footnote train entailment` makes it; of a product `PLACE.A`, shape (rank, given), and `PLACE.B`,
            shape (taken, rank), and of the head `h.weight`, shape (2, twice the dimension), and `h.bias`.
        path: where it is written, beside `model.onnx`.
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
    with torch.no_grad():
        to_onnx(pair, [example[name] for name in names], names, path, {"logits": {0: "batch"}})
    quantise_dynamically(path)
    shorten_names(path)
    _share_weights(path, path.with_name("model.onnx"))
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
    for text in PARITY_TEXTS:
        inputs = tokenizer(text, truncation=True, max_length=256, return_tensors="pt")
        with torch.no_grad():
            theirs = tokens(*(inputs[name] for name in names))[0].numpy()
        ours = session.run(["vectors"], {name: inputs[name].numpy() for name in names})[0]
        found.append(float(np.sum(ours * theirs, axis=-1).min()))
    return min(found)


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
