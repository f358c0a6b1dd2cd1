"""Damage is found before anything parses it: every byte of every file of a small index, and every file as a whole."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest

from indexer.cache import EmbeddingCache
from store.errors import StoreCorrupt
from store.files import check_file, sha256_file
from store.index import Current, IndexDirectory
from store.local import LocalSnapshot, open_query_encoder, read_manifest
from store.manifest import FileEntry, Manifest, QueryEncoderEntry

ENCODER_FILES = {
    "encoder.json": b'{"stands": "for its description"}',
    "model.onnx": b"stands for a model" * 10,
    "tokenizer.json": b'{"stands": "for a tokenizer"}',
}


@pytest.fixture(scope="module")
def smallest(tmp_path_factory, small_index) -> Path:
    """An index of one document in eight dimensions, with an encoder that stands for an exported one."""
    from indexer.build import Request, build
    from indexer.progress import Silent
    from indexer.settings import IndexerSettings

    folder = tmp_path_factory.mktemp("smallest")
    (folder / "s.jsonl").write_text('{"id": "d", "text": "the only text"}\n{"id": "d", "text": "gave way"}\n')
    directory = IndexDirectory(folder / "index")
    build(directory, Request([str(folder / "s.jsonl")]), IndexerSettings(embedding_model="hash:8"), Silent())
    encoder = directory.encoders / "0123456789abcdef"
    encoder.mkdir(parents=True)
    for name, data in ENCODER_FILES.items():
        (encoder / name).write_bytes(data)
    entry = QueryEncoderEntry(
        kind="onnx",
        folder=encoder.name,
        files={
            name: FileEntry(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
            for name, data in ENCODER_FILES.items()
        },
    )
    snapshot = directory.snapshots / directory.require_current().name
    data = read_manifest(snapshot).model_copy(update={"query_encoders": [entry]}).to_bytes()
    (snapshot / "manifest.json").write_bytes(data)
    name = Manifest.name_of(1, data)
    snapshot.rename(directory.snapshots / name)
    directory.point_current_at(Current(name, hashlib.sha256(data).hexdigest()))
    return folder / "index"


@pytest.fixture
def index(smallest, tmp_path) -> IndexDirectory:
    """A copy of it to do harm to."""
    shutil.copytree(smallest, tmp_path / "index")
    return IndexDirectory(tmp_path / "index")


@pytest.fixture
def parsed(monkeypatch) -> list[str]:
    """What was parsed so far: by FAISS, tantivy, SQLite or ONNX Runtime."""
    seen: list[str] = []

    class Encoder:
        def __init__(self, folder, space, *, threads, precision):
            seen.append(str(folder))

    monkeypatch.setattr("store.local.OnnxEncoder", Encoder)
    for place, part in (("DenseIndex.open", "faiss"), ("TermIndex", "terms"), ("PassageReader", "sqlite")):
        owner, _, name = f"store.local.{place}".rpartition(".")
        real = getattr(__import__("store.local", fromlist=["x"]), place.partition(".")[0])
        real = getattr(real, name) if "." in place else real

        def watched(*args, real=real, part=part, **kwargs):
            seen.append(part)
            return real(*args, **kwargs)

        monkeypatch.setattr(f"{owner}.{name}", watched)
    return seen


def opened(index: IndexDirectory, executor) -> None:
    """All that comes before the first query."""
    snapshot = index.open(executor)
    try:
        open_query_encoder(index.path, snapshot.manifest)
    finally:
        snapshot.close()


def snapshot_of(index: IndexDirectory) -> Path:
    (folder,) = index.published()
    return folder


def listed(index: IndexDirectory) -> dict[Path, FileEntry]:
    """Every file that a manifest vouches for."""
    folder = snapshot_of(index)
    manifest = read_manifest(folder)
    (encoder,) = manifest.query_encoders
    return {folder / name: entry for name, entry in manifest.files.items()} | {
        index.encoders / encoder.folder / name: entry for name, entry in encoder.files.items()
    }


def everything(index: IndexDirectory) -> list[Path]:
    """Every file that a reader believes."""
    return [index.current_file, snapshot_of(index) / "manifest.json", *listed(index)]


def test_every_file_below_the_index_is_vouched_for(index, executor, parsed):
    opened(index, executor)
    assert set(parsed) == {"faiss", "terms", "sqlite", str(index.encoders / "0123456789abcdef")}
    found = {path for path in index.path.rglob("*") if path.is_file()}
    not_read = {index.path / "LOCK", *index.cache.iterdir()}
    assert found - not_read == set(everything(index))


@pytest.mark.slow
def test_one_flipped_bit_at_every_byte_of_every_file_is_found(index, executor, parsed):
    """That of CURRENT and the manifest: in test_index.py, by opening. Here every byte goes through the check that comes
    before all parsing, and every 512th and the last through an opening.
    """
    count = 0
    for path, entry in listed(index).items():
        size = path.stat().st_size
        descriptor = os.open(path, os.O_RDWR)
        try:
            for at in range(size):
                (byte,) = os.pread(descriptor, 1, at)
                os.pwrite(descriptor, bytes([byte ^ (1 << at % 8)]), at)
                with pytest.raises(StoreCorrupt) as caught:
                    check_file(path, sha256=entry.sha256, size=entry.size)
                assert caught.value.file == str(path)
                assert caught.value.expected == f"sha256 {entry.sha256}"
                assert str(caught.value.found).startswith("sha256 ")
                count += 1
                if at % 512 == 0 or at == size - 1:
                    parsed.clear()
                    with pytest.raises(StoreCorrupt) as caught:
                        opened(index, executor)
                    assert caught.value.file == str(path)
                    assert str(path).startswith(str(index.encoders)) or parsed == []
                os.pwrite(descriptor, bytes([byte]), at)
        finally:
            os.close(descriptor)
    assert count == sum(entry.size for entry in listed(index).values()) > 30_000
    opened(index, executor)


@pytest.mark.parametrize("length", ["nothing", "half", "all but a byte", "one more byte"])
def test_every_file_of_another_length_is_named(index, executor, parsed, length):
    for path in everything(index):
        whole = path.read_bytes()
        cut = {"nothing": 0, "half": len(whole) // 2, "all but a byte": max(len(whole) - 1, 0)}
        path.write_bytes(whole[: cut[length]] if length in cut else whole + b"\x00")
        if path.read_bytes() == whole or (path == index.current_file and length == "all but a byte"):
            path.write_bytes(whole)
            continue  # without its line end CURRENT says the same
        parsed.clear()
        with pytest.raises(StoreCorrupt) as caught:
            opened(index, executor)
        assert caught.value.file == str(path)
        assert path.is_relative_to(index.encoders) or parsed == []
        path.write_bytes(whole)
    opened(index, executor)


def test_every_missing_file_is_named(index, executor, parsed):
    for path in everything(index)[1:]:  # without CURRENT nothing was ever published
        aside = path.rename(index.path / "aside")
        with pytest.raises(StoreCorrupt, match=r"no (readable )?file") as caught:
            opened(index, executor)
        assert caught.value.file == str(path)
        aside.rename(path)
    opened(index, executor)


def test_every_two_files_that_changed_places_are_found(index, executor, parsed):
    pairs = 0
    for one, other in itertools.combinations(everything(index), 2):
        first, second = one.read_bytes(), other.read_bytes()
        if first == second:
            continue
        one.write_bytes(second)
        other.write_bytes(first)
        with pytest.raises(StoreCorrupt) as caught:
            opened(index, executor)
        assert caught.value.file in (str(one), str(other))
        one.write_bytes(first)
        other.write_bytes(second)
        pairs += 1
    assert pairs > 50
    opened(index, executor)


def test_a_file_of_another_snapshot_in_its_place_is_found(index, executor, parsed, make_index, jsonl, tmp_path):
    make_index(tmp_path / "other", jsonl(tmp_path / "o.jsonl", [{"id": "d", "text": "another text"}]), model="hash:8")
    (other,) = IndexDirectory(tmp_path / "other").published()
    for name in ("passages.sqlite", "vectors.f32", "vectors.faiss", "ledger.jsonl", "manifest.json", "terms/meta.json"):
        path = snapshot_of(index) / name
        whole = path.read_bytes()
        shutil.copyfile(other / name, path)
        with pytest.raises(StoreCorrupt) as caught:
            opened(index, executor)
        assert caught.value.file == str(path)
        path.write_bytes(whole)
    opened(index, executor)


@pytest.mark.parametrize("name", ["extra", ".hidden", "terms/extra.idx", "more/deep/file", "vectors.faiss.1"])
@pytest.mark.parametrize("kind", ["file", "link", "pipe"])
def test_every_extra_thing_is_named(index, executor, parsed, name, kind):
    for folder in (snapshot_of(index), index.encoders / "0123456789abcdef"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "file":
            path.touch()
        elif kind == "link":
            path.symlink_to("/nowhere")
        else:
            os.mkfifo(path)
        with pytest.raises(StoreCorrupt, match="no such file in the manifest") as caught:
            opened(index, executor)
        assert caught.value.file == str(path)
        path.unlink()
    opened(index, executor)


def test_a_snapshot_checked_by_its_name_alone_is_checked_too(index, executor):
    """As rollback does, and a service that falls back."""
    path = snapshot_of(index) / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"documents": 1', b'"documents": 2'))
    with pytest.raises(StoreCorrupt, match=r"manifest\.json"):
        LocalSnapshot(path.parent, executor)


def test_one_flipped_bit_at_every_byte_of_an_encoder_that_lies_there_has_it_exported_anew(tmp_path):
    """Where no manifest vouches for it: its own description does."""
    from indexer.encoder import _exported_before, _sealed
    from store.index import list_files

    (tmp_path / "model.onnx").write_bytes(ENCODER_FILES["model.onnx"])
    (tmp_path / "tokenizer.json").write_bytes(ENCODER_FILES["tokenizer.json"])
    entry = QueryEncoderEntry(
        kind="onnx", folder="0", files=list_files(tmp_path), parity_cosine_min=0.9999, parity_texts=7
    )
    (tmp_path / "encoder.json").write_text(_sealed(entry))
    known = _exported_before(tmp_path)
    assert known.files.keys() == ENCODER_FILES.keys()
    for path in sorted(tmp_path.iterdir()):
        whole = bytearray(path.read_bytes())
        for at in range(len(whole)):
            whole[at] ^= 1 << at % 8
            path.write_bytes(whole)
            assert _exported_before(tmp_path) is None
            whole[at] ^= 1 << at % 8
        path.write_bytes(whole)
    assert _exported_before(tmp_path) == known
    (tmp_path / "extra").touch()
    assert _exported_before(tmp_path) is None


class TestCache:
    @pytest.fixture
    def kept(self, tmp_path):
        """A cache of three vectors: its path, their keys, the vectors."""
        path = tmp_path / "cache.sqlite"
        keys = [hashlib.sha256(bytes([number])).digest() for number in range(3)]
        vectors = np.random.default_rng(0).standard_normal((3, 8)).astype(np.float32)
        cache = EmbeddingCache(path, 8)
        cache.put(keys, vectors)
        cache.close()
        return path, keys, vectors

    @pytest.mark.slow
    def test_one_flipped_bit_at_every_byte_never_gives_another_vector_and_never_stops_a_run(self, kept, monkeypatch):
        monkeypatch.setattr(os, "fsync", lambda _: None)
        path, keys, vectors = kept
        whole = path.read_bytes()
        lost = 0
        for at in range(len(whole)):
            damaged = bytearray(whole)
            damaged[at] ^= 1 << at % 8
            path.write_bytes(damaged)
            cache = EmbeddingCache(path, 8)
            cache.missing(keys)
            found = cache.get(keys)
            for number, key in enumerate(keys):
                if key in found:
                    assert np.array_equal(found[key], vectors[number]), at
            lost += len(found) < 3
            absent = [number for number, key in enumerate(keys) if key not in found]
            cache.put([keys[number] for number in absent], vectors[absent])
            for key, vector in cache.get(keys).items():  # all of them but where the tree itself is bent
                assert np.array_equal(vector, vectors[keys.index(key)]), at
            cache.close()
            for stray in path.parent.glob(f"{path.name}-*"):
                stray.unlink()
        assert lost >= 3 * 8 * 4  # each byte of a vector at least

    def test_a_flipped_vector_with_a_sum_made_to_fit_another_key_is_not_taken(self, kept):
        import sqlite3

        path, keys, vectors = kept
        data = vectors[1].tobytes()
        connection = sqlite3.connect(path)
        with connection:
            connection.execute(
                "UPDATE embeddings SET vector = ?, crc = ? WHERE hash = ?",
                (data, zlib.crc32(keys[1] + data), keys[0]),
            )
        connection.close()
        cache = EmbeddingCache(path, 8)
        assert set(cache.get(keys)) == set(keys[1:])
        cache.close()


def test_the_sum_of_a_file_is_that_of_its_bytes(tmp_path):
    (tmp_path / "f").write_bytes(b"abc" * 1_000_000)
    assert sha256_file(tmp_path / "f") == hashlib.sha256(b"abc" * 1_000_000).hexdigest()


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 128, 200])
def test_a_file_is_hashed_piece_by_piece_to_its_last_byte(tmp_path, monkeypatch, size):
    monkeypatch.setattr("store.files._HASHED_AT_ONCE", 64)
    content = bytes(range(size))
    (tmp_path / "f").write_bytes(content)

    assert sha256_file(tmp_path / "f") == hashlib.sha256(content).hexdigest()
