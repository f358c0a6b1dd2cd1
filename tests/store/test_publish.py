"""Publishing cannot be torn: a stop at any step leaves the old snapshot or the new one, whole."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from store import files
from store.errors import StoreCorrupt, WriteFailed
from store.index import IndexDirectory
from store.local import LocalSnapshot

STEPS = ["fsync", "fsync_tree", "publish_folder", "replace_file"]


class Crash(BaseException):
    """Stands for the power going away: nothing catches it."""


def whole_documents(index: IndexDirectory) -> list[str]:
    with ThreadPoolExecutor(1) as executor:
        snapshot = index.open(executor, full=True)
        try:
            return [document_id for document_id, _ in snapshot.reader.document_ids()]
        finally:
            snapshot.close()


def crash_at(monkeypatch, name: str, call: int) -> None:
    """Let the `call`-th call of a function of the file layer crash, wherever it is called from."""
    real, calls = getattr(files.Disk, name), [0]

    def counted(*args, **kwargs):
        calls[0] += 1
        if calls[0] == call:
            raise Crash(name)
        return real(*args, **kwargs)

    monkeypatch.setattr(files.Disk, name, counted)


@pytest.fixture
def first(tmp_path, make_index, jsonl):
    """An index of one document, and its source, since changed to hold two."""
    source = jsonl(tmp_path / "s.jsonl", [{"id": "old", "text": "the old text"}])
    make_index(tmp_path / "index", source)
    jsonl(source, [{"id": "old", "text": "the old text"}, {"id": "new", "text": "the new text"}])
    return IndexDirectory(tmp_path / "index"), source


@pytest.fixture(scope="module")
def template(tmp_path_factory, small_index):
    """An index of one document that the tests copy."""
    return tmp_path_factory.mktemp("template")


def copy_of(template: Path, folder: Path, make_index, jsonl) -> Path:
    """The template's index in `folder` (built the first time), and the path of its source."""
    if not (template / "index").exists():
        make_index(template / "index", jsonl(template / "s.jsonl", [{"id": "old", "text": "the old text"}]))
    shutil.copytree(template, folder)
    return folder / "s.jsonl"


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_call_of_any_step_leaves_old_or_new_whole_and_the_next_run_mends_it(
    step, tmp_path, template, make_index, jsonl
):
    crashed = 0
    for call in range(1, 60):
        patch = pytest.MonkeyPatch()
        folder = tmp_path / str(call)
        source = copy_of(template, folder, make_index, jsonl)
        jsonl(source, [{"id": "old", "text": "the old text"}, {"id": "new", "text": "the new text"}])
        index = IndexDirectory(folder / "index")
        crash_at(patch, step, call)
        try:
            make_index(index.path, source)
            finished = True
        except Crash:
            finished = False
            crashed += 1
        finally:
            patch.undo()
        found = whole_documents(index)
        assert found in (["old"], ["new", "old"])
        if found == ["old"] and call % 5:  # running again takes longest: after every fifth crash, and the last ones
            shutil.rmtree(folder)
            continue
        make_index(index.path, source)
        assert whole_documents(index) == ["new", "old"]
        left = sorted(path.name for path in index.snapshots.iterdir() if path.name.startswith("."))
        assert left == []
        assert not list(index.path.glob(".CURRENT*"))
        shutil.rmtree(folder)
        if finished:
            break
    assert finished
    assert crashed >= 1


@pytest.mark.parametrize("call", [pytest.param("fsync", marks=pytest.mark.slow), "rename"])
def test_a_failing_disk_at_any_system_call_leaves_old_or_new_whole(call, tmp_path, template, make_index, jsonl):
    """As above one level down: the n-th fsync, or the n-th rename, fails as a full or dying disk would."""
    failed = 0
    for number in range(1, 60):
        folder = tmp_path / str(number)
        source = copy_of(template, folder, make_index, jsonl)
        jsonl(source, [{"id": "new", "text": "the new text"}])
        index, patch, calls = IndexDirectory(folder / "index"), pytest.MonkeyPatch(), [0]
        target = os if call == "fsync" else Path
        real = getattr(target, call)

        def failing(*args, real=real, calls=calls, number=number):
            calls[0] += 1
            if calls[0] == number:
                raise OSError(28, "No space left on device")
            return real(*args)

        patch.setattr(target, call, failing)
        try:
            make_index(index.path, source)
            finished = True
        except WriteFailed:
            finished, failed = False, failed + 1
        finally:
            patch.undo()
        assert whole_documents(index) in (["old"], ["new"])
        make_index(index.path, source)
        assert whole_documents(index) == ["new"]
        shutil.rmtree(folder)
        if finished:
            break
    assert finished
    assert failed >= 2


def test_what_a_killed_run_left_behind_is_swept_by_the_next(first, make_index):
    index, source = first
    for stray in (".build-abc", ".removed-000009-00000000-1"):
        (index.snapshots / stray).mkdir()
        (index.snapshots / stray / "half").write_text("x")
    (index.path / ".CURRENT.123.tmp").write_text("half")
    assert whole_documents(index) == ["old"]
    make_index(index.path, source)
    assert sorted(path.name for path in index.snapshots.iterdir()) == sorted(path.name for path in index.published())
    assert not list(index.path.glob(".CURRENT*"))


def test_what_cannot_be_opened_again_is_not_published(first, make_index, monkeypatch):
    index, source = first
    real = LocalSnapshot.__init__

    def damaging(self, folder, *args, **kwargs):
        path = folder / "vectors.f32"
        path.write_bytes(path.read_bytes()[:-1] + b"\x55")
        real(self, folder, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(LocalSnapshot, "__init__", damaging)
        with pytest.raises(StoreCorrupt, match=r"vectors.f32"):
            make_index(index.path, source)
    assert whole_documents(index) == ["old"]
    assert len(index.published()) == 1


def test_files_of_an_older_snapshot_never_change(first, make_index):
    index, source = first
    (old,) = index.published()
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in old.rglob("*") if path.is_file()}
    make_index(index.path, source)
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in old.rglob("*") if path.is_file()} == before


def test_an_open_snapshot_still_answers_after_its_successor_was_published_and_it_was_removed(first, make_index):
    index, source = first
    with ThreadPoolExecutor(1) as executor:
        snapshot = index.open(executor)
        make_index(index.path, source)
        shutil.rmtree(snapshot.folder)
        assert [one.text for one in snapshot.reader.document(id="old")] == ["the old text"]
        snapshot.close()


def test_replacing_a_file_leaves_no_half_written_one(tmp_path, monkeypatch):
    path = tmp_path / "CURRENT"
    files.Disk().replace_file(path, b"old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(OSError, match="Input/output"):
        files.Disk().replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_no_pickle_lies_in_a_snapshot(small_index):
    for path in small_index.rglob("*"):
        if path.is_file():
            assert not path.read_bytes().startswith((b"\x80\x03", b"\x80\x04", b"\x80\x05")), path
