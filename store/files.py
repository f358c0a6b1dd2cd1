"""The file layer: every durable write, rename, lock and checksum of the store goes through here."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import itertools
import json
import mmap
import os
import shutil
import socket
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from store.errors import IndexLocked, StoreCorrupt, UsageError, WriteFailed

_CHUNK_BYTES = 1 << 20
_HASHED_AT_ONCE = 8 << 20
"""Bytes. A thread that hashes asks the interpreter's lock back after each piece, and beside one that computes it waits
for it as often: with pieces of 256 KB a hundred milliseconds of hashing took six seconds.
"""
_DISK_ERRNOS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EIO,
    errno.EROFS,
    errno.EFBIG,
    errno.EACCES,
    errno.EPERM,
    errno.EMFILE,
    errno.ENFILE,
)
_DISK_SQLITE = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
}


def open_regular(path: Path) -> int:
    """A descriptor to read a file with. Raises OSError at once where it is none: a pipe is not waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a file", str(path))
    return descriptor


def read_regular(path: Path) -> bytes:
    """A file's content. Raises OSError, also where it is no file."""
    with os.fdopen(open_regular(path), "rb") as stream:
        return stream.read()


def sha256_file(path: Path) -> str:
    """sha256 (hex) of a file's bytes, streamed. Raises OSError, also where it is no file."""
    digest = hashlib.sha256()
    with open(open_regular(path), "rb", buffering=0) as stream:  # a descriptor
        most = min(os.fstat(stream.fileno()).st_size + 1, _HASHED_AT_ONCE)
        own = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS  # goes back whole, and leaves the heap no hole
        with mmap.mmap(-1, most, own) as pages, memoryview(pages) as buffer:
            while size := stream.readinto(buffer):
                digest.update(buffer[:size])
    return digest.hexdigest()


def check_file(path: Path, *, sha256: str, size: int, full: bool = True) -> None:
    """Raise StoreCorrupt unless the file is there with this size and, if `full`, this sha256."""
    try:
        found = path.stat()
    except PermissionError as error:
        raise _no_right(path) from error
    except OSError as error:
        raise StoreCorrupt(str(path), f"{size} bytes", f"no readable file ({error.strerror})") from error
    if not stat.S_ISREG(found.st_mode):
        raise StoreCorrupt(str(path), f"{size} bytes", "no readable file (not a file)")
    found_size = found.st_size
    if found_size != size:
        raise StoreCorrupt(str(path), f"{size} bytes", f"{found_size} bytes")
    if full:
        try:
            found_sha256 = sha256_file(path)
        except PermissionError as error:
            raise _no_right(path) from error
        except OSError as error:
            raise StoreCorrupt(str(path), f"sha256 {sha256}", f"an unreadable file ({error.strerror})") from error
        if found_sha256 != sha256:
            raise StoreCorrupt(str(path), f"sha256 {sha256}", f"sha256 {found_sha256}")


def _no_right(path: Path) -> UsageError:
    return UsageError(f"{path} cannot be read: permission denied.", fix="Check who owns the index and its rights.")


class Disk:
    """Every durable change to an index goes through these few operations, so that a test can record them, replay any
    part of them, or make any one fail. What libraries write inside a build folder counts only once it was synced here.
    """

    def make_folder(self, path: Path) -> None:
        """Make a folder and its missing parents, each durably in its parent; one that is there is fine.

        Raises UsageError where something else is in its place.
        """
        if path.is_dir():
            return
        if os.path.lexists(path):
            raise UsageError(f"{path} is not a folder, and one is needed there.", fix="Move it away, then run again.")
        self.make_folder(path.parent)
        self.mkdir(path)
        self.fsync(path.parent)

    def mkdir(self, path: Path) -> None:
        """Make one folder, which a crash may still lose."""
        path.mkdir(exist_ok=True)

    def write(self, path: Path, data: bytes) -> None:
        """Write a file, which a crash may still lose or tear."""
        path.write_bytes(data)

    def rename(self, source: Path, target: Path) -> None:
        """Give a file or folder another name at once; a crash may still undo it."""
        source.rename(target)

    def unlink(self, path: Path) -> None:
        """Remove a file that may be there."""
        path.unlink(missing_ok=True)

    def remove_tree(self, folder: Path) -> None:
        """Remove a folder and all below it, as far as that is possible; nothing depends on it."""
        shutil.rmtree(folder, ignore_errors=True)

    def fsync(self, path: Path) -> None:
        """Flush one file or folder to the disk: a file's content, a folder's names."""
        descriptor = os.open(path, os.O_RDONLY | (os.O_DIRECTORY if path.is_dir() else 0))
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def fsync_tree(self, folder: Path) -> None:
        """Flush every file and folder below `folder`, then the folder itself."""
        for root, _, names in os.walk(folder, topdown=False):
            for name in sorted(names):
                self.fsync(Path(root) / name)
            self.fsync(Path(root))

    def replace_file(self, path: Path, data: bytes) -> None:
        """Replace a file's content at once: write beside it, fsync, rename, fsync the folder.

        A crash at any instant leaves the old content or the new, whole.
        """
        beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            self.write(beside, data)
            self.fsync(beside)
            self.rename(beside, path)
        except BaseException:
            with contextlib.suppress(OSError):
                self.unlink(beside)
            raise
        self.fsync(path.parent)

    def publish_folder(self, build: Path, target: Path) -> None:
        """Move a finished build folder to its final name and make that durable. The target must not exist.

        Where it comes from elsewhere, its name there is made durable first: no crash may lose it on its way.
        """
        self.fsync_tree(build)
        for parent in itertools.takewhile(lambda one: not target.is_relative_to(one), build.parents):
            self.fsync(parent)
        self.rename(build, target)
        self.fsync(target.parent)

    def remove_folder(self, folder: Path) -> None:
        """Remove a folder so that a crash half-way never leaves something that looks whole: rename aside first."""
        self.remove_tree(self.set_aside(folder))

    def set_aside(self, folder: Path) -> Path:
        """Durably give a folder a name that says it is to be removed; returns it. Takes no time, unlike removing."""
        doomed = folder.with_name(f".removed-{folder.name}-{os.getpid()}")
        self.rename(folder, doomed)
        self.fsync(doomed.parent)
        return doomed


