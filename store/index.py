"""The index directory: CURRENT, the published snapshots, publishing, history, rollback and pruning."""

from __future__ import annotations

import hashlib
import re
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from store import files
from store.calibration import sweep_calibrations
from store.errors import FootnoteError, IndexLocked, IndexMissing, StoreCorrupt, UsageError
from store.forgotten import read_forgotten, refuse_forgotten
from store.highest import read_highest, write_highest
from store.local import LocalSnapshot, check_query_encoder, read_manifest
from store.manifest import FileEntry, Manifest
from store.passages import PassageReader, StoredDocument
from store.pending import forget_pending, is_pending, note_pending, pending_names
from store.retention import superfluous
from store.snapshot import Principals, may_read

KEPT_GENERATIONS = 3
_NAME = re.compile(r"^(\d{6,})-([0-9a-f]{8})$")
_FINGERPRINT = re.compile(r"^[0-9a-f]{16}$")
_CURRENT = re.compile(r"^(\d{6,}-[0-9a-f]{8}) ([0-9a-f]{64})\n?$")


@dataclass(frozen=True, slots=True)
class Current:
    """What CURRENT says: a snapshot's name and the sha256 of its manifest."""

    name: str
    manifest_sha256: str

    @property
    def generation(self) -> int:
        """The generation in the name."""
        return generation_of(self.name)


@dataclass(frozen=True, slots=True)
class Kept:
    """A published snapshot: its manifest, or why that cannot be read (damage, another format)."""

    folder: Path
    manifest: Manifest | None
    error: FootnoteError | None = None

    @property
    def is_usable(self) -> bool:
        """Whether its manifest can be read and all its files are there, by their sizes."""
        try:
            for name, entry in self.manifest.files.items() if self.manifest else ():
                files.check_file(self.folder / name, sha256=entry.sha256, size=entry.size, full=False)
        except StoreCorrupt:
            return False
        return self.manifest is not None

    def is_named(self, current: Current | None) -> bool:
        """Whether CURRENT names it."""
        return current is not None and current.name == self.folder.name


