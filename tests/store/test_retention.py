"""What pruning keeps: snapshots that can be used, and what the current one was made from."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from pathlib import Path

import pytest

from store.files import Disk
from store.index import IndexDirectory
from store.retention import superfluous


def old(listed: str, *, current: str, parent: str | None = None, keep: int) -> str:
    """Snapshots as letters, newest first, those in capitals cannot be used."""
    found = superfluous([(one, one.islower()) for one in listed], current=current, parent=parent, keep=keep)
    return "".join(found)


@pytest.mark.parametrize(
    ("listed", "current", "parent", "keep", "gone"),
    [
        ("dcba", "d", "c", 3, "a"),
        ("dcba", "d", "c", 1, "abc"),
        ("dcba", "a", None, 1, "bc"),
        ("dcba", "d", "a", 2, "b"),
        ("dcba", "d", "a", 1, "abc"),
        ("dCba", "d", "b", 2, "a"),
        ("dCBa", "d", "a", 2, ""),
        ("dcBa", "d", "c", 2, "aB"),
        ("DCBA", "D", None, 1, ""),
        ("", "", None, 3, ""),
    ],
)
def test_the_newest_that_can_be_used_stay_and_the_current_one_and_its_parent(listed, current, parent, keep, gone):
    assert old(listed, current=current, parent=parent, keep=keep) == gone


@pytest.fixture
def index(tmp_path, make_index, jsonl) -> IndexDirectory:
    """Generations 1 to 3."""
    for text in ("one", "two", "three"):
        make_index(tmp_path / "index", jsonl(tmp_path / "s.jsonl", [{"id": "d", "text": text}]))
    return IndexDirectory(tmp_path / "index")


def numbers(index: IndexDirectory) -> list[int]:
    return [int(path.name[:6]) for path in index.published()]


@pytest.mark.parametrize("name", ["manifest.json", "vectors.f32"])
def test_a_damaged_snapshot_does_not_push_out_a_whole_one(name, index):
    (index.published()[1] / name).write_bytes(b"damaged")
    assert index.prune(2) == []
    assert numbers(index) == [1, 2, 3]
    assert [one[:6] for one in index.prune(1)] == ["000001", "000002"]


def test_what_the_current_snapshot_was_made_from_stays(index, make_index, jsonl, tmp_path):
    index.rollback(1)
    report = make_index(index.path, jsonl(tmp_path / "s.jsonl", [{"id": "d", "text": "four"}]), keep_generations=2)
    assert report.generation == 4
    assert numbers(index) == [1, 3, 4]


def test_while_a_removed_snapshot_is_deleted_no_reader_has_to_wait(index):
    tried = []

    class Slow(Disk):
        def remove_tree(self, folder: Path) -> None:
            if folder.name.startswith(".removed-"):
                descriptor = os.open(folder / "manifest.json", os.O_RDONLY)
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # raises where it would have to wait
                os.close(descriptor)
                tried.append(folder.name)
            super().remove_tree(folder)

    IndexDirectory(index.path, Slow()).prune(1)
    assert len(tried) == 2


class TestEncoders:
    UNUSED = "0123456789abcdef"

    def test_a_query_encoder_that_no_kept_snapshot_admits_goes_with_the_last_that_did(self, index):
        (index.encoders / self.UNUSED).mkdir(parents=True)
        (index.encoders / "README").write_text("mine")
        index.prune(3)
        assert [path.name for path in index.encoders.iterdir()] == ["README"]

    def test_it_stays_while_it_cannot_be_told_what_a_snapshot_admits(self, index):
        (index.encoders / self.UNUSED).mkdir(parents=True)
        (index.published()[1] / "manifest.json").write_bytes(b"damaged")
        index.prune(3)
        assert [path.name for path in index.encoders.iterdir()] == [self.UNUSED]

    def test_it_stays_while_a_kept_snapshot_admits_it(self, index):
        (index.encoders / self.UNUSED).mkdir(parents=True)
        folder = index.published()[0]
        manifest = json.loads((folder / "manifest.json").read_bytes())
        manifest["query_encoders"] = [{"kind": "onnx", "folder": self.UNUSED, "files": {}}]
        data = json.dumps(manifest).encode()
        (folder / "manifest.json").write_bytes(data)
        folder.rename(folder.with_name(f"000001-{hashlib.sha256(data).hexdigest()[:8]}"))
        index.prune(3)
        assert [path.name for path in index.encoders.iterdir()] == [self.UNUSED]


def test_whatever_a_stopped_run_left_is_swept_by_the_next_writer(index):
    index.encoders.mkdir()
    for folder in (index.snapshots / ".build-a", index.encoders / ".build-b", index.encoders / ".removed-c-1"):
        folder.mkdir()
        (folder / "half").write_text("x")
    for name in ("CURRENT", "HIGHEST", "FORGOTTEN"):
        (index.path / f".{name}.1.tmp").write_text("half")
    with index.lock():
        pass
    assert list(index.encoders.iterdir()) == []
    assert [path.name for path in [*index.path.iterdir(), *index.snapshots.iterdir()] if path.name[0] == "."] == []
