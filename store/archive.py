"""One archive of a snapshot: an uncompressed tar whose every byte follows from the manifest in it.

    footnote-archive.json      format, version, sha256 and size of the manifest
    manifest.json              the snapshot's, as it is
    snapshot/<name>            every file that the manifest lists, by name
    encoders/<folder>/<name>   every file of the query encoder that it admits, by name

Headers are what `header` writes and nothing else, in exactly this order: whatever tar could say besides (links,
devices, other names, a member twice) cannot be said here, so nothing of the kind has to be understood to be refused.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from store.errors import FormatUnsupported, StoreCorrupt, UsageError
from store.files import disk_errors
from store.forgotten import read_forgotten, refuse_forgotten
from store.index import IndexDirectory
from store.kept import held
from store.local import verify_files
from store.manifest import FileEntry, Manifest, parse_manifest

ARCHIVE_VERSION = 1
HEAD, MANIFEST = "footnote-archive.json", "manifest.json"
_FORMAT = "footnote archive"
_BLOCK_BYTES, _CHUNK_BYTES = 512, 1 << 20
_END = bytes(2 * _BLOCK_BYTES)
_HEAD_BYTES_MAX, _MANIFEST_BYTES_MAX = 4096, 16 << 20
_PLAIN = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")
_NAME_BYTES_MAX = 99

Advance = Callable[[int], object]
"""Told how many bytes more are done."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive: where it lies in it, and what it must hold."""

    name: str
    entry: FileEntry


def members_of(manifest: Manifest, file: str) -> list[Member]:
    """What follows the manifest in an archive, in order. Raises StoreCorrupt where a name cannot be kept in one."""
    found = [Member(f"snapshot/{name}", manifest.files[name]) for name in sorted(manifest.files)]
    for encoder in manifest.query_encoders:
        if encoder.files and encoder.folder != manifest.space.fingerprint:
            raise refused(file, f"the encoder folder {manifest.space.fingerprint}", repr(encoder.folder))
        found += [Member(f"encoders/{encoder.folder}/{name}", encoder.files[name]) for name in sorted(encoder.files)]
    for one in found:
        if not _PLAIN.fullmatch(one.name) or len(one.name) > _NAME_BYTES_MAX:
            raise refused(file, f"names of at most {_NAME_BYTES_MAX} letters, digits, dots, - and _", repr(one.name))
    if len({one.name for one in found}) != len(found):
        raise refused(file, "every name once", "a name twice")
    return found


def refused(file: str, expected: object, found: object) -> StoreCorrupt:
    """The error about an archive."""
    return StoreCorrupt(
        file, expected, found, fix="Nothing was changed. Copy the archive again, or `footnote export` it again."
    )


def header(name: str, size: int) -> bytes:
    """The 512 bytes before a member."""
    member = tarfile.TarInfo(name)
    member.size = size
    member.mode = 0o644
    return member.tobuf(tarfile.GNU_FORMAT, "ascii", "strict")


def size_of(head: int, manifest: int, members: list[Member]) -> int:
    """Bytes of a whole archive."""
    sizes = [head, manifest, *(one.entry.size for one in members)]
    return sum(_BLOCK_BYTES + size + -size % _BLOCK_BYTES for size in sizes) + len(_END)


