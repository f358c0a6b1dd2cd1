"""Indexes in bad places and bad states: a clear typed error or a working index, and nothing lost either way."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from store.errors import (
    FormatUnsupported,
    IndexLocked,
    IndexMissing,
    StoreCorrupt,
    UsageError,
    WriteFailed,
)
from store.index import Current, IndexDirectory
from store.local import read_manifest
from store.manifest import Manifest
from tests.conftest import build_index

ROOT = Path(__file__).parents[2]
NOBODY = 65534


@pytest.fixture
def source(tmp_path, jsonl) -> Path:
    return jsonl(tmp_path / "s.jsonl", [{"id": "d", "text": "one text about otters"}])


@pytest.fixture
def index(tmp_path, make_index, source) -> IndexDirectory:
    """An index of one generation, made from `source`."""
    make_index(tmp_path / "index", source)
    return IndexDirectory(tmp_path / "index")


def change(source: Path) -> None:
    source.write_text('{"id": "d", "text": "another text about otters"}\n')


def build_again(index: IndexDirectory, source: Path) -> None:
    build_index(index.path, source)


def found(index: IndexDirectory, executor) -> list[str]:
    """What the current snapshot says of otters."""
    snapshot = index.open(executor, full=True)
    try:
        hits = asyncio.run(snapshot.lexical("otters", 5, None, frozenset()))
        return [
            one.passage.text
            for one in asyncio.run(snapshot.passages([hit.passage_id for hit in hits], frozenset())).values()
        ]
    finally:
        snapshot.close()


def republish(index: IndexDirectory, **changes) -> None:
    """Rewrite the manifest with other values, its name and CURRENT made to fit, as another program would have."""
    folder = index.snapshots / index.require_current().name
    content = json.loads((folder / "manifest.json").read_bytes()) | changes
    data = json.dumps(content).encode()
    (folder / "manifest.json").write_bytes(data)
    name = Manifest.name_of(content["generation"], data)
    folder.rename(index.snapshots / name)
    index.point_current_at(Current(name, hashlib.sha256(data).hexdigest()))


def state(folder: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "LOCK"
    }


class TestCurrent:
    def test_a_link_to_another_place_is_read_and_then_replaced_leaving_what_it_led_to(
        self, index, executor, make_index, source, tmp_path
    ):
        elsewhere = index.current_file.rename(tmp_path / "elsewhere")
        index.current_file.symlink_to(elsewhere)
        before = elsewhere.read_bytes()
        assert found(index, executor) == ["one text about otters"]
        change(source)
        make_index(index.path, source)
        assert found(index, executor) == ["another text about otters"]
        assert not index.current_file.is_symlink()
        assert elsewhere.read_bytes() == before

    def test_a_link_to_a_file_of_another_kind_shows_that_and_nothing_is_followed(self, index, executor):
        index.current_file.unlink()
        index.current_file.symlink_to("/etc/passwd")
        with pytest.raises(StoreCorrupt, match=r"CURRENT is damaged: expected `<snapshot name> <sha256>`"):
            index.open(executor)

    def test_a_link_that_leads_nowhere_is_no_index_and_indexing_loses_nothing(
        self, index, executor, make_index, source
    ):
        index.current_file.unlink()
        index.current_file.symlink_to("nowhere")
        with pytest.raises(IndexMissing):
            index.open(executor)
        assert make_index(index.path, source).generation == 2
        assert found(index, executor) == ["one text about otters"]
        assert len(index.published()) == 2

    @pytest.mark.parametrize("kind", ["loop", "folder", "pipe"])
    def test_what_is_no_file_is_refused_at_once(self, index, executor, kind, make_index, source):
        index.current_file.unlink()
        if kind == "loop":
            index.current_file.symlink_to(index.current_file)
        elif kind == "folder":
            index.current_file.mkdir()
        else:
            os.mkfifo(index.current_file)
        with pytest.raises(StoreCorrupt, match=r"CURRENT is damaged: expected a (readable )?file"):
            index.open(executor)
        assert len(index.published()) == 1

    @pytest.mark.parametrize("name", ["../../etc x", "/etc/passwd", "000001-00000000/../..", "000001-0000000g"])
    def test_no_path_in_it_leads_out_of_the_index(self, index, executor, name):
        for content in (f"{name}\n", f"{name} {'0' * 64}\n"):
            index.current_file.write_text(content)
            with pytest.raises(StoreCorrupt, match="CURRENT is damaged"):
                index.open(executor)

    @pytest.mark.parametrize("name", ["../../../s.jsonl", "/etc/passwd", "terms/../../x", "", "terms//x", "./x"])
    def test_no_path_in_a_manifest_leads_out_of_its_folder(self, index, executor, name):
        republish(index, files={name: {"sha256": "0" * 64, "size": 1}})
        with pytest.raises(StoreCorrupt, match="is not a path inside the folder"):
            index.open(executor)


class TestPlaces:
    def test_a_file_in_the_place_of_the_index_stays_as_it_is(self, tmp_path, make_index, source, executor):
        place = tmp_path / "file"
        place.write_text("precious")
        with pytest.raises(UsageError, match="is a file, not an index directory"):
            make_index(place, source)
        with pytest.raises(UsageError, match="is a file, not an index directory"):
            IndexDirectory(place).open(executor)
        assert place.read_text() == "precious"

    def test_a_folder_of_other_things_keeps_them(self, tmp_path, make_index, source, executor):
        (tmp_path / "home" / "snapshots").mkdir(parents=True)
        (tmp_path / "home" / "letter").write_text("precious")
        (tmp_path / "home" / "snapshots" / "photo").write_text("precious")
        make_index(tmp_path / "home", source)
        assert found(IndexDirectory(tmp_path / "home"), executor) == ["one text about otters"]
        assert (tmp_path / "home" / "letter").read_text() == "precious"
        assert (tmp_path / "home" / "snapshots" / "photo").read_text() == "precious"

    @pytest.mark.parametrize("name", ["snapshots", "cache", "encoders"])
    def test_a_file_in_the_place_of_a_folder_of_the_index_is_named_and_stays(self, name, index, source):
        place = index.path / name
        if place.exists():
            shutil.rmtree(place)
        place.write_text("precious")
        change(source)
        with pytest.raises(UsageError, match=rf"{name} is not a folder"):
            if name == "encoders":  # only made for a model that has files
                index.disk.make_folder(place)
            else:
                if name == "snapshots":
                    index.current_file.unlink()
                build_again(index, source)
        assert place.read_text() == "precious"

    @pytest.mark.parametrize("command", ["history", "verify", "prune", "status", "forget"])
    @pytest.mark.parametrize("where", ["an old manifest", "the ledger"])
    def test_a_pipe_in_the_place_of_a_file_is_waited_for_by_no_command(self, command, where, index, source):
        change(source)
        build_again(index, source)
        old, new = index.published()
        path = old / "manifest.json" if where == "an old manifest" else new / "ledger.jsonl"
        path.unlink()
        os.mkfifo(path)
        arguments = [command, "d", "--yes"] if command == "forget" else [command]
        told = subprocess.run(
            footnote(*arguments, "--index", index.path),
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in told.stderr
        with index.lock():
            pass

    @pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user for a moment")
    @pytest.mark.parametrize("what", ["", "CURRENT", "snapshots", "snapshots/{name}/vectors.faiss"])
    def test_what_belongs_to_another_is_named(self, index, executor, what):
        name = index.require_current().name
        path = index.path / what.format(name=name)
        for parent in index.path.parents:
            if parent.stat().st_uid == 0 and parent != Path("/") and "pytest" in str(parent):
                parent.chmod(0o755)
        path.chmod(0o700 if path.is_dir() else 0o600)
        os.seteuid(NOBODY)
        try:
            with pytest.raises((UsageError, StoreCorrupt), match=r"[Pp]ermission denied") as caught:
                index.open(executor)
        finally:
            os.seteuid(0)
        assert str(index.path) in str(caught.value)
        assert found(index, executor) == ["one text about otters"]

    @pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user for a moment")
    def test_an_index_made_by_one_user_is_read_by_another(self, index, executor):
        for parent in index.path.parents:
            if parent.stat().st_uid == 0 and parent != Path("/") and "pytest" in str(parent):
                parent.chmod(0o755)
        os.seteuid(NOBODY)
        try:
            assert found(index, executor) == ["one text about otters"]
        finally:
            os.seteuid(0)

    @pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user for a moment")
    def test_who_may_not_write_is_told_and_changes_nothing(self, index, make_index, source, tmp_path):
        change(source)
        before = state(index.path)
        for folder in [*tmp_path.parents, tmp_path, *tmp_path.rglob("*")]:
            if "pytest" in str(folder):
                folder.chmod(0o755 if folder.is_dir() else 0o644)
        os.seteuid(NOBODY)
        try:
            with pytest.raises(WriteFailed, match="Permission denied"):
                make_index(index.path, source)
        finally:
            os.seteuid(0)
        assert state(index.path) == before


class TestHalfCopied:
    def test_any_file_that_was_not_copied_is_named_and_indexing_again_mends_it(
        self, index, executor, make_index, source, tmp_path
    ):
        folder = index.snapshots / index.require_current().name
        for name in [*read_manifest(folder).files, "manifest.json"]:
            copy = IndexDirectory(tmp_path / "copy")
            shutil.copytree(index.path, copy.path)
            (copy.snapshots / folder.name / name).unlink()
            with pytest.raises(StoreCorrupt, match=name):
                copy.open(executor)
            report = make_index(copy.path, source)
            assert (report.published, report.generation) == (True, 2)
            assert found(copy, executor) == ["one text about otters"]
            shutil.rmtree(copy.path)

    def test_a_current_that_came_before_its_snapshot_is_damage(self, index, executor):
        shutil.rmtree(index.snapshots)
        with pytest.raises(StoreCorrupt, match="expected the name of a published snapshot, found '000001-"):
            index.open(executor)

    def test_snapshots_that_came_before_current_are_no_index_yet(self, index, executor, make_index, source):
        index.current_file.unlink()
        with pytest.raises(IndexMissing):
            index.open(executor)
        assert make_index(index.path, source).generation == 2
        assert len(index.published()) == 2


class TestNewerFormat:
    @pytest.mark.parametrize("add", [False, True])
    def test_a_writer_refuses_it_with_both_versions_and_changes_nothing(self, index, make_index, source, add):
        republish(index, format_version=2, something="new")
        change(source)
        before = state(index.path)
        with pytest.raises(FormatUnsupported, match=r"format version 2 is not supported; this program reads '1 to 1'"):
            make_index(index.path, source, request={"add": add})
        assert state(index.path) == before


class TestClock:
    def test_one_that_goes_backwards_changes_no_order(self, tmp_path, make_index, jsonl, executor, monkeypatch):
        source, years = tmp_path / "s.jsonl", (2040, 2001, 2020, 1999, 2030)
        for number, year in enumerate(years, 1):
            monkeypatch.setattr("indexer.build.now", lambda year=year: f"{year}-01-01T00:00:00+00:00")
            jsonl(source, [{"id": "d", "text": f"otters number {number}"}])
            os.utime(source, (year - 1970, year - 1970))
            assert make_index(tmp_path / "index", source).generation == number
        index = IndexDirectory(tmp_path / "index")
        assert found(index, executor) == ["otters number 5"]
        assert [manifest.generation for _, manifest in index.history()] == [5, 4, 3]
        assert [manifest.created_at[:4] for _, manifest in index.history()] == ["2030", "1999", "2020"]

    def test_an_older_file_in_the_place_of_a_newer_one_is_noticed(self, index, make_index, source, executor):
        change(source)
        os.utime(source, (0, 0))
        assert make_index(index.path, source).published
        assert found(index, executor) == ["another text about otters"]


def footnote(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "footnote", *map(str, arguments)]


def can_unshare(*options: str) -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", *options, "true"], capture_output=True, check=False).returncode == 0


@contextlib.contextmanager
def running(command: list[str], says: str):
    """A process that has said what it says when it is ready; killed at the end."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout.readline().strip() == says
        yield process
    finally:
        process.kill()
        process.communicate()


