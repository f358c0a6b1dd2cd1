"""The index directory: what a reader refuses and how it says so, publishing, history, rollback, pruning, the lock."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from store import files
from store.document import make_document
from store.errors import FormatUnsupported, IndexLocked, IndexMissing, SpaceMismatch, StoreCorrupt, UsageError
from store.index import Current, IndexDirectory
from store.kept import held
from store.local import LocalSnapshot, open_query_encoder, read_manifest
from store.manifest import FileEntry, Manifest, QueryEncoderEntry

NOBODY = frozenset()


@pytest.fixture
def index(small_index, tmp_path) -> IndexDirectory:
    """A copy of the small index to do harm to."""
    shutil.copytree(small_index, tmp_path / "index")
    return IndexDirectory(tmp_path / "index")


@pytest.fixture
def generations(tmp_path, make_index, jsonl) -> IndexDirectory:
    """An index with generations 1, 2 and 3; generation n holds documents d1 to dn."""
    for last in (1, 2, 3):
        source = jsonl(tmp_path / "s.jsonl", [{"id": f"d{n}", "text": f"text number {n}"} for n in range(1, last + 1)])
        make_index(tmp_path / "index", source)
    return IndexDirectory(tmp_path / "index")


def snapshot_folder(index: IndexDirectory) -> Path:
    return index.snapshots / index.require_current().name


def documents_in(index: IndexDirectory, executor) -> list[str]:
    snapshot = index.open(executor, full=True)
    try:
        return [document_id for document_id, _ in snapshot.reader.document_ids()]
    finally:
        snapshot.close()


def footnote(*arguments: str, index: IndexDirectory):
    from footnote.cli import app

    return CliRunner().invoke(app, [*arguments, "--index", str(index.path)])


def republish(index: IndexDirectory, **changes) -> None:
    """Rewrite the manifest with other values, its name and CURRENT made to fit, as another program would have."""
    folder = snapshot_folder(index)
    content = json.loads((folder / "manifest.json").read_bytes())
    content.update(changes)
    data = json.dumps(content).encode()
    (folder / "manifest.json").write_bytes(data)
    name = Manifest.name_of(content["generation"], data)
    folder.rename(index.snapshots / name)
    index.point_current_at(Current(name, hashlib.sha256(data).hexdigest()))


class TestCurrent:
    def test_no_index_is_an_error_that_says_how_to_make_one(self, tmp_path, executor):
        with pytest.raises(IndexMissing, match="footnote index SOURCE"):
            IndexDirectory(tmp_path / "none").open(executor)
        assert IndexDirectory(tmp_path / "none").current() is None

    def test_a_file_in_the_place_of_the_index_is_named(self, tmp_path):
        (tmp_path / "file").write_text("x")
        with pytest.raises(UsageError, match="file, not an index directory"):
            IndexDirectory(tmp_path / "file").current()

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\n",
            b"000001-3fa9c1d2",
            b"000001-3fa9c1d2 abc",
            b"../../etc/passwd " + b"0" * 64,
            b"1-3fa9c1d2 " + b"0" * 64,
            b"000001-3FA9C1D2 " + b"0" * 64,
            b"000001-3fa9c1d2  " + b"0" * 64,
            b"000001-3fa9c1d2 " + b"0" * 64 + b"\nmore",
            b"\xff\xfe" + b"0" * 80,
        ],
    )
    def test_any_other_content_is_refused_and_shown(self, tmp_path, content):
        (tmp_path / "CURRENT").write_bytes(content)
        with pytest.raises(StoreCorrupt, match="CURRENT is damaged: expected `<snapshot name> <sha256>`, found"):
            IndexDirectory(tmp_path).current()

    def test_it_names_the_snapshot_and_the_hash_of_its_manifest(self, index):
        current = index.require_current()
        data = (index.snapshots / current.name / "manifest.json").read_bytes()
        assert current.manifest_sha256 == hashlib.sha256(data).hexdigest()
        assert current.name == f"000001-{current.manifest_sha256[:8]}"
        assert current.generation == 1


class TestDamage:
    def test_a_missing_file_is_named(self, index, executor):
        folder = snapshot_folder(index)
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            aside = path.rename(index.path / "aside")
            with pytest.raises(StoreCorrupt, match=r"no (readable )?file") as caught:
                index.open(executor)
            assert caught.value.file == str(path)
            aside.rename(path)
        index.open(executor).close()

    def test_a_truncated_file_is_named_with_both_sizes(self, index, executor):
        folder = snapshot_folder(index)
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size):
            whole = path.read_bytes()
            path.write_bytes(whole[:-1])
            with pytest.raises(StoreCorrupt) as caught:
                index.open(executor)
            assert caught.value.file == str(path)
            if path.name != "manifest.json":
                assert (caught.value.expected, caught.value.found) == (
                    f"{len(whole)} bytes",
                    f"{len(whole) - 1} bytes",
                )
            path.write_bytes(whole)

    def test_one_flipped_bit_anywhere_is_found_and_both_hashes_shown(self, index, executor):
        folder = snapshot_folder(index)
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json"):
            whole = bytearray(path.read_bytes())
            for at in sorted({0, len(whole) - 1, *range(0, len(whole), max(len(whole) // 12, 1))} - {-1}):
                whole[at] ^= 1 << at % 8
                path.write_bytes(whole)
                with pytest.raises(StoreCorrupt) as caught:
                    index.open(executor)
                assert caught.value.file == str(path)
                assert str(caught.value.expected).startswith("sha256 ")
                assert caught.value.found == f"sha256 {hashlib.sha256(whole).hexdigest()}"
                whole[at] ^= 1 << at % 8
            path.write_bytes(whole)
        index.open(executor).close()

    def test_one_flipped_bit_at_every_byte_of_the_manifest_is_found(self, index, executor):
        current, path = index.require_current(), snapshot_folder(index) / "manifest.json"
        whole = bytearray(path.read_bytes())
        for at in range(len(whole)):
            whole[at] ^= 1 << at % 8
            path.write_bytes(whole)
            with pytest.raises(StoreCorrupt) as caught:
                read_manifest(path.parent, current.manifest_sha256)
            assert caught.value.file == str(path)
            if at % 97 == 0:
                with pytest.raises(StoreCorrupt, match=r"manifest.json"):
                    index.open(executor)
            whole[at] ^= 1 << at % 8

    def test_one_flipped_bit_at_every_byte_of_current_is_found(self, index, executor):
        whole = bytearray(index.current_file.read_bytes())
        for at in range(len(whole)):
            for bit in range(8):
                whole[at] ^= 1 << bit
                index.current_file.write_bytes(whole)
                if whole[at:] != b"\r" or at != len(whole) - 1:  # another line end says the same
                    with pytest.raises(StoreCorrupt, match=r"CURRENT|manifest.json"):
                        index.open(executor)
                whole[at] ^= 1 << bit

    def test_a_file_that_the_manifest_does_not_list_is_named(self, index, executor):
        extra = snapshot_folder(index) / "terms" / "extra"
        extra.write_text("x")
        with pytest.raises(StoreCorrupt, match="no such file in the manifest"):
            index.open(executor)
        extra.unlink()
        extra.symlink_to(index.current_file)
        with pytest.raises(StoreCorrupt, match="terms/extra"):
            index.open(executor)

    def test_a_snapshot_that_current_names_but_that_is_gone_is_damage_not_absence(self, index, executor):
        shutil.rmtree(snapshot_folder(index))
        with pytest.raises(StoreCorrupt, match=r"CURRENT is damaged.*000001-"):
            index.open(executor)

    @pytest.mark.parametrize("version", [0, 2, 99])
    def test_another_format_version_is_refused_with_both_numbers(self, index, executor, version):
        republish(index, format_version=version)
        with pytest.raises(FormatUnsupported, match=rf"manifest.json.*{version}.*reads '1 to 1'"):
            index.open(executor)

    def test_a_newer_format_is_refused_for_its_version_even_if_it_has_other_fields(self, index, executor):
        republish(index, format_version=7, files="elsewhere", more=1)
        with pytest.raises(FormatUnsupported, match="7"):
            index.open(executor)

    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"files": {"passages.sqlite": {"sha256": "x", "size": 1}}}, "files.passages.sqlite.sha256"),
            ({"more": 1}, "more"),
            ({"counts": {"documents": 1}}, "counts.passages"),
            ({"format_version": "one"}, "format_version"),
        ],
    )
    def test_a_manifest_of_another_shape_names_the_field(self, index, executor, changes, named):
        republish(index, **changes)
        with pytest.raises(StoreCorrupt, match=named):
            index.open(executor)

    def test_an_analyzer_that_this_program_does_not_have_is_refused(self, index, executor):
        republish(index, analyzer="other-9:english")
        with pytest.raises(FormatUnsupported, match=r"analyzer.*other-9"):
            index.open(executor)

    def test_counts_that_the_files_do_not_bear_out_are_damage(self, index, executor):
        manifest = read_manifest(snapshot_folder(index))
        wrong = {"documents": manifest.counts.documents + 1, "passages": manifest.counts.passages, "quarantined": 0}
        republish(index, counts=wrong)
        with pytest.raises(StoreCorrupt, match=r"passages.sqlite"):
            index.open(executor)

    def test_vectors_of_another_dimension_than_the_space_are_damage(self, index, executor):
        manifest = json.loads((snapshot_folder(index) / "manifest.json").read_bytes())
        republish(index, space={**manifest["space"], "dimension": 32})
        with pytest.raises(StoreCorrupt, match=r"vectors.f32.*32 float32"):
            index.open(executor)

    def test_an_encoder_of_another_space_is_refused(self, index):
        manifest = read_manifest(snapshot_folder(index))
        other = manifest.model_copy(
            update={
                "space": type(manifest.space)(
                    **{name: getattr(manifest.space, name) for name in manifest.space.__slots__}
                    | {"weights_sha256": "f" * 64}
                )
            }
        )
        with pytest.raises(SpaceMismatch, match="weights_sha256"):
            open_query_encoder(index.path, other)

    def test_a_failed_opening_leaves_no_private_folder_and_no_hold(self, index, executor, monkeypatch, tmp_path):
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr("tempfile.tempdir", None)
        path = snapshot_folder(index) / "ledger.jsonl"
        path.write_bytes(path.read_bytes() + b"x")
        with pytest.raises(StoreCorrupt):
            index.open(executor)
        assert not list(tmp_path.glob("footnote-terms-*"))
        with files.if_not_held(snapshot_folder(index) / "manifest.json") as free:
            assert free


class TestReading:
    def test_opening_searching_and_reading_write_nothing_below_the_index(self, index, executor):
        def state():
            return {
                str(path): (path.lstat().st_mtime_ns, path.lstat().st_size) for path in sorted(index.path.rglob("*"))
            }

        for path in index.path.rglob("*"):
            path.chmod(0o555 if path.is_dir() else 0o444)
        before = state()
        snapshot = index.open(executor, full=True)
        snapshot.warm()
        hits = asyncio.run(snapshot.lexical("cat", 5, None, NOBODY))
        assert hits
        assert asyncio.run(snapshot.passages([hit.passage_id for hit in hits], NOBODY))
        snapshot.close()
        assert state() == before

    def test_an_open_snapshot_keeps_no_private_folder_that_a_kill_would_leave(
        self, index, executor, monkeypatch, tmp_path
    ):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        snapshot = index.open(executor)
        assert not list(tmp_path.glob("footnote-terms-*"))
        assert asyncio.run(snapshot.lexical("cat", 5, None, NOBODY))
        snapshot.close()

    def test_closing_twice_is_harmless(self, index, executor):
        snapshot = index.open(executor)
        snapshot.close()
        snapshot.close()
        with files.if_not_held(snapshot.folder / "manifest.json") as free:
            assert free

    def test_large_snapshots_hash_only_what_faiss_parses_unless_asked(self, index, executor, monkeypatch):
        monkeypatch.setattr("store.local.HASH_ALL_BYTES_MAX", 0)
        path = snapshot_folder(index) / "ledger.jsonl"
        path.write_bytes(b"x" * path.stat().st_size)
        snapshot = index.open(executor)
        assert not snapshot.fully_verified
        snapshot.close()
        with pytest.raises(StoreCorrupt, match=r"ledger.jsonl"):
            index.open(executor, full=True)
        path = snapshot_folder(index) / "vectors.faiss"
        path.write_bytes(b"x" * path.stat().st_size)
        with pytest.raises(StoreCorrupt, match=r"vectors.faiss"):
            index.open(executor)


class TestGenerations:
    def test_generations_count_up_and_name_their_parents(self, generations):
        found = generations.history()
        assert [manifest.generation for _, manifest in found] == [3, 2, 1]
        names = [folder.name for folder, _ in found]
        assert [manifest.parent for _, manifest in found] == [*names[1:], None]
        assert generations.require_current().name == names[0]
        assert generations.next_generation() == 4

    def test_history_leaves_out_what_is_damaged(self, generations):
        (generations.published()[1] / "manifest.json").write_text("{}")
        assert [manifest.generation for _, manifest in generations.history()] == [3, 1]

    def test_a_rolled_back_index_answers_from_the_older_generation(self, generations, executor):
        generations.rollback(1)
        assert documents_in(generations, executor) == ["d1"]
        assert generations.next_generation() == 4
        generations.rollback(3)
        assert documents_in(generations, executor) == ["d1", "d2", "d3"]

    def test_a_generation_that_is_not_kept_is_refused_and_the_kept_ones_named(self, generations):
        with pytest.raises(UsageError, match="generation 9 is not kept; kept: 1, 2, 3"):
            generations.rollback(9)

    def test_a_generation_whose_query_encoder_is_damaged_is_not_rolled_back_to(self, generations, executor):
        encoder = generations.encoders / "0123456789abcdef"
        encoder.mkdir(parents=True)
        (encoder / "model.onnx").write_bytes(b"damaged")
        entry = {"sha256": hashlib.sha256(b"the model").hexdigest(), "size": 7}
        generations.rollback(1)
        republish(
            generations, query_encoders=[{"kind": "onnx", "folder": encoder.name, "files": {"model.onnx": entry}}]
        )
        generations.rollback(3)
        with pytest.raises(StoreCorrupt, match=r"model.onnx is damaged"):
            generations.rollback(1)
        assert documents_in(generations, executor) == ["d1", "d2", "d3"]

    def test_one_whose_query_encoder_is_damaged_is_not_published(self, generations, executor):
        manifest = read_manifest(snapshot_folder(generations))
        encoder = QueryEncoderEntry(
            kind="onnx", folder="0123456789abcdef", files={"model.onnx": FileEntry(sha256="0" * 64, size=7)}
        )
        with generations.build_folder() as build:
            shutil.copytree(snapshot_folder(generations), build, dirs_exist_ok=True)
            with pytest.raises(StoreCorrupt, match=r"model.onnx is damaged"):
                generations.publish(build, manifest.model_copy(update={"query_encoders": [encoder], "generation": 4}))
        assert documents_in(generations, executor) == ["d1", "d2", "d3"]
        assert len(list(generations.snapshots.iterdir())) == 3

    def test_one_in_a_newer_format_is_listed_with_the_reason_and_hides_no_other(self, generations):
        generations.rollback(1)
        republish(generations, format_version=2, something="new")
        generations.rollback(3)
        assert [manifest.generation for _, manifest in generations.history()] == [3, 2]
        told = footnote("history", "--json", index=generations)
        lines = json.loads(told.stdout)["snapshots"]
        assert [(line["generation"], line["documents"]) for line in lines] == [(3, 3), (2, 2), (1, None)]
        assert "format version 2 is not supported" in lines[2]["error"]
        assert "     1  cannot be read: " in footnote("history", index=generations).stdout

    @pytest.mark.parametrize("way", ["open", "held"])
    def test_a_reader_that_is_overtaken_by_a_publish_that_prunes_gets_what_is_current(
        self, way, tmp_path, make_index, jsonl, executor, monkeypatch
    ):
        index = IndexDirectory(tmp_path / "index")
        make_index(index.path, jsonl(tmp_path / "s.jsonl", [{"id": "d1", "text": "one"}]))
        real, overtaken = IndexDirectory.require_current, []

        def slow(self):
            found = real(self)
            if not overtaken:
                overtaken.append(found)
                source = jsonl(tmp_path / "s.jsonl", [{"id": "d2", "text": "two"}])
                make_index(index.path, source, keep_generations=1)
            return found

        monkeypatch.setattr(IndexDirectory, "require_current", slow)
        if way == "open":
            assert documents_in(index, executor) == ["d2"]
        else:
            with held(index) as (_, manifest):
                assert manifest.generation == 2

    def test_a_damaged_generation_is_not_rolled_back_to(self, generations, executor):
        path = generations.published()[0] / "vectors.f32"
        path.write_bytes(path.read_bytes()[:-4] + b"\x00\x01\x02\x03")
        with pytest.raises(StoreCorrupt, match=r"vectors.f32"):
            generations.rollback(1)
        assert documents_in(generations, executor) == ["d1", "d2", "d3"]

    def test_pruning_keeps_the_newest(self, generations):
        assert [name[:6] for name in generations.prune(2)] == ["000001"]
        assert generations.prune(2) == []
        assert [path.name[:6] for path in generations.published()] == ["000002", "000003"]
        assert not list(generations.snapshots.glob(".removed-*"))

    def test_pruning_never_removes_the_current_one(self, generations, executor):
        generations.rollback(1)
        assert [name[:6] for name in generations.prune(1)] == ["000002"]
        assert documents_in(generations, executor) == ["d1"]

    def test_pruning_leaves_what_a_reader_holds(self, generations, executor):
        held = LocalSnapshot(generations.published()[0], executor)
        assert [name[:6] for name in generations.prune(1)] == ["000002"]
        assert asyncio.run(held.lexical("number", 5, None, NOBODY))
        held.close()
        assert [name[:6] for name in generations.prune(1)] == ["000001"]

    def test_a_build_after_a_rollback_gets_a_number_of_its_own(self, generations, make_index, jsonl, tmp_path):
        generations.rollback(1)
        report = make_index(generations.path, jsonl(tmp_path / "s.jsonl", [{"id": "new", "text": "new"}]))
        assert report.generation == 4
        assert read_manifest(snapshot_folder(generations)).parent.startswith("000001-")

    def test_a_kept_document_version_is_found_in_an_older_generation(self, tmp_path, make_index, jsonl):
        for text, access in (("first", ["staff"]), ("second", ["staff"])):
            source = jsonl(tmp_path / "s.jsonl", [{"id": "d", "text": text, "access": access}])
            make_index(tmp_path / "index", source)
        index = IndexDirectory(tmp_path / "index")
        with_first = LocalSnapshot(index.published()[0], None)
        ((_, version),) = with_first.reader.document_ids()
        with_first.close()
        staff = frozenset({"staff"})
        assert index.kept_document(version=version, principals=staff).text == "first"
        assert index.kept_document(version=version, principals=NOBODY) is None
        assert index.kept_document(version=version, principals=staff, skip=index.published()[0].name) is None
        assert index.kept_document(version="0" * 64, principals=staff) is None

    def test_one_flipped_bit_in_a_kept_snapshot_is_not_shown_as_that_version(self, tmp_path, make_index, jsonl):
        for text in ("mutter", "second"):
            make_index(tmp_path / "index", jsonl(tmp_path / "s.jsonl", [{"id": "d", "text": text}]))
        first = IndexDirectory(tmp_path / "index").published()[0] / "passages.sqlite"
        version = make_document("d", "mutter").version
        whole = first.read_bytes()
        assert IndexDirectory(tmp_path / "index").kept_document(version=version, principals=NOBODY).text == "mutter"
        for at in (whole.index(b"mutter"), 20, len(whole) // 2):
            damaged = bytearray(whole)
            damaged[at] ^= 1
            first.write_bytes(damaged)
            assert IndexDirectory(tmp_path / "index").kept_document(version=version, principals=NOBODY) is None
        first.write_bytes(whole)
        index = IndexDirectory(tmp_path / "index")
        assert index.kept_document(version=version, principals=NOBODY).text == "mutter"
        times = first.stat()
        first.write_bytes(whole.replace(b"mutter", b"muttar"))
        os.utime(first, ns=(times.st_atime_ns, times.st_mtime_ns))  # after it was hashed, and looking the same
        assert index.kept_document(version=version, principals=NOBODY) is None


HOLDER = """
import sys, time
from pathlib import Path
from store.index import IndexDirectory
with IndexDirectory(Path(sys.argv[1])).lock():
    print("held", flush=True)
    time.sleep(60)
"""


class TestLock:
    def test_a_second_writer_is_refused_and_told_who_holds_it_until_that_one_is_killed(self, tmp_path):
        holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        try:
            assert holder.stdout.readline() == "held\n"
            with (
                pytest.raises(IndexLocked, match=f'"pid": {holder.pid}.*"host".*Wait'),
                IndexDirectory(tmp_path).lock(),
            ):
                pass
            holder.send_signal(signal.SIGKILL)
            holder.wait()
            with IndexDirectory(tmp_path).lock():
                assert json.loads((tmp_path / "LOCK").read_text())["pid"] == os.getpid()
        finally:
            holder.kill()
            holder.wait()
            holder.stdout.close()

    def test_a_second_writer_in_one_process_is_refused_too(self, tmp_path):
        index = IndexDirectory(tmp_path)
        with index.lock(), pytest.raises(IndexLocked), index.lock():
            pass
        with index.lock():
            pass

    def test_a_locked_index_can_be_read(self, index, executor):
        with index.lock():
            index.open(executor).close()
