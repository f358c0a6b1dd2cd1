"""What a disk may hold after the power went away: every prefix of recorded operations, with what was not synced kept,
lost or torn (Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014, section 3).

The model: a file's content is safe once the file was synced after its last write; before that it may be whole, empty or
half there. A change of names (made, renamed, removed) is safe once its folder was synced; before that it may have
happened or not, each for itself and in any order. What libraries write below a build folder is seen when our layer
syncs it, and counts as unsynced since the folder was made.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from store.files import Disk

SUBSETS_MAX = 8
"""Up to so many unsynced changes of names every subset is tried; beyond, each alone missing and each alone there."""


CONTENTS_MAX = 2
"""Up to so many unsynced files each is whole, empty or torn for itself; beyond, all alike."""

_MODES = ("kept", "lost", "torn")


@dataclass(frozen=True)
class Step:
    """One operation: mkdir, write, rename, unlink, rmdir or fsync. `data` is what a write wrote."""

    kind: str
    path: Path
    target: Path | None = None
    data: bytes = b""


class Recorder(Disk):
    """A real disk that remembers what it was asked to do."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._known: set[Path] = set()

    def mkdir(self, path: Path) -> None:
        super().mkdir(path)
        self._note(Step("mkdir", path))

    def write(self, path: Path, data: bytes) -> None:
        super().write(path, data)
        self._note(Step("write", path, data=data))

    def rename(self, source: Path, target: Path) -> None:
        super().rename(source, target)
        self._note(Step("rename", source, target))
        self._known |= {target / one.relative_to(source) for one in self._known if one.is_relative_to(source)}

    def unlink(self, path: Path) -> None:
        there = path.exists()
        super().unlink(path)
        if there:
            self._note(Step("unlink", path))

    def remove_tree(self, folder: Path) -> None:
        below = sorted(folder.rglob("*"), reverse=True) if folder.exists() else []
        steps = [Step("rmdir" if one.is_dir() else "unlink", one) for one in below]
        there = folder.exists()
        super().remove_tree(folder)
        self.steps.extend(steps)
        if there:
            self._note(Step("rmdir", folder))

    def fsync(self, path: Path) -> None:
        super().fsync(path)
        if path not in self._known and ".build-" in str(path):
            self._written_by_a_library(path)
        self._note(Step("fsync", path))

    def _written_by_a_library(self, path: Path) -> None:
        made = max(
            (at for at, step in enumerate(self.steps) if step.kind == "mkdir" and path.is_relative_to(step.path)),
            default=-1,  # the build folder itself was made past us: as early as can be
        )
        build = next(one for one in reversed(path.parents) if one.name.startswith(".build-"))
        for folder in [one for one in reversed(path.parents) if one.is_relative_to(build)]:
            if folder not in self._known:
                made += 1
                self.steps.insert(made, Step("mkdir", folder))
                self._known.add(folder)
        last = max(at for at, step in enumerate(self.steps) if step.kind == "mkdir" and step.path == path.parent)
        self.steps.insert(
            last + 1, Step("mkdir", path) if path.is_dir() else Step("write", path, data=path.read_bytes())
        )
        self._known.add(path)

    def _note(self, step: Step) -> None:
        self.steps.append(step)
        self._known.add(step.path)


Tree = dict[Path, bytes | None]
"""Files with their content, folders with None, by path below the root."""


def tree_of(root: Path) -> Tree:
    """What is on the real disk below `root`."""
    return {path.relative_to(root): None if path.is_dir() else path.read_bytes() for path in root.rglob("*")}


