"""Every crash of a recorded publish, rollback and prune leaves exactly the old or the new snapshot, whole."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from indexer.build import Request, build
from indexer.progress import Silent
from indexer.settings import IndexerSettings
from store.errors import FootnoteError, WriteFailed
from store.files import Disk
from store.index import IndexDirectory
from tests.store.crash_model import Recorder, crashes, digest, lay_out, tree_of

SETTINGS = {"embedding_model": "hash:8", "keep_generations": 1}


def publish(path: Path, source: Path, disk: Disk | None = None) -> None:
    build(IndexDirectory(path, disk), Request([str(source)]), IndexerSettings(index=path, **SETTINGS), Silent())


def whole(path: Path) -> str | None:
    """The one document's text in the current snapshot, every byte of it verified; None where nothing is published."""
    index = IndexDirectory(path)
    if index.current() is None:
        return None
    with ThreadPoolExecutor(1) as executor:
        snapshot = index.open(executor, full=True)
        try:
            (document,) = snapshot.reader.document(id="d")
            return document.text
        finally:
            snapshot.close()


def names(path: Path) -> set[str]:
    """What history, rollback, falling back and pruning see."""
    return {folder.name for folder in IndexDirectory(path).published()}


def never_current(path: Path, before: set[str]) -> set[str]:
    """What is listed although CURRENT neither names it nor did before."""
    current = IndexDirectory(path).current()
    return names(path) - before - {current.name if current is not None else ""}


@pytest.fixture
def source(tmp_path, jsonl):
    """Writes the source of one document; returns its path."""

    def write(text: str) -> Path:
        return jsonl(tmp_path / "s.jsonl", [{"id": "d", "text": text}])

    return write


def _is_inside_a_stray(path: Path) -> bool:
    """No reader looks into a folder with such a name; leaving its inside out makes thousands of states equal."""
    return any(folder.name.startswith((".build-", ".removed-")) for folder in path.parents)


def enumerated(
    tmp_path: Path, index: Path, disk: Recorder, start, allowed: set[str | None], look: Callable = whole
) -> list[str]:
    """Tries every crash; returns what was wrong. Says how many there were. `look` says what a reader finds."""
    before = {path.name for path in start if path.parent.name == "snapshots"}
    seen: dict[str, str | None] = {}
    wrong: list[str] = []
    states = 0
    for words, whole_tree in crashes(start, disk.steps, index):
        states += 1
        tree = {path: data for path, data in whole_tree.items() if not _is_inside_a_stray(path)}
        key = digest(tree)
        if key not in seen:
            place = tmp_path / "crashed"
            place.mkdir()
            lay_out(tree, place)
            try:
                seen[key] = look(place)
                if strays := never_current(place, before):
                    seen[key] = f"{strays} are listed, but were never current"
                listed = names(place)
                with IndexDirectory(place).lock():
                    if names(place) != listed:
                        seen[key] = f"the next writer made {names(place)} of {listed}"
            except FootnoteError as error:
                seen[key] = f"{type(error).__name__}: {error}"
            shutil.rmtree(place)
        if seen[key] not in allowed:
            wrong.append(f"{words}: {seen[key]!r}")
            if isinstance(disk, Forgetful):  # one is enough
                return wrong
    print(f"{len(disk.steps)} operations, {states} crashes, {len(seen)} different states, {len(wrong)} violations")
    assert set(allowed) <= set(seen.values()), "each outcome is reached by some crash"
    assert states > 3 * len(disk.steps)
    return wrong


def test_every_crash_of_a_first_publish_leaves_nothing_or_all(tmp_path, source):
    index, disk = tmp_path / "index", Recorder()
    index.mkdir()
    publish(index, source("one"), disk)
    assert enumerated(tmp_path, index, disk, {}, {None, "one"}) == []


def test_every_crash_of_a_second_publish_with_pruning_leaves_old_or_new_whole(tmp_path, source):
    index, disk = tmp_path / "index", Recorder()
    publish(index, source("one"))
    start = tree_of(index)
    publish(index, source("two"), disk)
    assert {step.kind for step in disk.steps} == {"mkdir", "write", "rename", "unlink", "rmdir", "fsync"}
    assert enumerated(tmp_path, index, disk, start, {"one", "two"}) == []


