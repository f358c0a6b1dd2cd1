"""Archives: what goes out comes back to the byte, and nothing else ever comes in."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
import tarfile
from pathlib import Path

import pytest

from store import archive as archives
from store.archive import HEAD, MANIFEST, ArchiveReader, export_archive, header
from store.arrival import import_archive
from store.errors import FootnoteError, FormatUnsupported, StoreCorrupt, UsageError, WriteFailed
from store.files import Disk, if_not_held
from store.index import Current, IndexDirectory
from store.local import LocalSnapshot, open_query_encoder, read_manifest
from store.manifest import FileEntry, Manifest, QueryEncoderEntry


def state_of(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if path.name != "LOCK"
    }


def documents_in(index: IndexDirectory) -> list[tuple[str, str]]:
    snapshot = LocalSnapshot(index.snapshots / index.require_current().name, None, full=True)
    try:
        return list(snapshot.reader.document_ids())
    finally:
        snapshot.close()


def with_encoder(index: IndexDirectory, model: bytes) -> QueryEncoderEntry:
    """Rewrites the current snapshot's manifest to admit an encoder that stands for an exported one."""
    folder = index.snapshots / index.require_current().name
    manifest = read_manifest(folder)
    encoder = index.encoders / manifest.space.fingerprint
    encoder.mkdir(parents=True, exist_ok=True)
    contents = {"model.onnx": model, "tokenizer.json": b"{}", "encoder.json": b"{} "}
    for name, data in contents.items():
        (encoder / name).write_bytes(data)
    entry = QueryEncoderEntry(
        kind="onnx",
        folder=encoder.name,
        files={n: FileEntry(sha256=hashlib.sha256(d).hexdigest(), size=len(d)) for n, d in contents.items()},
    )
    data = manifest.model_copy(update={"query_encoders": [entry]}).to_bytes()
    (folder / MANIFEST).write_bytes(data)
    name = Manifest.name_of(manifest.generation, data)
    folder.rename(index.snapshots / name)
    index.point_current_at(Current(name, hashlib.sha256(data).hexdigest()))
    return entry


@pytest.fixture
def source(small_index, tmp_path) -> IndexDirectory:
    """A copy of the small index, to export from and to do harm to."""
    shutil.copytree(small_index, tmp_path / "source")
    return IndexDirectory(tmp_path / "source")


@pytest.fixture(scope="session")
def exported(small_index, tmp_path_factory) -> bytes:
    """The bytes of an archive of the small index with an encoder."""
    folder = tmp_path_factory.mktemp("exported")
    shutil.copytree(small_index, folder / "index")
    with_encoder(IndexDirectory(folder / "index"), b"stands for a model" * 40)
    export_archive(IndexDirectory(folder / "index"), folder / "a.tar")
    return (folder / "a.tar").read_bytes()


@pytest.fixture
def target(tmp_path, make_index, jsonl) -> IndexDirectory:
    """Another index, with one generation of its own."""
    make_index(tmp_path / "target", jsonl(tmp_path / "t.jsonl", [{"id": "own", "text": "its own text"}]))
    return IndexDirectory(tmp_path / "target")


@pytest.fixture
def refuse(target, tmp_path):
    """Asserts that these bytes are refused with a typed error that names the archive, and that nothing changed."""
    before = state_of(target.path)

    def check(data: bytes, match: str | None = None, error=StoreCorrupt) -> FootnoteError:
        path = tmp_path / "bad.tar"
        path.write_bytes(data)
        with pytest.raises(error, match=match) as caught:
            import_archive(target, path)
        assert str(path) in str(caught.value)
        if isinstance(caught.value, StoreCorrupt):
            assert str(caught.value).endswith(
                "Nothing was changed. Copy the archive again, or `footnote export` it again."
            )
            assert caught.value.expected
            assert caught.value.found
        assert state_of(target.path) == before
        return caught.value

    return check


def blocks(data: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(data)) as opened:
        return [(one, opened.extractfile(one).read()) for one in opened]


