"""A snapshot that CURRENT never named is never among the published ones, and no number comes twice."""

from __future__ import annotations

import errno
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from indexer.build import Request, build
from indexer.progress import Silent
from indexer.settings import IndexerSettings
from store.errors import StoreCorrupt, UsageError, WriteFailed
from store.files import Disk
from store.index import IndexDirectory
from tests.store.crash_model import Recorder, crashes, digest, lay_out, tree_of


class NoRoomForCurrent(Disk):
    """Is full just when CURRENT is to be flipped."""

    def rename(self, source: Path, target: Path) -> None:
        if target.name == "CURRENT":
            raise OSError(errno.ENOSPC, "refused", str(target))
        super().rename(source, target)


class PowerCut(BaseException):
    """Nothing catches it."""


class CutBeforeCurrent(Disk):
    """The process is gone just when CURRENT is to be flipped."""

    def rename(self, source: Path, target: Path) -> None:
        if target.name == "CURRENT":
            raise PowerCut
        super().rename(source, target)


class FailsAfterTheFlip(Disk):
    """CURRENT is renamed; from then on nothing can be synced."""

    flipped = False

    def rename(self, source: Path, target: Path) -> None:
        super().rename(source, target)
        self.flipped = self.flipped or target.name == "CURRENT"

    def fsync(self, path: Path) -> None:
        if self.flipped:
            raise OSError(errno.EIO, "refused", str(path))
        super().fsync(path)


@pytest.fixture
def run(tmp_path, jsonl):
    """Indexes one document of this text; returns the report."""

    def index(text: str, disk: Disk | None = None, keep: int = 3):
        source = jsonl(tmp_path / "s.jsonl", [{"id": "d", "text": text}])
        settings = IndexerSettings(index=tmp_path / "index", embedding_model="hash:8", keep_generations=keep)
        return build(IndexDirectory(settings.index, disk), Request([str(source)]), settings, Silent())

    return index


@pytest.fixture
def index(tmp_path) -> IndexDirectory:
    return IndexDirectory(tmp_path / "index")


def numbers(index: IndexDirectory) -> list[int]:
    return [int(path.name[:6]) for path in index.published()]


@pytest.mark.parametrize(("disk", "stops"), [(NoRoomForCurrent, WriteFailed), (CutBeforeCurrent, PowerCut)])
def test_runs_that_stop_before_the_flip_leave_nothing_and_push_out_nothing(disk, stops, run, index):
    for text in ("one", "two", "three"):
        run(text)
    for _ in range(3):
        with pytest.raises(stops):
            run("never", disk())
        assert numbers(index) == [1, 2, 3]
        assert [manifest.generation for _, manifest in index.history()] == [3, 2, 1]
        with pytest.raises(UsageError, match="generation 4 is not kept; kept: 1, 2, 3"):
            index.rollback(4)
        assert index.prune(3) == []
    assert not run("three").published
    assert sorted(path.name for path in index.snapshots.iterdir()) == [path.name for path in index.published()]
    report = run("four")
    assert [name[:6] for name in report.removed] == ["000001"]
    assert numbers(index) == [2, 3, report.generation]


def test_a_failed_flip_gives_the_room_back_at_once(run, index):
    run("one")
    with pytest.raises(WriteFailed, match="What was published before is untouched"):
        run("never", NoRoomForCurrent())
    assert [path.name for path in index.snapshots.iterdir()] == [index.require_current().name]


def test_a_first_publish_that_was_cut_short_is_no_index_and_the_next_run_starts_over(run, index):
    with pytest.raises(PowerCut):
        run("never", CutBeforeCurrent())
    assert index.current() is None
    assert index.published() == []
    run("one")
    assert len([path for path in index.snapshots.iterdir() if path.is_dir()]) == 1


def test_what_cannot_be_told_is_neither_listed_nor_removed(run, index):
    run("one")
    with pytest.raises(PowerCut):
        run("unknown", CutBeforeCurrent())
    current = index.current_file.read_bytes()
    index.current_file.write_bytes(b"damaged")
    with index.lock():
        assert numbers(index) == [1]
    index.current_file.write_bytes(current)
    with index.lock():
        assert [path.name for path in index.snapshots.iterdir()] == [index.require_current().name]


