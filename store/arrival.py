"""Taking an archive in: unpacked aside, verified in full, published like any snapshot."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from store.archive import MANIFEST, Advance, ArchiveReader, refused
from store.errors import FormatUnsupported, StoreCorrupt
from store.files import check_file
from store.forgotten import refuse_forgotten
from store.index import Current, IndexDirectory
from store.local import LocalSnapshot, read_manifest, verify_files
from store.manifest import Manifest, QueryEncoderEntry


@dataclass(frozen=True, slots=True)
class Imported:
    """What came in.

    Args:
        snapshot: the current snapshot's name now.
        exported_as: its name in the archive.
        manifest: the archive's, with what was rewritten of it.
        published: False where the current snapshot had exactly this content already.
        space_before: the model and fingerprint that the index had, where the archive's embedding space is another.
    """

    snapshot: str
    exported_as: str
    manifest: Manifest
    published: bool = True
    space_before: str | None = None


def import_archive(index: IndexDirectory, archive: Path, advance: Advance = lambda _: None) -> Imported:
    """Publish an archive's snapshot: under its own generation in a new index, else under the next one here.

    Content that is current already, in the same space and split and analyzed alike, is not published again.

    All is verified before anything is changed. Only the generation and the parent are rewritten; and where the index
    has a whole query encoder of the same space, that one goes on being used, since kept snapshots name its files.

    Raises UsageError, StoreCorrupt and FormatUnsupported (naming the archive), Forgotten, IndexLocked, WriteFailed.
    """
    with closing(ArchiveReader(archive)) as reader, index.lock():
        current = _current(index)
        build_of_encoders = index.snapshots / f".build-{secrets.token_hex(4)}"
        try:
            with index.build_folder() as folder:
                manifest = reader.manifest
                reader.unpack(folder, build_of_encoders, advance)
                _verify(folder, reader)
                _refuse_forgotten(index, folder, archive)
                here = None if current is None else _manifest_of(index, current)
                if (
                    current is not None
                    and here is not None
                    and _same(here, manifest)
                    and _encoders_are_whole(index, here)
                ):
                    return Imported(current.name, reader.name, here, published=False)
                encoders = _install_encoders(index, manifest, build_of_encoders)
                changes: dict[str, object] = {} if encoders == manifest.query_encoders else {"query_encoders": encoders}
                if current is not None or index.published():
                    changes["generation"] = index.next_generation()
                    changes["parent"] = None if current is None else current.name
                manifest = manifest.model_copy(update=changes)
                published = index.publish(folder, manifest)
        finally:
            index.disk.remove_tree(build_of_encoders)
    before = None
    if here is not None and here.space != manifest.space:
        before = f"{here.space.model} ({here.space.fingerprint})"
    return Imported(published.name, reader.name, manifest, space_before=before)


def _manifest_of(index: IndexDirectory, current: Current) -> Manifest | None:
    """The manifest of a current snapshot that is whole; None where it is not: importing is a way to mend that."""
    folder = index.snapshots / current.name
    try:
        manifest = read_manifest(folder, current.manifest_sha256)
        verify_files(folder, manifest, full=True)
    except (StoreCorrupt, FormatUnsupported):
        return None
    return manifest


def _encoders_are_whole(index: IndexDirectory, here: Manifest) -> bool:
    return all(_is_whole(index, entry) for entry in here.query_encoders)


def _same(here: Manifest, arrived: Manifest) -> bool:
    return (here.content_sha256, here.space, here.analyzer, here.splitter) == (
        arrived.content_sha256,
        arrived.space,
        arrived.analyzer,
        arrived.splitter,
    )


def _current(index: IndexDirectory) -> Current | None:
    try:
        return index.current()
    except StoreCorrupt:  # importing is a way to mend that
        return None


def _verify(folder: Path, reader: ArchiveReader) -> None:
    """Open what was unpacked: every hash once more, from the disk, and that the files are what they should be."""
    (folder / MANIFEST).write_bytes(reader.data)
    try:
        with ThreadPoolExecutor(1) as executor:
            sha256 = hashlib.sha256(reader.data).hexdigest()
            LocalSnapshot(folder, executor, manifest_sha256=sha256, full=True).close()
    except StoreCorrupt as error:
        raise _inside(reader.path, folder, error) from error


def _refuse_forgotten(index: IndexDirectory, folder: Path, archive: Path) -> None:
    try:
        refuse_forgotten(index.forgotten_file, folder, f"the archive {archive}")
    except StoreCorrupt as error:
        if error.file == str(index.forgotten_file):
            raise
        raise _inside(archive, folder, error) from error
    except (ValueError, KeyError, TypeError, FileNotFoundError, sqlite3.DatabaseError) as error:
        raise refused(str(archive), "documents and a ledger", repr(error)) from error


def _inside(archive: Path, folder: Path, error: StoreCorrupt) -> StoreCorrupt:
    """The same about the archive's member, since the build folder will be gone."""
    return refused(f"{archive}, member {error.file.replace(str(folder), 'snapshot')},", error.expected, error.found)


def _install_encoders(index: IndexDirectory, manifest: Manifest, build: Path) -> list[QueryEncoderEntry]:
    """Put the archive's query encoder in its place, unless a whole one is there; returns what the manifest admits."""
    entries = []
    for entry in manifest.query_encoders:
        if entry.files:
            known = _known(index, manifest, entry)
            if known is None:
                index.disk.make_folder(index.encoders)
                target = index.encoders / str(entry.folder)
                if target.exists():
                    index.disk.remove_folder(target)
                index.disk.publish_folder(build / str(entry.folder), target)
            entries.append(known or entry)
        else:
            entries.append(entry)
    return entries


def _known(index: IndexDirectory, manifest: Manifest, wanted: QueryEncoderEntry) -> QueryEncoderEntry | None:
    """An encoder of this very space that is here and whole: the wanted one, else one that a kept snapshot admits."""
    kept = [
        entry
        for _, other in index.history()
        if other.space == manifest.space
        for entry in other.query_encoders
        if entry.files
    ]
    return next((entry for entry in (wanted, *kept) if _is_whole(index, entry)), None)


def _is_whole(index: IndexDirectory, entry: QueryEncoderEntry) -> bool:
    try:
        for name, file in entry.files.items():
            check_file(index.encoders / str(entry.folder) / name, sha256=file.sha256, size=file.size)
    except StoreCorrupt:
        return False
    return True