def put_together(members) -> bytes:
    """An archive of (name, content) pairs or (header block, content) pairs."""
    out = b""
    for head, content in members:
        out += header(head, len(content)) if isinstance(head, str) else head
        out += content + bytes(-len(content) % 512)
    return out + bytes(1024)


def forged(data: bytes, **changes) -> list[tuple[str | bytes, bytes]]:
    """The members with another manifest, and the first member made to fit, as an attacker would."""
    members = [(info.name, content) for info, content in blocks(data)]
    manifest = json.loads(members[1][1])
    manifest.update(changes)
    content = json.dumps(manifest).encode()
    return [(HEAD, archives._head_of(content)), (MANIFEST, content), *members[2:]]


class TestRefusals:
    def test_what_is_no_file_is_no_archive(self, target, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        for path in (tmp_path / "missing", tmp_path, tmp_path / "pipe"):
            with pytest.raises(UsageError, match="archive"):
                import_archive(target, path)

    @pytest.mark.parametrize(
        "data",
        [b"", b"\0" * 512, b"\0" * 10240, b"not a tar" * 200, b"x" * 511, b"SQLite format 3\0" + bytes(5000)],
        ids=range(6),
    )
    def test_what_is_no_tar_is_refused(self, refuse, data):
        refuse(data, "expected a footnote archive.*found no tar")

    def test_another_tar_is_refused(self, refuse):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as other:
            other.addfile(tarfile.TarInfo("readme"), io.BytesIO())
        refuse(out.getvalue(), "whose first member is footnote-archive.json, found 'readme'")

    def test_one_flipped_bit_anywhere_is_found(self, refuse, exported):
        dice = random.Random(5)
        edges, at = {0, len(exported) - 1}, 0
        for _info, content in blocks(exported):  # every header byte that says something, and around every border
            edges |= {at + offset for offset in (0, 100, 124, 135, 148, 153, 154, 155, 156, 157, 257, 345, 511)}
            at += 512 + len(content) + -len(content) % 512
            edges |= {at - 1, at - 512 + len(content) % 512}
        places = edges | set(dice.sample(range(len(exported)), 150)) | set(range(512, 512 + 400, 7))
        for place in sorted(places):
            spoiled = bytearray(exported)
            spoiled[place] ^= 1 << dice.randrange(8)
            refuse(bytes(spoiled), error=(StoreCorrupt, FormatUnsupported))

    def test_a_truncated_archive_is_refused_wherever_it_ends(self, refuse, exported):
        dice = random.Random(6)
        for length in {1, 511, 512, 513, 1023, 1024, len(exported) - 1024, len(exported) - 1} | set(
            dice.sample(range(len(exported)), 40)
        ):
            refuse(exported[:length])

    def test_more_at_the_end_is_refused_and_both_sizes_said(self, refuse, exported):
        error = refuse(exported + b"\0")
        assert (error.expected, error.found) == (f"{len(exported)} bytes", f"{len(exported) + 1} bytes")

    def test_one_that_shrinks_while_it_is_read_is_refused(self, target, exported, tmp_path):
        path = tmp_path / "a.tar"
        path.write_bytes(exported)
        reader = ArchiveReader(path)
        os.truncate(path, len(exported) // 2)
        with pytest.raises(StoreCorrupt, match=r"the archive ends there|no member"):
            reader.unpack(tmp_path / "s", tmp_path / "e")
        reader.close()

    def test_members_swapped_missing_or_twice_are_refused(self, refuse, exported):
        members = [(info.name, content) for info, content in blocks(exported)]
        for at in range(2, len(members) - 1):
            swapped = [*members]
            swapped[at], swapped[at + 1] = swapped[at + 1], swapped[at]
            refuse(put_together(swapped), "a file of .* bytes here, found a file of .* bytes named")
            contents = [*members]
            contents[at] = (members[at][0], members[at + 1][1])
            refuse(put_together(contents))
        refuse(put_together(members[:-1]), "bytes, found")
        refuse(put_together([*members, members[-1]]), "bytes, found")

    @pytest.mark.parametrize("kind", [b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"S", b"x", b"g", b"L", b"K"])
    def test_links_devices_folders_and_extended_headers_are_refused(self, refuse, exported, kind):
        members = [(info.name, content) for info, content in blocks(exported)]
        for at in (0, 1, 2):
            info = tarfile.TarInfo(members[at][0])
            info.size, info.mode, info.type, info.linkname = len(members[at][1]), 0o644, kind, "/etc/passwd"
            block = info.tobuf(tarfile.GNU_FORMAT, "ascii", "strict")[:512]
            refuse(put_together([*members[:at], (block, members[at][1]), *members[at + 1 :]]))

    @pytest.mark.parametrize(
        "name",
        ["../outside", "/tmp/outside", "a/../../outside", "a//b", ".", "a\0b", "a\nb", "é", "x" * 200, "C:\\x", ""],
    )
    def test_names_that_lead_elsewhere_are_refused_though_the_manifest_lists_them(
        self, refuse, exported, name, tmp_path
    ):
        files = json.loads(blocks(exported)[1][1])["files"]
        entry = {"sha256": hashlib.sha256(b"").hexdigest(), "size": 0}
        refuse(put_together(forged(exported, files={**files, name: entry})), "manifest.json")
        assert not (tmp_path / "outside").exists()

    @pytest.mark.parametrize("name", ["passages.sqlite/x", "terms"])
    def test_a_name_that_is_a_file_and_a_folder_is_refused(self, refuse, exported, name):
        members = forged(exported)
        files = json.loads(members[1][1])["files"]
        files[name] = {"sha256": hashlib.sha256(b"").hexdigest(), "size": 0}
        members = forged(exported, files=files)
        members = members[:2] + sorted([*members[2:], (f"snapshot/{name}", b"")], key=lambda m: (m[0][:1] == "e", m[0]))
        refuse(put_together(members), "names of files")

    def test_a_manifest_among_the_snapshots_files_is_refused(self, refuse, exported):
        files = json.loads(blocks(exported)[1][1])["files"]
        files["manifest.json"] = {"sha256": hashlib.sha256(b"{}").hexdigest(), "size": 2}
        members = [*forged(exported, files=files), ("snapshot/manifest.json", b"{}")]
        members = members[:2] + sorted(members[2:], key=lambda m: (m[0][:1] == "e", m[0]))
        refuse(put_together(members), "member snapshot/manifest.json")

    def test_an_encoder_folder_of_another_name_is_refused(self, refuse, exported):
        (encoder,) = json.loads(blocks(exported)[1][1])["query_encoders"]
        for folder in ("..", "elsewhere", "a/b", None):
            data = put_together(forged(exported, query_encoders=[{**encoder, "folder": folder}]))
            refuse(data, "manifest.json")

    @pytest.mark.parametrize("size", [10**30, 10**12, 2**63])
    def test_sizes_that_cannot_be_are_refused_before_anything_is_written(self, refuse, exported, size):
        files = json.loads(blocks(exported)[1][1])["files"]
        files["vectors.f32"] = {**files["vectors.f32"], "size": size}
        refuse(put_together(forged(exported, files=files)), "bytes, found")

    def test_a_manifest_or_a_first_member_without_end_is_refused(self, refuse, exported):
        fields = json.loads(blocks(exported)[0][1])
        for size in (10**10, 2**70, -1, "1", None):
            head = json.dumps({**fields, "manifest_size": size}, indent=1).encode() + b"\n"
            refuse(put_together([(HEAD, head)]))
        refuse(put_together([(HEAD, b" " * 100_000)]))

    def test_another_version_of_the_archive_or_of_the_format_is_refused_with_both_numbers(self, refuse, exported):
        fields = json.loads(blocks(exported)[0][1])
        head = json.dumps({**fields, "version": 2, "more": 1}, indent=1).encode() + b"\n"
        refuse(put_together([(HEAD, head)]), "version 2 is not supported; this program reads 1", FormatUnsupported)
        refuse(put_together(forged(exported, format_version=9)), "version 9", FormatUnsupported)

    def test_hashes_as_they_should_be_of_files_that_are_not_are_refused(self, refuse, exported):
        counts = json.loads(blocks(exported)[1][1])["counts"]
        data = put_together(forged(exported, counts={**counts, "documents": counts["documents"] + 1}))
        refuse(data, r"member snapshot/passages.sqlite")

    def test_what_was_unpacked_is_gone_when_the_disk_fails_at_any_step(self, exported, target, tmp_path):
        class Failing(Disk):
            left = 0

            def rename(self, source, to):
                self._count()
                super().rename(source, to)

            def fsync(self, path):
                self._count()
                super().fsync(path)

            def _count(self):
                Failing.left -= 1
                if Failing.left == 0:
                    raise OSError(28, "No space left on device", str(target.path))

        (tmp_path / "a.tar").write_bytes(exported)
        before = state_of(target.path)
        index = IndexDirectory(target.path, Failing())
        for step in range(1, 200):
            Failing.left = step
            try:
                import_archive(index, tmp_path / "a.tar")
                break
            except WriteFailed:
                pass
            now = state_of(target.path)
            assert now["CURRENT"] == before["CURRENT"] or index.require_current().generation > 1
            assert not [name for name in now if ".build-" in name]
            assert documents_in(target)
        assert 10 < step < 199
        assert len(documents_in(target)) == 5


class TestExport:
    def test_a_damaged_file_is_named_and_no_archive_is_left(self, source, tmp_path):
        (tmp_path / "out").mkdir()
        folder = source.snapshots / source.require_current().name
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size):
            whole = path.read_bytes()
            for spoiled in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1])):
                path.write_bytes(spoiled)
                with pytest.raises(StoreCorrupt) as caught:
                    export_archive(source, tmp_path / "out" / "a.tar")
                assert caught.value.file == str(path)
                assert list((tmp_path / "out").iterdir()) == []
            path.write_bytes(whole)

    def test_a_missing_or_damaged_encoder_is_named(self, source, tmp_path):
        with_encoder(source, b"model")
        path = next(source.encoders.glob("*/model.onnx"))
        path.write_bytes(b"m0del")
        with pytest.raises(StoreCorrupt, match=r"model.onnx is damaged: expected sha256"):
            export_archive(source, tmp_path / "a.tar")
        path.unlink()
        with pytest.raises(StoreCorrupt, match=r"model.onnx is damaged: expected 5 bytes, found no readable file"):
            export_archive(source, tmp_path / "a.tar")
        assert not (tmp_path / "a.tar").exists()

    def test_a_file_that_is_no_archive_is_never_replaced_an_archive_is(self, source, tmp_path):
        path = tmp_path / "precious.txt"
        for content in (b"my notes", b""):
            path.write_bytes(content)
            with pytest.raises(UsageError, match="exists and is no archive"):
                export_archive(source, path)
            assert path.read_bytes() == content
        path.unlink()
        for place in (tmp_path, source.path / "a.tar", source.snapshots / "a.tar", tmp_path / "none" / "a.tar"):
            with pytest.raises(UsageError):
                export_archive(source, place)
        export_archive(source, path)
        export_archive(source, path)

    def test_a_failed_export_leaves_the_archive_that_was_there(self, source, tmp_path):
        export_archive(source, tmp_path / "a.tar")
        before = (tmp_path / "a.tar").read_bytes()
        vectors = source.snapshots / source.require_current().name / "vectors.f32"
        vectors.write_bytes(b"x" * vectors.stat().st_size)
        with pytest.raises(StoreCorrupt):
            export_archive(source, tmp_path / "a.tar")
        assert (tmp_path / "a.tar").read_bytes() == before
        assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")] == []

    def test_it_is_a_tar_that_any_tar_reads_and_equal_snapshots_make_equal_archives(self, exported, source, tmp_path):
        for number in (1, 2):
            export_archive(source, tmp_path / f"{number}.tar")
        assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()
        folder = source.snapshots / source.require_current().name
        for info, content in blocks((tmp_path / "1.tar").read_bytes())[2:]:
            assert (folder / info.name.removeprefix("snapshot/")).read_bytes() == content
            assert info.isreg()

    def test_headers_are_these_bytes_whatever_python_writes_them(self):
        block = header("snapshot/a", 5)
        fields = [(0, b"snapshot/a"), (100, b"0000644"), (108, b"0000000"), (116, b"0000000"), (124, b"00000000005")]
        fields += [(136, b"00000000000"), (148, b"007702\0 "), (156, b"0"), (257, b"ustar  ")]
        expected = bytearray(512)
        for at, value in fields:
            expected[at : at + len(value)] = value
        assert block == bytes(expected)
        assert len(header("snapshot/a", 10**12)) == 512

    def test_a_read_only_index_can_be_exported_and_is_not_written_to(self, source, tmp_path):
        for path in source.path.rglob("*"):
            path.chmod(0o555 if path.is_dir() else 0o444)
        source.path.chmod(0o555)
        before = {path: path.stat().st_mtime_ns for path in [source.path, *source.path.rglob("*")]}
        export_archive(source, tmp_path / "a.tar")
        assert {path: path.stat().st_mtime_ns for path in [source.path, *source.path.rglob("*")]} == before

    def test_the_snapshot_is_held_meanwhile(self, source, tmp_path):
        manifest, free = source.snapshots / source.require_current().name / MANIFEST, []

        def look(_):
            with if_not_held(manifest) as found:
                free.append(found)

        export_archive(source, tmp_path / "a.tar", advance=look)
        assert free
        assert not any(free)
        with if_not_held(manifest) as found:
            assert found

    def test_an_older_generation_can_be_exported(self, tmp_path, make_index, jsonl):
        for text in ("old", "new"):
            make_index(tmp_path / "index", jsonl(tmp_path / "s.jsonl", [{"id": text, "text": text}]))
        index = IndexDirectory(tmp_path / "index")
        export_archive(index, tmp_path / "a.tar", 1)
        import_archive(IndexDirectory(tmp_path / "new"), tmp_path / "a.tar")
        assert [key for key, _ in documents_in(IndexDirectory(tmp_path / "new"))] == ["old"]
        with pytest.raises(UsageError, match="generation 7 is not kept; kept: 1, 2"):
            export_archive(index, tmp_path / "a.tar", 7)


