"""Every crash of a recorded import, erasure and installation of a query encoder, as in test_crashes.py."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

import indexer.encoder
from indexer.erasure import forget
from indexer.progress import Silent
from store.archive import export_archive
from store.arrival import import_archive
from store.embedding import HashEmbedder
from store.files import Disk
from store.forgotten import read_forgotten
from store.index import IndexDirectory
from store.local import check_query_encoder
from tests.store.crash_model import Recorder, tree_of
from tests.store.test_archive import with_encoder
from tests.store.test_crashes import enumerated


def found(path: Path) -> str | None:
    """The ids of the current snapshot's documents, every byte of it and of its query encoder verified."""
    index = IndexDirectory(path)
    if index.current() is None:
        return None
    snapshot = index.open(None, full=True)
    try:
        check_query_encoder(path, snapshot.manifest)
        return " ".join(document_id for document_id, _ in snapshot.reader.document_ids())
    finally:
        snapshot.close()


@pytest.fixture
def archive(tmp_path, make_index, jsonl) -> Path:
    """An archive of one document and a query encoder."""
    index = IndexDirectory(tmp_path / "source")
    make_index(index.path, jsonl(tmp_path / "s.jsonl", [{"id": "theirs", "text": "one"}]), model="hash:8")
    with_encoder(index, b"stands for a model")
    export_archive(index, tmp_path / "a.tar")
    return tmp_path / "a.tar"


def test_every_crash_of_an_import_into_a_new_index_leaves_nothing_or_all(tmp_path, archive):
    index, disk = tmp_path / "index", Recorder()
    index.mkdir()
    import_archive(IndexDirectory(index, disk), archive)
    assert enumerated(tmp_path, index, disk, {}, {None, "theirs"}, found) == []


def test_every_crash_of_an_import_leaves_old_or_new_whole_with_its_query_encoder(tmp_path, archive, make_index, jsonl):
    index, disk = tmp_path / "index", Recorder()
    make_index(index, jsonl(tmp_path / "t.jsonl", [{"id": "ours", "text": "two"}]), model="hash:8")
    start = tree_of(index)
    import_archive(IndexDirectory(index, disk), archive)
    assert any("encoders" in step.path.parts for step in disk.steps)
    assert enumerated(tmp_path, index, disk, start, {"ours", "theirs"}, found) == []


def test_every_crash_of_an_erasure_leaves_old_or_new_and_the_new_only_where_the_id_is_refused(
    tmp_path, make_index, jsonl
):
    def look(path: Path) -> str | None:
        said, refused = found(path), read_forgotten(path / "FORGOTTEN").holds("gone")
        return said if refused or said == "gone stays" else f"{said}, and the id is not refused"

    index, disk = tmp_path / "index", Recorder()
    for text in ("one", "two"):
        source = jsonl(tmp_path / "s.jsonl", [{"id": "stays", "text": "same"}, {"id": "gone", "text": text}])
        make_index(index, source, model="hash:8")
    shutil.rmtree(index / "cache")
    start = tree_of(index)
    forget(IndexDirectory(index, disk), "gone", Silent())
    assert enumerated(tmp_path, index, disk, start, {"gone stays", "stays"}, look) == []


class Forgetful(Recorder):
    """Does not sync the encoder's files."""

    def fsync(self, path: Path) -> None:
        super().fsync(path)
        if path.name == "model.onnx":
            self.steps.pop()


class TestEncoder:
    SPACE = HashEmbedder(8).space

    @pytest.fixture
    def install(self, tmp_path, monkeypatch):
        """Exports an encoder, whose model stands for one, with a disk."""

        def export(model, space, path: Path) -> None:
            path.write_bytes(b"stands for a model")

        monkeypatch.setattr(indexer.encoder, "_export", export)
        monkeypatch.setattr(indexer.encoder, "_quantise", lambda _, target: target.write_bytes(b"stands for another"))
        monkeypatch.setattr(indexer.encoder, "_parity", lambda *_: 1.0)
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "tokenizer.json").write_bytes(b"stands for a tokenizer")
        (tmp_path / "index").mkdir()

        def install(disk: Disk) -> None:
            embedder = SimpleNamespace(space=self.SPACE, model=None)
            indexer.encoder.ensure_query_encoder(
                tmp_path / "index" / "encoders", embedder, tmp_path / "model", [], disk
            )

        return install

    def believed(self, path: Path) -> str | None:
        """What the indexer takes for exported before, though no manifest vouches for it; and what is there."""
        folder = path / "encoders" / self.SPACE.fingerprint
        if indexer.encoder._exported_before(folder) is not None:
            return "whole"
        return "not whole" if folder.exists() else None

    def test_every_crash_of_an_installation_leaves_nothing_or_all(self, tmp_path, install):
        disk = Recorder()
        install(disk)
        assert enumerated(tmp_path, tmp_path / "index", disk, {}, {None, "whole"}, self.believed) == []

    def test_a_file_that_is_not_synced_is_noticed(self, tmp_path, install):
        disk = Forgetful()
        install(disk)
        assert enumerated(tmp_path, tmp_path / "index", disk, {}, {None, "whole"}, self.believed) != []