class IndexDirectory:
    """One index on disk, and the only place that spells its file names.

    Args:
        path: the directory; it need not exist yet.
        disk: what every change goes through; tests put a recording or a failing one here.
    """

    def __init__(self, path: Path, disk: files.Disk | None = None) -> None:
        self.path = path
        self.disk = disk or files.Disk()
        self.snapshots = path / "snapshots"
        self.encoders = path / "encoders"
        self.cache = path / "cache"
        self.current_file = path / "CURRENT"
        self.forgotten_file = path / "FORGOTTEN"
        self.highest_file = path / "HIGHEST"
        self._flipped: str | None = None
        self._still_locked: Callable[[], bool] = _always
        self.calibration = path / "calibration"
        self._checked: set[tuple[str, int, int, int]] = set()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the writer's lock, after finishing what a writer that was stopped left.

        Raises IndexLocked while another process holds it, and WriteFailed in place of whatever any library throws when
        the disk takes no more meanwhile; it says whether a snapshot was made current by then.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"{self.path} is a file, not an index directory.", fix="Give another --index.")
        self._flipped = None
        with files.disk_errors(self.path, lambda: self._flipped):
            self.disk.make_folder(self.path)
            with files.writer_lock(self.path / "LOCK") as still_locked:
                self._still_locked = still_locked
                try:
                    self._sweep()
                    yield
                finally:
                    self._still_locked = _always

    def current(self) -> Current | None:
        """What CURRENT points at; None where nothing was ever published.

        Raises StoreCorrupt on any other content, UsageError where the index cannot be looked at.
        """
        try:
            text = files.read_regular(self.current_file).decode("ascii", errors="replace")
        except FileNotFoundError:
            return None
        except NotADirectoryError as error:
            raise UsageError(f"{self.path} is a file, not an index directory.", fix="Give another --index.") from error
        except PermissionError as error:
            raise UsageError(
                f"{self.current_file} cannot be read: {error.strerror}.", fix="Check who owns the index and its rights."
            ) from error
        except OSError as error:  # a link to itself, a failing disk
            raise StoreCorrupt(str(self.current_file), "a readable file", error.strerror) from error
        match = _CURRENT.match(text)
        if match is None:
            raise StoreCorrupt(str(self.current_file), "`<snapshot name> <sha256>`", repr(text[:100]))
        return Current(match.group(1), match.group(2))

    def require_current(self) -> Current:
        """As `current`, but raises IndexMissing where nothing was ever published."""
        current = self.current()
        if current is None:
            raise IndexMissing(
                f"there is no index at {self.path}.", fix="Make one: `footnote index SOURCE` (or give --index DIR)."
            )
        return current

    def open(self, executor: Executor, current: Current | None = None, *, full: bool = False) -> LocalSnapshot:
        """Open a snapshot, verified as LocalSnapshot says.

        By default the current one, whichever that is by then: it may be succeeded, and pruned, while it is opened.
        """
        if current is not None:
            return self._opened(executor, current, full=full)
        current = self.require_current()
        while True:
            try:
                return self._opened(executor, current, full=full)
            except (StoreCorrupt, IndexMissing):
                changed = self.require_current()
                if changed == current:
                    raise
                current = changed

    def _opened(self, executor: Executor, current: Current, *, full: bool) -> LocalSnapshot:
        try:
            there = (self.snapshots / current.name).is_dir()
        except PermissionError as error:
            raise UsageError(
                f"{self.snapshots} cannot be read: {error.strerror}.", fix="Check who owns the index and its rights."
            ) from error
        if not there:
            raise StoreCorrupt(str(self.current_file), "the name of a published snapshot", repr(current.name))
        return LocalSnapshot(
            self.snapshots / current.name, executor, manifest_sha256=current.manifest_sha256, full=full
        )

    def published(self) -> list[Path]:
        """Folders of all published snapshots, oldest first; none that CURRENT never named."""
        found = self._folders()
        pending = {path.name for path in found if is_pending(self.snapshots, path.name)}
        if pending:
            current = self._current_if_readable()
            pending -= {current.name if current is not None else ""}
        return [path for path in found if path.name not in pending]

    def _folders(self) -> list[Path]:
        """Folders with the name of a snapshot, published or not, oldest first."""
        if not self.snapshots.is_dir():
            return []
        found = [path for path in self.snapshots.iterdir() if _NAME.match(path.name) and path.is_dir()]
        return sorted(found, key=lambda path: generation_of(path.name))

    def _current_if_readable(self) -> Current | None:
        try:
            return self.current()
        except FootnoteError:
            return None

    @contextmanager
    def build_folder(self) -> Iterator[Path]:
        """A folder to build a snapshot in, gone afterwards unless it was published.

        Only for the holder of the lock.
        """
        self.disk.make_folder(self.snapshots)
        folder = self.snapshots / f".build-{secrets.token_hex(4)}"
        self.disk.mkdir(folder)
        try:
            yield folder
        finally:
            self.disk.remove_tree(folder)

    def _sweep(self) -> None:
        """Remove what a writer that was stopped left behind, and take back what it did not get to publish."""
        for place in (self.snapshots, self.encoders):
            for stray in [*place.glob(".build-*"), *place.glob(".removed-*")]:
                self.disk.remove_tree(stray)
        for file in (self.current_file, self.highest_file, self.forgotten_file):
            for stray in self.path.glob(f".{file.name}.*.tmp"):
                self.disk.unlink(stray)
        for name in pending_names(self.snapshots):
            self._settle(name)
        current = self._current_if_readable()
        self._remember_highest(current.generation if current is not None else 0)

    def _settle(self, name: str) -> None:
        """Finish a publish that was stopped: where CURRENT names the snapshot, it is published, else it goes."""
        try:
            current = self.current()
        except StoreCorrupt:  # whether it named this one cannot be told; it is not listed, and stays
            return
        if current is not None and current.name == name:
            self.disk.fsync(self.path)  # the flip may have been seen and not be durable
        elif (self.snapshots / name).is_dir():
            self.disk.remove_folder(self.snapshots / name)
        forget_pending(self.snapshots, name, self.disk)

    def _remember_highest(self, generation: int) -> None:
        """Note the highest generation durably, where it is above this one, which CURRENT names or will: what is newer
        may then be removed, and its number must not come again.
        """
        noted, known = read_highest(self.highest_file), self.next_generation() - 1
        if known > max(noted, generation):
            write_highest(self.highest_file, known, self.disk)

    def publish(self, build: Path, manifest: Manifest) -> Path:
        """Make a finished build folder the current snapshot and return its final folder.

        Order: hash and list every file, write the manifest, fsync everything, re-open and verify (the query encoder,
        which must be in its place, too), note the name as pending, rename, flip CURRENT (write beside, fsync, rename,
        fsync), remove the note. A crash at any instant leaves the old or the new snapshot, whole, and nothing among
        the published that was never current.
        """
        manifest = manifest.model_copy(update={"files": list_files(build)})
        data = manifest.to_bytes()
        self.disk.write(build / "manifest.json", data)
        self.disk.fsync_tree(build)
        digest = hashlib.sha256(data).hexdigest()
        self._prove(build, digest)
        name = Manifest.name_of(manifest.generation, data)
        try:
            note_pending(self.snapshots, name, self.disk)
            self.disk.publish_folder(build, self.snapshots / name)
            self.point_current_at(Current(name, digest))
        except Exception:
            if self._flipped != name:
                with suppress(OSError, FootnoteError):  # what cannot be taken back now, the next writer takes back
                    self._settle(name)
            raise
        forget_pending(self.snapshots, name, self.disk)
        return self.snapshots / name

    def _prove(self, folder: Path, manifest_sha256: str | None = None) -> None:
        """Open a snapshot with every byte of it and of its query encoder verified."""
        with (
            ThreadPoolExecutor(1) as executor,
            closing(LocalSnapshot(folder, executor, manifest_sha256=manifest_sha256, full=True)) as snapshot,
        ):
            check_query_encoder(self.path, snapshot.manifest)

    def point_current_at(self, current: Current) -> None:
        """Flip CURRENT at once and for good. Where it raises, CURRENT may have been flipped, if not for good.

        Raises IndexLocked where the lock is not what this writer holds any more.
        """
        if not self._still_locked():
            raise IndexLocked(
                f"{self.path / 'LOCK'} was removed while this index was written, so another may be writing it too.",
                fix="Run again; leave that file where it is.",
            )
        try:
            self.disk.replace_file(self.current_file, f"{current.name} {current.manifest_sha256}\n".encode())
        finally:
            if self._current_if_readable() == current:
                self._flipped = current.name

    def next_generation(self) -> int:
        """One more than any generation there ever was. Raises StoreCorrupt (HIGHEST is damaged)."""
        known = [generation_of(path.name) for path in self._folders()]
        current = self._current_if_readable()
        return max([*known, current.generation if current else 0, read_highest(self.highest_file)]) + 1

    def listing(self) -> list[Kept]:
        """Published snapshots, newest first, those that cannot be read included."""
        result = []
        for folder in reversed(self.published()):
            try:
                result.append(Kept(folder, read_manifest(folder)))
            except FootnoteError as error:
                if folder.exists():  # else it was pruned meanwhile
                    result.append(Kept(folder, None, error))
        return result

    def history(self) -> list[tuple[Path, Manifest]]:
        """Published snapshots with their manifests, newest first; those that cannot be read are left out."""
        return [(one.folder, one.manifest) for one in self.listing() if one.manifest is not None]

    def rollback(self, generation: int) -> Current:
        """Point CURRENT at a kept generation after verifying every byte of it and of its query encoder.

        Only for the holder of the lock. Raises UsageError (it is not kept), Forgotten, StoreCorrupt, FormatUnsupported.
        """
        for folder in self.published():
            if generation_of(folder.name) == generation:
                self._prove(folder)
                refuse_forgotten(self.forgotten_file, folder, f"generation {generation}")
                target = Current(folder.name, files.sha256_file(folder / "manifest.json"))
                self._remember_highest(generation)
                self.point_current_at(target)
                return target
        kept = ", ".join(str(generation_of(folder.name)) for folder in self.published()) or "none"
        raise UsageError(f"generation {generation} is not kept; kept: {kept}.")

    def prune(self, keep: int = KEPT_GENERATIONS) -> list[str]:
        """Remove old snapshots as `superfluous` says, but none that a reader holds, and query encoders that no snapshot
        admits any more.

        Only for the holder of the lock. Returns the names of the snapshots removed.
        """
        current = self.current()
        listed = self.listing()
        old = superfluous(
            [(one.folder.name, one.is_usable) for one in listed],
            current=None if current is None else current.name,
            parent=next((one.manifest.parent for one in listed if one.manifest and one.is_named(current)), None),
            keep=keep,
        )
        removed = [name for name in old if self._removed(self.snapshots / name)]
        self._prune_encoders()
        sweep_calibrations(self.calibration, [folder.name for folder in self.published()], self.disk)
        return removed

    def _prune_encoders(self) -> None:
        listed = self.listing()
        if not self.encoders.is_dir() or any(one.manifest is None for one in listed):  # which may admit any
            return
        admitted = {entry.folder for one in listed if one.manifest for entry in one.manifest.query_encoders}
        for folder in sorted(self.encoders.iterdir()):
            if _FINGERPRINT.match(folder.name) and folder.is_dir() and folder.name not in admitted:
                self.disk.remove_folder(folder)

    def _removed(self, folder: Path) -> bool:
        """Remove a snapshot unless a reader holds it; no reader waits for longer than renaming it takes."""
        manifest = folder / "manifest.json"
        if manifest.is_file():
            with files.if_not_held(manifest) as free:
                if not free:
                    return False
                doomed = self.disk.set_aside(folder)
        else:  # nobody can hold it
            doomed = self.disk.set_aside(folder)
        self.disk.remove_tree(doomed)
        return True

    def kept_document(
        self,
        *,
        id: str | None = None,  # noqa: A002
        version: str,
        principals: Principals,
        skip: str = "",
    ) -> StoredDocument | None:
        """A document version that some kept snapshot other than `skip` still holds, newest first; never a forgotten
        one, nor one whose content is not that version's any more. Blocking. Raises StoreCorrupt about FORGOTTEN.
        """
        forgotten = read_forgotten(self.forgotten_file)
        for folder in reversed(self.published()):
            if folder.name == skip:
                continue
            with suppress(
                FootnoteError, KeyError, OSError, sqlite3.DatabaseError
            ):  # damaged, newer, or pruned meanwhile
                hold = files.SharedHold(folder / "manifest.json")
                try:
                    self._check_once(folder / "passages.sqlite", read_manifest(folder).files["passages.sqlite"])
                    reader = PassageReader(folder / "passages.sqlite")
                    try:
                        for one in reader.document(id=id, version=version):
                            if forgotten.holds(one.header.id) or not may_read(one.header.access, principals):
                                continue
                            if one.recomputed_version == version:  # whatever became of the file since it was hashed
                                return one
                    finally:
                        reader.close()
                finally:
                    hold.release()
        return None

    def _check_once(self, path: Path, entry: FileEntry) -> None:
        """Hash a file of a kept snapshot the first time it is asked for, and again when it looks changed."""
        found = path.stat()
        seen = (path.name, found.st_ino, found.st_mtime_ns, found.st_size)
        if seen not in self._checked:
            files.check_file(path, sha256=entry.sha256, size=entry.size)
            self._checked.add(seen)


def generation_of(name: str) -> int:
    """The generation in a published snapshot's name."""
    return int(name.partition("-")[0])


def list_files(folder: Path) -> dict[str, FileEntry]:
    """Every file below a folder but the manifest, with sha256 and size, by relative path."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json")
    return {
        str(path.relative_to(folder)): FileEntry(sha256=files.sha256_file(path), size=path.stat().st_size)
        for path in paths
    }


def _always() -> bool:
    return True


def now() -> str:
    """The time of day for `created_at`: ISO 8601 with offset, to the second."""
    return datetime.now().astimezone().isoformat(timespec="seconds")
