"""Forgetting a document: out of every kept snapshot and of the embedding cache, and refused from then on."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from indexer.cache import EmbeddingCache
from indexer.gave_way import FILE_NAME as GAVE_WAY
from indexer.parent import FileKey, Parent, open_parent
from indexer.progress import Progress
from indexer.rows import write_rows
from indexer.staging import StagedDocument, Staging
from store.analyzer import Analyzer
from store.document import passage_id
from store.embedding import Vectors
from store.errors import StoreCorrupt, WriteFailed
from store.files import if_not_held
from store.forgotten import ids_in, read_forgotten, write_forgotten
from store.index import IndexDirectory, now
from store.ledger import LedgerEntry, LedgerFile, read_ledger
from store.local import read_manifest, verify_files
from store.manifest import Counts
from store.passages import PassageReader
from store.vectors import build_index, open_vectors

READERS_S = 10.0
"""How long readers of old snapshots are waited for; a running service follows within a second or so."""

_UNREAD = "0" * 64  # no file has this sha256: one that held the document is read again


@dataclass(frozen=True, slots=True)
class Found:
    """Where a document is.

    Args:
        holding: names of the kept snapshots that hold or name it, under its id or a former one.
        current: whether the current one is among them.
        damaged: those that cannot be read, which may hold it.
        former: ids under which only older snapshots have a version of it: it was renamed since.
        copies: ids under which the current snapshot has one of its versions too: documents of their own.
    """

    holding: list[str]
    current: bool
    damaged: list[str]
    former: list[str]
    copies: list[str]


@dataclass(frozen=True, slots=True)
class Erasure:
    """What forgetting did: the snapshot published without the document (None where the current one did not hold it),
    the snapshots removed, and how many embeddings left the cache.
    """

    published: str | None
    removed: list[str]
    embeddings: int


def find(index: IndexDirectory, document_id: str) -> Found:
    """Look for a document in every kept snapshot, verified before it is read.

    Raises IndexMissing, StoreCorrupt (the current snapshot), FormatUnsupported (a kept one of a newer program, of which
    nothing can be said).
    """
    current = index.require_current()
    readable, damaged = [], []
    for folder in index.published():
        try:
            verify_files(folder, read_manifest(folder), full=True)
            readable.append(folder)
        except StoreCorrupt:
            if folder.name == current.name:
                raise
            damaged.append(folder.name)
    under, here = _other_names(readable, current.name, document_id)
    former, copies = sorted(under - here), sorted(under & here)
    wanted = {document_id, *former}
    holding = [folder.name for folder in readable if not wanted.isdisjoint(ids_in(folder))]
    return Found(holding, current.name in holding, damaged, former, copies)


def _other_names(folders: Sequence[Path], current: str, document_id: str) -> tuple[set[str], set[str]]:
    """Other ids under which these snapshots hold a version of a document; and those among them in the current one."""
    with ExitStack() as stack:
        readers: dict[str, PassageReader] = {}
        for folder in folders:
            readers[folder.name] = PassageReader(folder / "passages.sqlite")
            stack.callback(readers[folder.name].close)
        versions = {
            one.header.version for reader in readers.values() for one in reader.document(id=document_id, version=None)
        }
        under = {
            name: {other for version in versions for other in reader.ids_of_version(version)} - {document_id}
            for name, reader in readers.items()
        }
    return set().union(*under.values()), under.get(current, set())


def forget(index: IndexDirectory, document_id: str, progress: Progress, *, readers_s: float = READERS_S) -> Erasure:
    """Erase a document from every kept snapshot and the cache, and refuse it from now on. Cannot be taken back.

    In this order, so that a run that was stopped can simply be run again: the id, and those it had before it was
    renamed, are noted as forgotten; the current snapshot is published anew without the document; every other that holds
    it (or cannot be read) is removed, after waiting up to `readers_s` seconds for its readers; the cache keeps only
    what a kept snapshot accounts for. From the first step on no forgotten document is served from an older snapshot,
    and the next `build` goes on where a stopped run was.

    Raises IndexMissing, IndexLocked, StoreCorrupt (the current snapshot is damaged), FormatUnsupported (a kept snapshot
    of a newer program), WriteFailed.
    """
    with index.lock():
        progress.phase("Looking for the document")
        found = find(index, document_id)
        ids = read_forgotten(index.forgotten_file)
        more = ids
        for one in (document_id, *found.former):
            more = more.with_id(one)
        index.disk.replace_file(_unfinished(index), b"")
        if more != ids:
            write_forgotten(index.forgotten_file, more, index.disk)
        published = _publish_without(index, document_id, progress) if found.current else None
        progress.phase("Removing old snapshots")
        doomed = {*found.holding, *found.damaged}
        removed = [folder.name for folder in index.published() if folder.name in doomed]
        return Erasure(published, removed, _erase(index, removed, readers_s, progress))


def finish_forgetting(index: IndexDirectory, progress: Progress, *, readers_s: float = READERS_S) -> list[str]:
    """Go on where a `forget` was stopped: remove the older snapshots that hold what is forgotten, or cannot be read,
    and purge the cache; returns the names removed. For the holder of the lock, with a current snapshot made since.
    """
    if not _unfinished(index).exists():
        return []
    progress.phase("Finishing to forget")
    forgotten = read_forgotten(index.forgotten_file)
    current = index.require_current().name
    removed = []
    for folder in index.published():
        if folder.name == current:
            continue
        try:
            verify_files(folder, read_manifest(folder), full=True)
            if not any(map(forgotten.holds, ids_in(folder))):
                continue
        except StoreCorrupt:
            pass
        removed.append(folder.name)
    _erase(index, removed, readers_s, progress)
    return removed


def _unfinished(index: IndexDirectory) -> Path:
    """There while a `forget` has not come to its end."""
    return index.path / "FORGETTING"


def _erase(index: IndexDirectory, names: Sequence[str], readers_s: float, progress: Progress) -> int:
    """Remove snapshots and what only they account for in the cache, for good; returns the embeddings removed."""
    deadline = time.monotonic() + readers_s
    for name in names:
        _remove(index, index.snapshots / name, deadline)
    _sweep(index)
    progress.phase("Purging the embedding cache")
    purged = _purge_cache(index)
    for folder in (index.snapshots, index.encoders, index.cache):
        if folder.is_dir():
            index.disk.fsync(folder)  # else a power cut could bring back what was removed
    index.disk.unlink(_unfinished(index))
    index.disk.fsync(index.path)
    return purged


def remember(index: IndexDirectory, document_id: str) -> bool:
    """Accept a forgotten document again when it comes; False where it was not forgotten. Nothing comes back by this."""
    with index.lock():
        ids = read_forgotten(index.forgotten_file)
        if not ids.holds(document_id):
            return False
        write_forgotten(index.forgotten_file, ids.without_id(document_id), index.disk)
        return True


def _publish_without(index: IndexDirectory, document_id: str, progress: Progress) -> str:
    """Publish the current snapshot without a document, nothing read or embedded again; returns its name."""
    parent = open_parent(index)
    assert parent is not None
    try:
        parent.verified()
        with index.build_folder() as folder:
            known = Analyzer.from_name(parent.manifest.analyzer)
            staging = Staging(folder / "staging.sqlite", detects=known.detects)
            try:
                progress.phase("Carrying over all other documents", parent.manifest.counts.documents)
                _stage_others(parent, document_id, staging, progress)
                quarantined = _note_other_lines(parent, document_id, staging)
                staging.commit()
                staging.write_ledger(folder / "ledger.jsonl")
                content = staging.content_sha256(folder / "ledger.jsonl")
                staging.write_gave_way(folder / GAVE_WAY)
                progress.phase("Writing", staging.passages)
                analyzer = Analyzer.for_languages(staging.languages()) if known.detects else known
                header = parent.manifest.splitter.header
                write_rows(folder, staging, _Kept(parent), analyzer, progress, header=header)
                counts = Counts(documents=staging.documents, passages=staging.passages, quarantined=quarantined)
            finally:
                staging.close()
                index.disk.unlink(folder / "staging.sqlite")
            progress.phase("Building the vector index")
            vectors = open_vectors(folder / "vectors.f32", counts.passages, parent.manifest.space.dimension)
            changes = {
                "generation": index.next_generation(),
                "parent": parent.folder.name,
                "created_at": now(),
                "counts": counts,
                "analyzer": analyzer.name,
                "vector_index": build_index(vectors, folder / "vectors.faiss"),
                "content_sha256": content,
            }
            progress.phase("Verifying and publishing")
            return index.publish(folder, parent.manifest.model_copy(update=changes)).name
    finally:
        parent.close()


def _stage_others(parent: Parent, document_id: str, staging: Staging, progress: Progress) -> None:
    """Stage every other document; those that gave way come last, to give way again."""
    keys = sorted(parent.reader.files() | parent.gave_way.files())
    kept = (one for key in keys for one in parent.kept_documents(key))
    left_out = (one for key in keys for one in parent.left_out_documents(key))
    for one in itertools.chain(kept, left_out):
        if one.document.id != document_id:
            staging.add(one.document, one.version, one.origin, one.spans or [])
        progress.advance()


def _note_other_lines(parent: Parent, document_id: str, staging: Staging) -> int:
    """Repeat the ledger without what is said of a document; returns how many inputs are quarantined.

    A file that brought it is not called by its checksum any more, and by its name only where it brought others too.
    """
    path = parent.folder / "ledger.jsonl"
    tainted: set[FileKey] = set()
    others: set[FileKey] = set()
    for line in read_ledger(path):
        if isinstance(line, LedgerEntry):
            about = _line_is_about(line, document_id)
            (tainted if about else others).add((line.source, line.file))
    quarantined = 0
    for line in read_ledger(path):
        key = (line.source, line.file)
        if isinstance(line, LedgerFile):
            if key not in tainted:
                staging.note(line)
            elif key in others:
                staging.note(replace(line, sha256=_UNREAD))
        elif not _line_is_about(line, document_id):
            staging.note(line)
            quarantined += line.outcome == "quarantined"
    return quarantined


def _line_is_about(line: LedgerEntry, document_id: str) -> bool:
    return document_id in (line.document_id, line.input)


class _Kept:
    """The vectors of passages that the parent snapshot has."""

    embedded = 0

    def __init__(self, parent: Parent) -> None:
        self._parent = parent

    def vectors_of(self, window: Sequence[StagedDocument]) -> Vectors:
        """float32, shape (passages of the window, dimension), in row order."""
        ids = [
            passage_id(one.document.id, one.document.text[span.start : span.end], span.start, span.end)
            for one in window
            for span in one.spans
        ]
        rows = self._parent.reader.rows_of_ids(ids)
        return np.asarray(self._parent.vectors[[rows[key] for key in ids]], np.float32)


def _remove(index: IndexDirectory, folder: Path, deadline: float) -> None:
    """Remove a snapshot, held or not; raises WriteFailed where some of it stays."""
    manifest = folder / "manifest.json"
    while manifest.exists() and time.monotonic() < deadline:
        with if_not_held(manifest) as free:
            if free:
                break
        time.sleep(0.05)
    index.disk.remove_folder(folder)


def _sweep(index: IndexDirectory) -> None:
    """Remove whatever a stopped run left, removed snapshots included. Raises WriteFailed where something stays."""
    for place in (index.snapshots, index.encoders):
        for stray in (*place.glob(".build-*"), *place.glob(".removed-*")):
            index.disk.remove_tree(stray)
            if stray.exists():
                raise WriteFailed(str(stray), "it could not be removed, and may hold what was to be forgotten")
    for stray in index.path.glob(f".{index.forgotten_file.name}.*.tmp"):
        index.disk.unlink(stray)


def _purge_cache(index: IndexDirectory) -> int:
    """Keep of the cache only what a kept snapshot accounts for: older versions of the document are in nobody's list."""
    purged = 0
    with ExitStack() as stack:
        readers = []
        for folder in index.published():
            readers.append(PassageReader(folder / "passages.sqlite"))
            stack.callback(readers[-1].close)

        def known(hashes: Sequence[bytes]) -> set[bytes]:
            return {key for reader in readers for key in reader.known_hashes(hashes)}

        for path in _databases(index.cache):
            cache = EmbeddingCache(path, 1, index.disk)
            try:
                purged += cache.keep_only(known)
            finally:
                cache.close()
    if index.cache.is_dir():
        for path in index.cache.iterdir():
            if path.suffix != ".sqlite":
                index.disk.unlink(path)
    return purged


def _databases(cache: Path) -> Iterator[Path]:
    if cache.is_dir():
        yield from sorted(cache.glob("*.sqlite"))