@contextlib.contextmanager
def disk_errors(where: Path, published: Callable[[], str | None] = lambda: None) -> Iterator[None]:
    """Turn what the disk refuses below `where` into WriteFailed, whichever library was writing.

    Python says it by errno, SQLite by its own codes, FAISS and tantivy only in words. `published` tells at that moment
    which snapshot was made current meanwhile, if any, for the error to say so.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_ERRNOS or not _is_below(error.filename, where):
            raise
        raise WriteFailed(str(error.filename or where), os.strerror(error.errno), published=published()) from error
    except sqlite3.Error as error:
        known = _DISK_SQLITE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
        if known is None:
            raise
        raise WriteFailed(str(where), f"{os.strerror(known)} ({error})", published=published()) from error
    except (RuntimeError, ValueError) as error:
        said = next((os.strerror(number) for number in _DISK_ERRNOS if os.strerror(number) in str(error)), None)
        if said is None:
            raise
        raise WriteFailed(str(where), said, published=published()) from error


def _is_below(name: object, where: Path) -> bool:
    """Whether an error is about this folder: by its file name, and where it has none, by default."""
    return not isinstance(name, (str, bytes)) or Path(os.fsdecode(name)).resolve().is_relative_to(where.resolve())


@contextlib.contextmanager
def writer_lock(path: Path) -> Iterator[Callable[[], bool]]:
    """Hold an exclusive flock on `path` for the life of the writer; raises IndexLocked when another holds it, and
    UsageError where `path` is no file of its own: nothing is written through a link.

    The lock is the kernel's: it ends with the process, however it ends. Pid and host inside are information only.
    Yields a function that tells whether it is still this file: who removed it would let another writer in.
    """
    descriptor = _locked(path)
    try:
        os.ftruncate(descriptor, 0)
        note = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
        os.pwrite(descriptor, json.dumps(note).encode(), 0)
        yield lambda: _is_same_file(descriptor, path)
    finally:
        os.close(descriptor)


def _open_lock(path: Path) -> int:
    no_file = UsageError(f"{path} is not a file of its own.", fix="Remove it: a lock holds nothing that is needed.")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):  # a link, a folder, a socket
            raise no_file from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise no_file
    return descriptor


def _locked(path: Path) -> int:
    """A descriptor that holds the lock on the file that is there. Raises IndexLocked."""
    while True:
        descriptor = _open_lock(path)
        try:
            _take(descriptor)
            if _is_same_file(descriptor, path):  # not removed between opening and locking it
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _take(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        holder = os.pread(descriptor, 300, 0).decode(errors="replace").strip() or "unknown"
        raise IndexLocked(
            f"another process is writing this index ({holder}).", fix="Wait for it to finish, then run again."
        ) from error


class SharedHold:
    """A reader's shared flock on a snapshot's manifest: `prune` leaves alone what is held."""

    def __init__(self, path: Path) -> None:
        descriptor = open_regular(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            if not _is_same_file(descriptor, path):  # removed between opening it and holding it
                raise FileNotFoundError(errno.ENOENT, "the snapshot was removed while it was opened", str(path))
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Let go; calling it twice is harmless."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@contextlib.contextmanager
def if_not_held(path: Path) -> Iterator[bool]:
    """Yields whether no reader holds this file; while it is True no reader can begin to. Raises OSError."""
    descriptor = open_regular(path)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except OSError:
            free = False
        yield free
    finally:
        os.close(descriptor)


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
