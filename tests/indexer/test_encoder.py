"""The exported query encoder: it agrees with the model, is made once, and made anew when damaged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from store.embedding import OnnxEncoder
from store.errors import SpaceMismatch, StoreCorrupt, UsageError
from store.index import IndexDirectory
from store.local import open_query_encoder, read_manifest
from store.manifest import Manifest

pytestmark = pytest.mark.model
MODEL = "all-MiniLM-L6-v2"
QUESTIONS = [
    "how do I reset my password",
    "WHAT is the maximum number of connections?",
    "naïve café, 東京, 😀 emoji & symbols <b>",
    "",
    "a",
    "the quick brown fox " * 200,
]


@pytest.fixture(scope="module")
def embedder():
    from indexer.embed import SentenceTransformerEmbedder
    from indexer.model import locate, read_space

    folder = locate(MODEL)
    return SentenceTransformerEmbedder(folder, read_space(MODEL, folder))


@pytest.fixture(scope="module")
def exported(embedder, tmp_path_factory):
    """(folder of encoders, the entry of the export)."""
    from indexer.encoder import ensure_query_encoder
    from indexer.model import locate

    encoders = tmp_path_factory.mktemp("index") / "encoders"
    return encoders, ensure_query_encoder(encoders, embedder, locate(MODEL), ["A passage of the corpus."])


class NeverLoaded:
    """Stands for the model where it must not be loaded."""

    def __init__(self, space):
        self.space = space

    @property
    def model(self):
        raise AssertionError("the model was loaded")


def test_the_export_agrees_with_the_model_on_every_kind_of_text(embedder, exported):
    encoders, entry = exported
    assert entry.parity_cosine_min >= 0.999
    assert entry.parity_texts == 7
    ours = OnnxEncoder(encoders / entry.folder, embedder.space).encode_queries(QUESTIONS)
    theirs = embedder.encode_as_read(QUESTIONS)
    assert ours.shape == theirs.shape == (len(QUESTIONS), 384)
    assert np.sum(ours * theirs, axis=1).min() >= 0.999
    assert np.linalg.norm(ours, axis=1) == pytest.approx(1, abs=1e-5)


def test_a_question_has_the_same_vector_alone_and_among_others(embedder, exported):
    encoders, entry = exported
    encoder = OnnxEncoder(encoders / entry.folder, embedder.space)
    together = encoder.encode_queries(QUESTIONS)
    for row, text in enumerate(QUESTIONS):
        assert encoder.encode_queries([text])[0] @ together[row] == pytest.approx(1, abs=1e-6)
    assert encoder.encode_queries([]).shape == (0, 384)


def test_weights_in_int8_agree_with_the_model_too_and_are_smaller(embedder, exported):
    encoders, entry = exported
    folder = encoders / entry.folder
    assert 0.999 <= entry.parity_cosine_min_int8 < entry.parity_cosine_min
    assert (folder / "model.int8.onnx").stat().st_size < 0.7 * (folder / "model.onnx").stat().st_size
    asked = [text for text in QUESTIONS if text]  # the vector of no text at all differs more: 0.9988
    ours = OnnxEncoder(folder, embedder.space, precision="int8").encode_queries(asked)
    assert np.sum(ours * embedder.encode_as_read(asked), axis=1).min() >= 0.999


def test_of_several_precisions_the_first_that_is_admitted_is_opened(embedder, exported):
    encoders, entry = exported
    manifest = _manifest_with(embedder.space, entry)
    for wanted in (["int8", "fp32"], ["fp32", "int8"]):
        assert open_query_encoder(encoders.parent, manifest, precisions=wanted).precision == wanted[0]


def test_weights_in_int8_that_disagree_are_left_out_and_refused_when_asked_for(embedder, tmp_path, monkeypatch):
    import indexer.encoder

    parity = {"fp32": 0.9999, "int8": 0.99}
    monkeypatch.setattr(indexer.encoder, "_parity", lambda *arguments: parity[arguments[-1]])
    entry = indexer.encoder.ensure_query_encoder(tmp_path / "encoders", embedder, _tokenizer_folder(), [])
    assert sorted(entry.files) == ["encoder.json", "model.onnx", "tokenizer.json"]
    assert sorted(path.name for path in (tmp_path / "encoders" / entry.folder).iterdir()) == sorted(entry.files)
    manifest = _manifest_with(embedder.space, entry)
    assert open_query_encoder(tmp_path, manifest).space == embedder.space
    assert open_query_encoder(tmp_path, manifest, precisions=["int8", "fp32"]).precision == "fp32"
    with pytest.raises(UsageError, match=r"int8.*least cosine to the model was 0\.99") as refused:
        open_query_encoder(tmp_path, manifest, precisions=["int8"])
    assert refused.value.fix == "Set query_precision=fp32."


def test_weights_in_int8_are_refused_where_none_were_exported(embedder, exported):
    encoders, entry = exported
    files = {name: file for name, file in entry.files.items() if name != "model.int8.onnx"}
    older = entry.model_copy(update={"files": files, "parity_cosine_min_int8": None})
    (encoders / entry.folder / "model.int8.onnx").rename(encoders / "aside")
    try:
        with pytest.raises(UsageError, match="none was exported") as refused:
            open_query_encoder(encoders.parent, _manifest_with(embedder.space, older), precisions=["int8"])
    finally:
        (encoders / "aside").rename(encoders / entry.folder / "model.int8.onnx")
    assert f"remove encoders/{entry.folder} in the index" in refused.value.fix


def _manifest_with(space, encoder):
    return Manifest.model_construct(space=space, query_encoders=[encoder], generation=7)


def test_an_encoder_exported_before_is_taken_without_loading_the_model(embedder, exported):
    from indexer.encoder import ensure_query_encoder

    encoders, entry = exported
    before = {path: path.stat().st_mtime_ns for path in encoders.rglob("*")}
    assert ensure_query_encoder(encoders, NeverLoaded(embedder.space), Path("nowhere"), []) == entry
    assert {path: path.stat().st_mtime_ns for path in encoders.rglob("*")} == before


def test_an_export_that_disagrees_is_refused_and_left_nowhere(embedder, tmp_path, monkeypatch):
    import indexer.encoder

    monkeypatch.setattr(indexer.encoder, "_export", lambda *_: None)
    monkeypatch.setattr(indexer.encoder, "_parity", lambda *_: 0.98)
    with pytest.raises(SpaceMismatch, match=r"parity.*0\.999.*0\.98"):
        indexer.encoder.ensure_query_encoder(tmp_path, embedder, _tokenizer_folder(), [])
    assert list(tmp_path.iterdir()) == []


def _tokenizer_folder() -> Path:
    from indexer.model import locate

    return locate(MODEL)


def test_a_damaged_encoder_is_refused_when_opened_and_exported_anew_by_the_next_run(tmp_path, make_index, jsonl):
    source = jsonl(tmp_path / "s.jsonl", [{"id": "a", "text": "A cat sleeps."}])
    make_index(tmp_path / "index", source, model=MODEL)
    index = IndexDirectory(tmp_path / "index")

    def manifest():
        return read_manifest(index.snapshots / index.require_current().name)

    assert open_query_encoder(index.path, manifest()).space == manifest().space
    (path,) = index.encoders.glob("*/model.onnx")
    whole = path.read_bytes()
    path.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    with pytest.raises(StoreCorrupt, match=r"model.onnx.*expected sha256.*found sha256"):
        open_query_encoder(index.path, manifest())
    report = make_index(index.path, source, model=MODEL)
    assert report.embedded == 0
    assert open_query_encoder(index.path, manifest()).space == manifest().space

    unchanged = _modules_of_an_unchanged_run(index.path, source)
    assert unchanged == {"published": False, "torch": False, "sentence_transformers": False, "transformers": False}


def _modules_of_an_unchanged_run(index: Path, source: Path) -> dict[str, bool]:
    code = f"""
import json, sys
from pathlib import Path
from indexer.build import Request, build
from indexer.progress import Silent
from indexer.settings import IndexerSettings
from store.index import IndexDirectory
report = build(IndexDirectory(Path({str(index)!r})), Request([{str(source)!r}]), IndexerSettings(), Silent())
names = ("torch", "sentence_transformers", "transformers")
print(json.dumps({{"published": report.published, **{{name: name in sys.modules for name in names}}}}))
"""
    return json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