READER = """
import sys, asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from store.index import IndexDirectory
with ThreadPoolExecutor(1) as executor:
    snapshot = IndexDirectory(Path(sys.argv[1])).open(executor)
    print("open", flush=True)
    for line in sys.stdin:
        hits = asyncio.run(snapshot.lexical("otters", 5, None, frozenset()))
        texts = asyncio.run(snapshot.passages([hit.passage_id for hit in hits], frozenset())).values()
        print(*(one.passage.text for one in texts), flush=True)
"""
WRITER = """
import os, sys, time
from pathlib import Path
from store.index import IndexDirectory
with IndexDirectory(Path(sys.argv[1])).lock():
    print(os.getpid(), flush=True)
    time.sleep(60)
"""


class TestProcesses:
    def test_a_reader_elsewhere_holds_up_no_writer_and_keeps_what_it_reads(self, index, make_index, source, executor):
        with running([sys.executable, "-c", READER, str(index.path)], "open") as reader:
            began = time.monotonic()
            for number in range(2, 6):
                source.write_text(json.dumps({"id": "d", "text": f"otters number {number}"}))
                make_index(index.path, source, keep_generations=1)
            assert time.monotonic() - began < 20
            assert [path.name[:6] for path in index.published()] == ["000001", "000005"]
            reader.stdin.write("?\n")
            reader.stdin.flush()
            assert reader.stdout.readline().strip() == "one text about otters"
        assert [name[:6] for name in index.prune(1)] == ["000001"]
        assert found(index, executor) == ["otters number 5"]

    def test_a_writer_elsewhere_holds_up_no_reader(self, index, executor):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(index.path)], stdout=subprocess.PIPE, text=True
        ) as writer:
            try:
                assert writer.stdout.readline()
                began = time.monotonic()
                for _ in range(20):
                    assert found(index, executor) == ["one text about otters"]
                assert time.monotonic() - began < 10
                with pytest.raises(IndexLocked), index.lock():
                    pass
            finally:
                writer.kill()

    @pytest.mark.skipif(not can_unshare("-pf"), reason="needs the right to make pid namespaces")
    def test_two_writers_that_are_both_process_1_are_kept_apart(self, index, source):
        first = ["unshare", "-pf", "--kill-child", sys.executable, "-c", WRITER, str(index.path)]
        with running(first, "1"):
            second = subprocess.run(
                ["unshare", "-pf", *footnote("index", source, "--index", index.path, "--embedding-model", "hash:64")],
                capture_output=True,
                text=True,
                cwd=ROOT,
                timeout=60,
                check=False,
            )
        assert second.returncode == 1
        assert 'another process is writing this index ({"pid": 1,' in second.stderr
        assert "Traceback" not in second.stderr

    @pytest.mark.skipif(not can_unshare("-m"), reason="needs the right to mount")
    def test_on_a_read_only_mount_readers_work_and_a_writer_is_told(self, index, source, tmp_path):
        change(source)
        before = state(index.path)
        mounted = tmp_path / "mounted"
        mounted.mkdir()
        script = f'mount --bind {index.path} {mounted} && mount -o remount,ro,bind {mounted} && exec "$@"'

        def run(*arguments: object):
            return subprocess.run(
                ["unshare", "-m", "sh", "-c", script, "sh", *footnote(*arguments, "--index", mounted)],
                capture_output=True,
                text=True,
                cwd=ROOT,
                timeout=60,
                check=False,
            )

        searched = run("search", "otters", "--json")
        assert searched.returncode == 0, searched.stderr
        assert json.loads(searched.stdout)["results"][0]["passage"]["text"] == "one text about otters"
        archive = tmp_path / "a.tar"
        for arguments in (("status",), ("verify",), ("history",), ("diff", 1, 1), ("export", archive)):
            assert run(*arguments).returncode == 0, arguments
        for arguments in (
            ("index", source, "--embedding-model", "hash:64"),
            ("rollback", 1),
            ("prune",),
            ("forget", "d", "--yes"),
            ("import", archive),
        ):
            written = run(*arguments)
            assert written.returncode == 1, arguments
            assert "Read-only file system" in written.stderr
            assert "Traceback" not in written.stderr
        assert state(index.path) == before