def test_every_crash_of_a_rollback_leaves_one_or_the_other(tmp_path, source):
    index, disk = tmp_path / "index", Recorder()
    publish(index, source("one"))
    build(
        IndexDirectory(index),
        Request([str(source("two"))]),
        IndexerSettings(index=index, embedding_model="hash:8"),
        Silent(),
    )
    start = tree_of(index)
    IndexDirectory(index, disk).rollback(1)
    assert enumerated(tmp_path, index, disk, start, {"one", "two"}) == []


class Forgetful(Recorder):
    """Does not sync some of what it should: the enumeration must notice."""

    def __init__(self, forgets: Callable[[Path], bool]) -> None:
        super().__init__()
        self._forgets = forgets

    def fsync(self, path: Path) -> None:
        super().fsync(path)
        if self._forgets(path):
            self.steps.pop()


@pytest.mark.parametrize(
    "forgets",
    [
        lambda path: ".build-" in str(path) and path.is_file(),
        lambda path: path.name.startswith(".CURRENT"),
        lambda path: path.name == "snapshots",
        lambda path: path.name == "terms",
        lambda path: path.name.startswith(".build-"),
        lambda path: path.name == "index",
    ],
    ids=[
        "files of the build",
        "CURRENT's content",
        "the name of the snapshot",
        "names in terms",
        "names in the build",
        "CURRENT's name before the note goes",
    ],
)
def test_the_enumeration_finds_what_a_missing_sync_would_break(forgets, tmp_path, source):
    index, disk = tmp_path / "index", Forgetful(forgets)
    publish(index, source("one"))
    start = tree_of(index)
    publish(index, source("two"), disk)
    assert enumerated(tmp_path, index, disk, start, {"one", "two"}) != []


class Failing(Disk):
    """The n-th operation fails, once; a write may get half its way first."""

    def __init__(self, number: int, code: int, *, half: bool) -> None:
        self.number, self.code, self.half, self.count = number, code, half, 0

    def _next(self, path: Path) -> None:
        self.count += 1
        if self.count == self.number:
            raise OSError(self.code, "refused", str(path))

    def mkdir(self, path: Path) -> None:
        self._next(path)
        super().mkdir(path)

    def write(self, path: Path, data: bytes) -> None:
        if self.half and self.count + 1 == self.number:
            super().write(path, data[: len(data) // 2])
        self._next(path)
        super().write(path, data)

    def rename(self, source: Path, target: Path) -> None:
        self._next(source)
        super().rename(source, target)

    def unlink(self, path: Path) -> None:
        self._next(path)
        super().unlink(path)

    def fsync(self, path: Path) -> None:
        self._next(path)
        super().fsync(path)


def test_what_could_not_be_deleted_is_deleted_by_the_next_run(tmp_path, source):
    class Keeping(Disk):
        def remove_tree(self, folder: Path) -> None:
            """Removes nothing, as where another process has files open on a network disk."""

    index = tmp_path / "index"
    publish(index, source("one"))
    publish(index, source("two"), Keeping())
    assert whole(index) == "two"
    assert len(names(index)) == 1
    assert [one.name[:9] for one in (index / "snapshots").iterdir() if one.name[0] == "."] == [".removed-"]
    publish(index, source("two"))
    assert [one.name for one in (index / "snapshots").iterdir()] == [*names(index)]


@pytest.mark.parametrize(
    ("code", "half"),
    [(errno.ENOSPC, False), (errno.EIO, False), (errno.ENOSPC, True)],
    ids=["full", "input/output", "short write"],
)
def test_whichever_operation_fails_the_old_snapshot_opens_and_the_next_run_leaves_no_stray(
    code, half, tmp_path, source
):
    template = tmp_path / "template"
    publish(template, source("one"))
    path = source("two")
    for number in range(1, 200):
        index, disk = tmp_path / "index", Failing(number, code, half=half)
        shutil.copytree(template, index)
        said = None
        try:
            publish(index, path, disk)
        except WriteFailed as error:
            said = error
        failed = said is not None
        assert failed == (disk.count >= number), f"operation {number}"
        assert whole(index) in ({"one", "two"} if failed else {"two"})
        if said is not None:  # which of the two it is, is said
            assert said.published == (IndexDirectory(index).require_current().name if whole(index) == "two" else None)
            assert ("untouched" in str(said)) == (whole(index) == "one")
        assert never_current(index, names(template)) == set()
        publish(index, path)
        assert whole(index) == "two"
        assert never_current(index, names(template)) == set()
        left = [one.name for one in [*index.iterdir(), *(index / "snapshots").iterdir()]]
        assert [name for name in left if name.startswith(".")] == []
        shutil.rmtree(index)
        if not failed:
            break
    assert not failed
    assert number > 15