class TestImport:
    def test_a_new_index_gets_the_very_snapshot(self, source, tmp_path):
        with_encoder(source, b"a model")
        done = export_archive(source, tmp_path / "a.tar")
        new = IndexDirectory(tmp_path / "new")
        imported = import_archive(new, tmp_path / "a.tar")
        assert imported.snapshot == imported.exported_as == done.snapshot
        ours, theirs = state_of(source.path), state_of(new.path)
        ours = {name: data for name, data in ours.items() if not name.startswith("cache")}
        assert ours == theirs
        assert (tmp_path / "a.tar").stat().st_size == done.size

    def test_what_is_current_already_is_not_published_again(self, source, tmp_path):
        export_archive(source, tmp_path / "a.tar")
        new = IndexDirectory(tmp_path / "new")
        assert import_archive(new, tmp_path / "a.tar").published
        before = state_of(new.path)
        again = import_archive(new, tmp_path / "a.tar")
        assert (again.published, again.snapshot) == (False, new.require_current().name)
        assert state_of(new.path) == before

    def test_it_is_published_again_where_the_current_one_is_damaged(self, source, tmp_path):
        export_archive(source, tmp_path / "a.tar")
        new = IndexDirectory(tmp_path / "new")
        import_archive(new, tmp_path / "a.tar")
        path = new.snapshots / new.require_current().name / "ledger.jsonl"
        path.write_bytes(b"x" * path.stat().st_size)
        assert import_archive(new, tmp_path / "a.tar").published
        assert len(documents_in(new)) == 5

    def test_another_embedding_space_than_before_is_said(self, source, tmp_path, make_index, jsonl):
        export_archive(source, tmp_path / "a.tar")
        other = IndexDirectory(tmp_path / "other")
        make_index(other.path, jsonl(tmp_path / "o.jsonl", [{"id": "x", "text": "x"}]), model="hash:32")
        assert "hash:32" in import_archive(other, tmp_path / "a.tar").space_before

    def test_an_index_with_generations_gets_the_next_one_with_its_own_parent(self, exported, target, tmp_path):
        (tmp_path / "a.tar").write_bytes(exported)
        before = target.require_current().name
        imported = import_archive(target, tmp_path / "a.tar")
        assert (imported.manifest.generation, imported.manifest.parent) == (2, before)
        assert target.require_current().name == imported.snapshot != imported.exported_as
        assert len(documents_in(target)) == 5
        target.rollback(1)
        assert [key for key, _ in documents_in(target)] == ["own"]

    def test_indexing_the_same_sources_again_embeds_nothing(self, tmp_path, make_index, jsonl, monkeypatch):
        documents = [{"id": f"d{n}", "text": f"text number {n} " * 30} for n in range(20)]
        source = jsonl(tmp_path / "s.jsonl", documents)
        make_index(tmp_path / "index", source)
        export_archive(IndexDirectory(tmp_path / "index"), tmp_path / "a.tar")
        import_archive(IndexDirectory(tmp_path / "new"), tmp_path / "a.tar")
        again = make_index(tmp_path / "new", source)
        assert (again.published, again.embedded) == (False, 0)
        more = make_index(tmp_path / "new", jsonl(tmp_path / "s.jsonl", [*documents, {"id": "x", "text": "new text"}]))
        assert (more.published, more.embedded) == (True, 1)

    def test_a_whole_encoder_of_the_space_goes_on_being_used(self, source, target, tmp_path):
        with_encoder(source, b"another export of the same model")
        own = with_encoder(target, b"the index's own")
        export_archive(source, tmp_path / "a.tar")
        imported = import_archive(target, tmp_path / "a.tar")
        assert imported.manifest.query_encoders == [own]
        assert (target.encoders / str(own.folder) / "model.onnx").read_bytes() == b"the index's own"

    def test_a_damaged_encoder_is_mended(self, source, target, tmp_path):
        entry = with_encoder(source, b"a model")
        with_encoder(target, b"a model")
        (target.encoders / str(entry.folder) / "model.onnx").write_bytes(b"spoiled")
        export_archive(source, tmp_path / "a.tar")
        import_archive(target, tmp_path / "a.tar")
        assert (target.encoders / str(entry.folder) / "model.onnx").read_bytes() == b"a model"
        assert [path.name for path in target.encoders.iterdir()] == [entry.folder]

    def test_a_damaged_current_is_mended(self, exported, target, tmp_path):
        (tmp_path / "a.tar").write_bytes(exported)
        target.current_file.write_text("nonsense")
        imported = import_archive(target, tmp_path / "a.tar")
        assert (imported.manifest.generation, imported.manifest.parent) == (2, None)
        assert len(documents_in(target)) == 5

    def test_the_model_free_encoder_travels_by_name(self, source, tmp_path):
        export_archive(source, tmp_path / "a.tar")
        new = IndexDirectory(tmp_path / "new")
        imported = import_archive(new, tmp_path / "a.tar")
        assert open_query_encoder(new.path, imported.manifest) is not None
        assert not new.encoders.exists()

    @pytest.mark.model
    def test_an_exported_encoder_embeds_questions_in_the_new_index_and_the_model_is_not_loaded(
        self, tmp_path, make_index, jsonl
    ):
        source = jsonl(tmp_path / "s.jsonl", [{"id": "a", "text": "Otters sleep five hours a day."}])
        make_index(tmp_path / "index", source, model="all-MiniLM-L6-v2")
        done = export_archive(IndexDirectory(tmp_path / "index"), tmp_path / "a.tar")
        new = IndexDirectory(tmp_path / "new")
        import_archive(new, tmp_path / "a.tar")
        encoder = open_query_encoder(new.path, read_manifest(new.snapshots / done.snapshot))
        assert encoder.encode_queries(["otters"]).shape == (1, 384)
        again = make_index(new.path, source, model="all-MiniLM-L6-v2")
        assert (again.published, again.embedded) == (False, 0)
        jsonl(source, [{"id": "a", "text": "Otters sleep five hours a day."}, {"id": "b", "text": "Herons wait."}])
        assert make_index(new.path, source, model="all-MiniLM-L6-v2").embedded == 1
