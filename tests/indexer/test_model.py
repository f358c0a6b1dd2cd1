"""Finding a model and reading its space from its files, torch not asked."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest

from indexer.model import PACKAGED, hash_embedder, locate, read_space
from store.embedding import EmbeddingSpace, HashEmbedder
from store.errors import SpaceMismatch, UsageError

SPACE = EmbeddingSpace("m", "w", "t", "mean", 4, True, 256)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Files that look like a sentence-transformers model."""
    path = tmp_path / "my-model"
    (path / "1_Pooling").mkdir(parents=True)
    (path / "config.json").write_text(json.dumps({"hidden_size": 8, "max_position_embeddings": 512}))
    (path / "modules.json").write_text(
        json.dumps(
            [
                {"type": "sentence_transformers.models.Transformer", "path": ""},
                {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"},
                {"type": "sentence_transformers.models.Normalize", "path": "2_Normalize"},
            ]
        )
    )
    (path / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": 8, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False})
    )
    (path / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 128}))
    (path / "model.safetensors").write_bytes(b"weights")
    (path / "tokenizer.json").write_text("{}")
    return path


@pytest.mark.parametrize("name", ["no/such-model", "no such model", "a" * 300])
def test_a_model_that_cannot_be_had_is_refused_by_name_with_what_to_do(name):
    with pytest.raises(UsageError, match=r"Give a folder") as caught:
        locate(name)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("missing", "named"), [("model.safetensors", "safetensors"), ("tokenizer.json", "tokenizer.json")]
)
def test_a_folder_without_a_needed_file_is_refused_by_its_name(folder, missing, named):
    (folder / missing).unlink()
    with pytest.raises(UsageError, match=named):
        read_space("x", folder)


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(UsageError, match="does not look like a sentence-transformers model"):
        read_space("x", tmp_path)


def test_the_space_of_a_folder_is_read_from_its_files(folder):
    space = read_space(str(folder), folder, query_prefix="query: ")
    assert (space.model, space.dimension, space.max_tokens) == ("my-model", 8, 128)
    assert space.pooling == "Transformer+Pooling(mean_tokens)+Normalize"
    assert (space.query_prefix, space.document_prefix) == ("query: ", "")


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json"])
def test_one_changed_byte_of_weights_or_tokenizer_is_another_space(folder, file):
    before = read_space("x", folder)
    (folder / file).write_bytes((folder / file).read_bytes() + b" ")
    assert read_space("x", folder).fingerprint != before.fingerprint


def test_split_weights_all_count(folder):
    (folder / "model-2.safetensors").write_bytes(b"more")
    before = read_space("x", folder).weights_sha256
    (folder / "model-2.safetensors").write_bytes(b"more!")
    assert read_space("x", folder).weights_sha256 != before


def test_other_pooling_is_another_space(folder):
    before = read_space("x", folder)
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": 8, "pooling_mode_cls_token": True})
    )
    after = read_space("x", folder)
    assert after.fingerprint != before.fingerprint
    with pytest.raises(SpaceMismatch, match=r"pooling.*mean_tokens.*cls_token"):
        before.require_same(after)


CHANGES = {
    "model": "n",
    "weights_sha256": "x",
    "tokenizer_sha256": "x",
    "pooling": "cls",
    "dimension": 5,
    "normalised": False,
    "max_tokens": 255,
    "query_prefix": "query: ",
    "document_prefix": "passage: ",
}


@pytest.mark.parametrize("field", [field.name for field in fields(EmbeddingSpace)])
def test_every_field_changes_the_fingerprint_and_is_named_with_both_values(field):
    other = replace(SPACE, **{field: CHANGES[field]})
    assert other.fingerprint != SPACE.fingerprint
    with pytest.raises(SpaceMismatch) as caught:
        SPACE.require_same(other)
    assert (caught.value.field, caught.value.expected, caught.value.found) == (
        field,
        getattr(SPACE, field),
        CHANGES[field],
    )
    assert field in str(caught.value)
    assert repr(CHANGES[field]) in str(caught.value)


def test_equal_spaces_have_equal_fingerprints_in_every_process():
    SPACE.require_same(replace(SPACE))
    code = f"from store.embedding import EmbeddingSpace; print({SPACE!r}.fingerprint)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert told == SPACE.fingerprint
    assert len(told) == 16


class TestHashEmbedder:
    def test_names(self):
        assert hash_embedder("all-MiniLM-L6-v2") is None
        assert hash_embedder("hash:64").space == HashEmbedder(64).space
        with pytest.raises(UsageError, match="dimension from 2 to 4096"):
            hash_embedder("hash:4097")

    def test_vectors_are_the_same_in_every_process_and_of_unit_length(self):
        vectors = HashEmbedder(16).encode_documents(["a cat", "東京", "", "a cat"])
        assert vectors.shape == (4, 16)
        assert (vectors[0] == vectors[3]).all()
        assert ((vectors**2).sum(axis=1) ** 0.5).tolist() == pytest.approx([1, 1, 0, 1])
        code = "from store.embedding import HashEmbedder; print(HashEmbedder(16).encode_queries(['a cat'])[0].tolist())"
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert json.loads(told) == vectors[0].tolist()

    def test_like_texts_are_nearer_than_unlike_ones(self):
        cats, cat, dogs = HashEmbedder(384).encode_queries(["cats purr", "a cat purrs", "dogs bark"])
        assert cats @ cat > cats @ dogs


@pytest.mark.model
def test_the_packaged_model_is_refused_when_its_weights_are_others(monkeypatch, tmp_path):
    module, sha256 = PACKAGED["all-MiniLM-L6-v2"]
    assert read_space("all-MiniLM-L6-v2", locate("all-MiniLM-L6-v2")).weights_sha256 == sha256
    assert locate("sentence-transformers/all-MiniLM-L6-v2") == locate("all-MiniLM-L6-v2")
    monkeypatch.setitem(PACKAGED, "all-MiniLM-L6-v2", (module, "0" * 64))
    with pytest.raises(SpaceMismatch, match=f"{'0' * 64}.*{sha256}"):
        locate("all-MiniLM-L6-v2")


@pytest.mark.model
def test_a_copy_of_the_packaged_model_in_a_folder_is_the_same_space_but_for_its_name(tmp_path):
    source = locate("all-MiniLM-L6-v2")
    shutil.copytree(source, tmp_path / "copy")
    mine, packaged = read_space(str(tmp_path / "copy"), tmp_path / "copy"), read_space("all-MiniLM-L6-v2", source)
    assert replace(mine, model=packaged.model) == packaged