def test_a_flip_that_was_not_synced_says_what_is_current_and_the_next_writer_finishes_it(run, index):
    run("one")
    with pytest.raises(WriteFailed) as caught:
        run("two", FailsAfterTheFlip())
    name = index.require_current().name
    assert name.startswith("000002-")
    assert f"{name} is current already" in str(caught.value)
    assert "untouched" not in str(caught.value)
    assert numbers(index) == [1, 2]
    with index.lock():
        assert numbers(index) == [1, 2]
    assert [path.name for path in index.snapshots.iterdir() if path.name.startswith(".")] == []


def test_a_rollback_whose_flip_was_not_synced_says_what_is_current(run, index):
    run("one")
    run("two")
    broken = IndexDirectory(index.path, FailsAfterTheFlip())
    with pytest.raises(WriteFailed, match=r"000001-\w+ is current already"), broken.lock():
        broken.rollback(1)


def test_what_cannot_be_pruned_after_publishing_says_that_it_is_published(run, index):
    class Full(Disk):
        def rename(self, source: Path, target: Path) -> None:
            if target.name.startswith(".removed-"):
                raise OSError(errno.EIO, "refused", str(source))
            super().rename(source, target)

    run("one")
    with pytest.raises(WriteFailed, match=r"000002-\w+ is current already"):
        run("two", Full(), keep=1)
    assert not run("two", keep=1).published


def test_every_crash_while_a_stopped_publish_is_taken_back_leaves_what_was_current(tmp_path, run, index):
    run("one")
    with pytest.raises(PowerCut):
        run("never", CutBeforeCurrent())
    start, disk = tree_of(index.path), Recorder()
    with IndexDirectory(index.path, disk).lock():
        pass
    seen = set()
    for words, tree in crashes(start, disk.steps, index.path):
        if digest(tree) in seen:
            continue
        seen.add(digest(tree))
        place = IndexDirectory(tmp_path / "crashed")
        place.path.mkdir()
        lay_out(tree, place.path)
        assert numbers(place) == [1], words
        with place.lock():
            assert numbers(place) == [1], words
        shutil.rmtree(place.path)
    assert len(seen) > 10


class TestNumbers:
    def test_a_number_does_not_come_again_when_newer_generations_went_after_a_rollback(self, run, index):
        run("one")
        run("two")
        with index.lock():
            index.rollback(1)
        shutil.rmtree(index.published()[-1])
        assert run("other").generation == 3

    def test_it_is_noted_by_the_next_writer_where_the_rollback_did_not(self, run, index):
        run("one")
        run("two")
        index.rollback(1)
        index.highest_file.unlink()  # as an older version leaves it
        with index.lock():
            shutil.rmtree(index.published()[-1])
        assert run("other").generation == 3

    def test_nothing_is_noted_where_current_is_the_highest(self, run, index):
        run("one")
        run("two")
        assert not index.highest_file.exists()

    @pytest.mark.parametrize("content", [b"", b"000009\n", b"000002 " + b"0" * 64 + b"\n", b"\xff" * 9])
    def test_a_damaged_note_stops_writers_and_no_reader(self, content, run, index):
        run("one")
        run("two")
        index.rollback(1)
        index.highest_file.write_bytes(content)
        with pytest.raises(StoreCorrupt, match=r"HIGHEST is damaged: expected `<generation> <sha256>`.*remove it"):
            run("other")
        with ThreadPoolExecutor(1) as executor:
            index.open(executor).close()
        assert numbers(index) == [1, 2]

    def test_one_flipped_bit_in_it_is_found(self, run, index):
        run("one")
        run("two")
        index.rollback(1)
        data = index.highest_file.read_bytes()
        for at in range(len(data)):
            for bit in range(8):
                damaged = bytearray(data)
                damaged[at] ^= 1 << bit
                index.highest_file.write_bytes(damaged)
                with pytest.raises(StoreCorrupt):
                    index.next_generation()


def test_history_as_json_names_only_what_was_current(run, index, capsys):
    from typer.testing import CliRunner

    from footnote.cli import app

    run("one")
    with pytest.raises(PowerCut):
        run("never", CutBeforeCurrent())
    told = CliRunner().invoke(app, ["history", "--json", "--index", str(index.path)])
    assert [one["generation"] for one in json.loads(told.stdout)["snapshots"]] == [1]
