"""The writer's lock: nothing is written through a link, nothing is waited for, and who loses it publishes nothing."""

from __future__ import annotations

import fcntl
import os

import pytest

from store import files
from store.errors import IndexLocked, UsageError
from store.index import IndexDirectory


@pytest.fixture
def index(tmp_path) -> IndexDirectory:
    (tmp_path / "index").mkdir()
    return IndexDirectory(tmp_path / "index")


def test_a_link_in_its_place_is_refused_and_what_it_leads_to_stays_as_it_is(index, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (index.path / "LOCK").symlink_to(precious)
    with pytest.raises(UsageError, match=r"LOCK is not a file of its own\. Remove it"), index.lock():
        pass
    assert precious.read_text() == "precious"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_pipe_or_a_folder_in_its_place_is_refused_at_once(make, index):
    make(index.path / "LOCK")
    with pytest.raises(UsageError, match="LOCK is not a file of its own"), index.lock():
        pass


def test_a_lock_that_was_removed_just_before_it_was_taken_is_not_believed(index, monkeypatch):
    real, removed = fcntl.flock, []

    def flock(descriptor, operation):
        if not removed:  # another writer's file, which somebody removes in this very moment
            removed.append((index.path / "LOCK").unlink())
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with index.lock(), pytest.raises(IndexLocked), IndexDirectory(index.path).lock():
        pass


def test_who_loses_the_lock_publishes_nothing(tmp_path, make_index, jsonl, monkeypatch):
    index = IndexDirectory(tmp_path / "index")
    make_index(index.path, jsonl(tmp_path / "s.jsonl", [{"id": "d", "text": "one"}]))
    before = index.current_file.read_bytes()
    real = files.Disk.publish_folder

    def publish_folder(self, build, target):
        (index.path / "LOCK").unlink()
        real(self, build, target)

    with monkeypatch.context() as patch:
        patch.setattr(files.Disk, "publish_folder", publish_folder)
        with pytest.raises(IndexLocked, match="LOCK was removed while this index was written"):
            make_index(index.path, jsonl(tmp_path / "s.jsonl", [{"id": "d", "text": "two"}]))
    assert index.current_file.read_bytes() == before
    assert [path.name[:6] for path in index.snapshots.iterdir()] == ["000001"]
    assert make_index(index.path, tmp_path / "s.jsonl").published