def _head_of(manifest: bytes) -> bytes:
    fields = {
        "format": _FORMAT,
        "version": ARCHIVE_VERSION,
        "manifest_sha256": hashlib.sha256(manifest).hexdigest(),
        "manifest_size": len(manifest),
    }
    return json.dumps(fields, indent=1).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: bytes, and the snapshot in it."""

    size: int
    snapshot: str
    manifest: Manifest


def export_archive(
    index: IndexDirectory, target: Path, generation: int | None = None, advance: Advance = lambda _: None
) -> Exported:
    """Write a kept generation (None: the current one) to an archive, at once or not at all.

    Every file is hashed on its way. The snapshot is held meanwhile; the index is only read, and may be read-only.
    Raises UsageError (not kept; the target is no archive, or lies in the index), StoreCorrupt, WriteFailed.
    """
    _refuse_target(index, target)
    with held(index, generation) as (folder, manifest), disk_errors(target.parent):
        _refuse_forgotten(index, folder, manifest)
        data = (folder / MANIFEST).read_bytes()
        members, head = members_of(manifest, str(folder / MANIFEST)), _head_of(data)
        beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            with beside.open("wb") as stream:
                for name, content in ((HEAD, head), (MANIFEST, data)):
                    stream.write(header(name, len(content)) + content + bytes(-len(content) % _BLOCK_BYTES))
                for one in members:
                    top, _, rest = one.name.partition("/")
                    source = folder / rest if top == "snapshot" else index.encoders / rest
                    _append(stream, one, source, advance)
                stream.write(_END)
            index.disk.fsync(beside)
            index.disk.rename(beside, target)
        except BaseException:
            index.disk.unlink(beside)
            raise
        index.disk.fsync(target.parent)
    return Exported(size_of(len(head), len(data), members), folder.name, manifest)


def _refuse_forgotten(index: IndexDirectory, folder: Path, manifest: Manifest) -> None:
    """What a `forget` that was stopped has left behind must not get out."""
    if read_forgotten(index.forgotten_file).hashes:
        verify_files(folder, manifest, full=True)
        refuse_forgotten(index.forgotten_file, folder, folder.name)


def _refuse_target(index: IndexDirectory, target: Path) -> None:
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent} to write {target.name} to.")
    if target.resolve().is_relative_to(index.path.resolve()):
        raise UsageError(f"{target} lies in the index itself.", fix="Name a file elsewhere.")
    if target.is_symlink() or target.exists():
        begins = f"{HEAD}\0".encode()
        if not target.is_file() or _first_bytes(target, len(begins)) != begins:
            raise UsageError(f"{target} exists and is no archive of ours.", fix="Name another file.")


def _first_bytes(path: Path, count: int) -> bytes:
    with path.open("rb") as stream:
        return stream.read(count)


def _append(archive: BinaryIO, member: Member, source: Path, advance: Advance) -> None:
    """Add a file, hashed on its way. Raises StoreCorrupt naming it where it is not what the manifest says."""
    entry = member.entry
    try:
        stream = source.open("rb")
    except OSError as error:
        raise StoreCorrupt(str(source), f"{entry.size} bytes", f"no readable file ({error.strerror})") from error
    with stream:
        found = os.fstat(stream.fileno()).st_size
        if found != entry.size:
            raise StoreCorrupt(str(source), f"{entry.size} bytes", f"{found} bytes")
        archive.write(header(member.name, entry.size))
        digest, left = hashlib.sha256(), entry.size
        while left and (part := stream.read(min(left, _CHUNK_BYTES))):
            digest.update(part)
            archive.write(part)
            left -= len(part)
            advance(len(part))
    if left or digest.hexdigest() != entry.sha256:
        raise StoreCorrupt(str(source), f"sha256 {entry.sha256}", f"sha256 {digest.hexdigest()}")
    archive.write(bytes(-entry.size % _BLOCK_BYTES))


class ArchiveReader:
    """An archive that is not trusted: nothing is believed before it was compared with what must be there.

    Opening reads and checks the manifest (`data` are its bytes) and the archive's size; `unpack` the rest.

    Args:
        path: the archive.

    Raises UsageError where it is no file, StoreCorrupt where it is no whole archive, FormatUnsupported.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise UsageError(f"the archive {path} cannot be read: {error.strerror}.", fix="Check the path.") from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise UsageError(f"the archive {path} is not a file.", fix="Check the path.")
        self._stream = open(descriptor, "rb")  # noqa: PTH123, SIM115  # a descriptor; closed by `close`
        try:
            head, sha256, size = self._head()
            self.data = b"".join(self._content(MANIFEST, FileEntry(sha256=sha256, size=size)))
            try:
                self.manifest = parse_manifest(self.data, self._place(MANIFEST))
            except StoreCorrupt as error:
                raise refused(error.file, error.expected, error.found) from error
            self.members = members_of(self.manifest, self._place(MANIFEST))
            self.name = Manifest.name_of(self.manifest.generation, self.data)
            expected = size_of(head, size, self.members)
            found = os.fstat(descriptor).st_size
            if found != expected:
                raise refused(str(path), f"{expected} bytes", f"{found} bytes")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def unpack(self, snapshot: Path, encoders: Path, advance: Advance = lambda _: None) -> None:
        """Write the snapshot's files below one folder and the encoder's below another, verified on their way.

        Raises StoreCorrupt at the first byte that should not be there; what was written is the caller's to remove.
        """
        for one in self.members:
            top, _, rest = one.name.partition("/")
            target = (snapshot if top == "snapshot" else encoders) / rest
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                stream = target.open("xb")
            except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
                raise refused(self._place(one.name), "names of files", "the name of a file and of a folder") from error
            with stream:
                for part in self._content(one.name, one.entry):
                    stream.write(part)
                    advance(len(part))
        found = self._stream.read(len(_END) + 1)
        if found != _END:
            raise refused(str(self.path), "two empty blocks at the end", "something else")

    def _head(self) -> tuple[int, str, int]:
        """Size of the first member; sha256 and size of the manifest. Raises FormatUnsupported, StoreCorrupt."""
        what = "a footnote archive"
        block = self._stream.read(_BLOCK_BYTES)
        try:
            found = tarfile.TarInfo.frombuf(block, "utf-8", "replace")
        except tarfile.HeaderError as error:
            raise refused(str(self.path), what, f"no tar ({error})") from error
        if found.name != HEAD or not 0 < found.size <= _HEAD_BYTES_MAX or block != header(HEAD, found.size):
            raise refused(str(self.path), f"{what}, whose first member is {HEAD}", repr(found.name))
        data = self._read(found.size, HEAD)
        try:
            fields = json.loads(data)
            version, sha256, size = fields["version"], fields["manifest_sha256"], fields["manifest_size"]
            if fields["format"] == _FORMAT and type(version) is int and version != ARCHIVE_VERSION:
                raise FormatUnsupported(str(self.path), ARCHIVE_VERSION, version)
            manifest = FileEntry(sha256=sha256, size=size)
        except (ValueError, KeyError, TypeError) as error:
            raise refused(self._place(HEAD), "what export writes", repr(data[:100])) from error
        if manifest.size > _MANIFEST_BYTES_MAX:
            raise refused(self._place(HEAD), f"a manifest of at most {_MANIFEST_BYTES_MAX} bytes", f"{manifest.size}")
        known = {"format": _FORMAT, "version": ARCHIVE_VERSION, "manifest_sha256": sha256, "manifest_size": size}
        if data != json.dumps(known, indent=1).encode() + b"\n":
            raise refused(self._place(HEAD), "what export writes", repr(data[:100]))
        self._padding(found.size, HEAD)
        return found.size, manifest.sha256, manifest.size

    def _content(self, name: str, entry: FileEntry) -> Iterator[bytes]:
        """The bytes of the next member, which must be this one; other bytes are found once all were yielded."""
        block = self._stream.read(_BLOCK_BYTES)
        if block != header(name, entry.size):
            raise refused(self._place(name), f"a file of {entry.size} bytes here", _described(block))
        digest, left = hashlib.sha256(), entry.size
        while left:
            part = self._read(min(left, _CHUNK_BYTES), name)
            digest.update(part)
            left -= len(part)
            yield part
        if digest.hexdigest() != entry.sha256:
            raise refused(self._place(name), f"sha256 {entry.sha256}", f"sha256 {digest.hexdigest()}")
        self._padding(entry.size, name)

    def _padding(self, size: int, name: str) -> None:
        expected = bytes(-size % _BLOCK_BYTES)
        if self._stream.read(len(expected)) != expected:
            raise refused(self._place(name), f"{len(expected)} zero bytes after it", "something else")

    def _read(self, count: int, name: str) -> bytes:
        data = self._stream.read(count)
        if len(data) != count:
            raise refused(self._place(name), f"{count} bytes more", f"{len(data)}: the archive ends there")
        return data

    def _place(self, name: str) -> str:
        return f"{self.path}, member {name},"


_TYPES = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.DIRTYPE: "a folder",
    tarfile.FIFOTYPE: "a pipe",
}


def _described(block: bytes) -> str:
    try:
        found = tarfile.TarInfo.frombuf(block, "utf-8", "replace")
    except tarfile.HeaderError as error:
        return f"no member ({error})"
    kind = _TYPES.get(found.type, "a file" if found.isreg() else "something else")
    return f"{kind} of {found.size} bytes named {found.name!r}"