def crashes(start: Tree, steps: list[Step], root: Path) -> Iterator[tuple[str, Tree]]:
    """Every state that a crash can leave, with words about how it came about; equal states more than once."""
    steps = [_below(step, root) for step in steps]
    for end in range(len(steps) + 1):
        done = steps[:end]
        pending = [at for at, step in enumerate(done) if _is_naming(step, start) and not _synced(done, at)]
        unsynced = [at for at, step in enumerate(done) if step.kind == "write" and not _content_synced(done, at)]
        for missing in _choices(pending):
            for modes in _contents(unsynced):
                content = {str(done[at].path): mode for at, mode in modes.items()}
                words = f"{end} of {len(steps)} operations; content {content}; without {[done[at] for at in missing]}"
                yield words, _replayed(start, done, missing, modes)


def _contents(unsynced: list[int]) -> Iterator[dict[int, str]]:
    """What may have become of content that was not synced, by step."""
    if len(unsynced) <= CONTENTS_MAX:
        for each in itertools.product(_MODES, repeat=len(unsynced)):
            yield dict(zip(unsynced, each, strict=True))
        return
    for mode in _MODES:
        yield dict.fromkeys(unsynced, mode)


def _below(step: Step, root: Path) -> Step:
    target = None if step.target is None else step.target.relative_to(root)
    return replace(step, path=step.path.relative_to(root), target=target)


def _is_naming(step: Step, start: Tree) -> bool:
    return step.kind in ("mkdir", "rename", "unlink", "rmdir") or (step.kind == "write" and step.path not in start)


def _synced(done: list[Step], at: int) -> bool:
    """Whether the folder in which this step changed a name was synced afterwards, under whatever name it had then."""
    folder = (done[at].target or done[at].path).parent
    for step in done[at + 1 :]:
        if step.kind == "fsync" and step.path == folder:
            return True
        if step.kind == "rename" and step.target is not None and folder.is_relative_to(step.path):
            folder = step.target / folder.relative_to(step.path)
    return False


def _content_synced(done: list[Step], at: int) -> bool:
    path = done[at].path
    for step in done[at + 1 :]:
        if step.kind == "fsync" and step.path == path:
            return True
        if step.kind == "rename" and step.target is not None and path.is_relative_to(step.path):
            path = step.target / path.relative_to(step.path)
    return False


def _choices(pending: list[int]) -> Iterator[tuple[int, ...]]:
    if len(pending) <= SUBSETS_MAX:
        for size in range(len(pending) + 1):
            yield from itertools.combinations(pending, size)
        return
    yield ()
    yield tuple(pending)
    for one in pending:
        yield (one,)
        yield tuple(other for other in pending if other != one)
    for cut in range(1, len(pending)):
        yield tuple(pending[cut:])


def _replayed(start: Tree, done: list[Step], missing: tuple[int, ...], modes: dict[int, str]) -> Tree:
    tree = dict(start)
    for at, step in enumerate(done):
        if at in missing or step.kind == "fsync" or (step.path.parent != Path() and step.path.parent not in tree):
            continue
        if step.kind == "mkdir":
            tree.setdefault(step.path, None)
        elif step.kind == "write":
            kept = {"kept": len(step.data), "lost": 0, "torn": len(step.data) // 2}[modes.get(at, "kept")]
            tree[step.path] = step.data[:kept]
        elif step.kind == "rename":
            assert step.target is not None
            moved = [path for path in tree if path.is_relative_to(step.path)]
            for path in moved:
                tree[step.target / path.relative_to(step.path)] = tree.pop(path)
        else:
            tree.pop(step.path, None)
    return tree


def digest(tree: Tree) -> str:
    """Equal for equal trees."""
    found = hashlib.sha256()
    for path in sorted(tree):
        data = tree[path]
        found.update(f"{path}\0{'dir' if data is None else hashlib.sha256(data).hexdigest()}\0".encode())
    return found.hexdigest()


def lay_out(tree: Tree, root: Path) -> None:
    """Write a state to a real, empty folder."""
    for path in sorted(tree, key=lambda one: len(one.parts)):
        data = tree[path]
        if data is None:
            (root / path).mkdir(parents=True, exist_ok=True)
        else:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(data)
