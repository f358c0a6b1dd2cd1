"""The snapshot a build starts from: what can be taken over from it unread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from indexer.accounting import Tally
from indexer.gave_way import FILE_NAME as GAVE_WAY
from indexer.gave_way import GaveWayFile
from store.document import Document
from store.embedding import Vectors
from store.files import check_file
from store.index import IndexDirectory
from store.ledger import LedgerEntry, LedgerFile, read_ledger
from store.local import read_manifest, verify_files
from store.manifest import Manifest
from store.passages import Origin, PassageReader, Span, StoredDocument
from store.vectors import open_vectors

FileKey = tuple[str, str]
"""Source name, and the file's path within the source."""


_LEFT_OUT = ("duplicate", "collision")


@dataclass(frozen=True, slots=True)
class Carried:
    """A document taken over unread. `spans` are its passages as they were split before; None for one that gave way."""

    document: Document
    version: str
    origin: Origin
    spans: list[Span] | None


@dataclass(slots=True)
class Parent:
    """The current snapshot, opened for a build.

    Args:
        folder, manifest, vectors, gave_way: its parts.
        files: the files it was made from; more than one under a key where sources share a name.
        set_aside: by file, the ledger entries of inputs that did not become documents (those that did are in `reader`).
        tally: its ledger in sum.
    """

    folder: Path
    manifest: Manifest
    vectors: Vectors
    gave_way: GaveWayFile
    files: dict[FileKey, list[LedgerFile]] = field(default_factory=dict)
    set_aside: dict[FileKey, list[LedgerEntry]] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    _reader: PassageReader | None = None

    @property
    def reader(self) -> PassageReader:
        """Its passages; only once it was verified."""
        assert self._reader is not None
        return self._reader

    def can_be_carried(self, key: FileKey) -> bool:
        """Whether all that this file brought is here, documents that gave way included (older snapshots lack them)."""
        return len(self._left_out(key)) == self.gave_way.count(*key)

    def documents(self, key: FileKey) -> Iterator[Carried]:
        """What a file became before; documents that gave way come last: now one may be the first of its id."""
        yield from self.kept_documents(key)
        yield from self.left_out_documents(key)

    def kept_documents(self, key: FileKey) -> Iterator[Carried]:
        """The documents here that a file brought, by id."""
        for stored, origin, spans in self.reader.documents_of_file(*key):
            yield Carried(_document(stored), stored.header.version, origin, spans)

    def left_out_documents(self, key: FileKey) -> Iterator[Carried]:
        """The documents of a file that gave way."""
        for one in self.gave_way.of_file(*key):
            document = one.document
            if document is None:  # equal to the one that it gave way to
                (stored,) = self.reader.document(id=one.document_id)
                document = _document(stored)
            yield Carried(document, one.version, one.origin, None)

    def spans_of(self, document: Document, version: str) -> list[Span] | None:
        """How this very document was split before; None where it is not here."""
        found = self.reader.spans(document.id, version)
        return None if found is None or found[0] != document.sections else found[1]

    def other_inputs(self, key: FileKey) -> list[LedgerEntry]:
        """Ledger entries of a file's inputs that `documents` does not yield."""
        entries = self.set_aside.get(key, [])
        if not self.can_be_carried(key):
            return entries
        return [entry for entry in entries if entry.reason not in _LEFT_OUT]

    def verified(self) -> Parent:
        """Itself, after hashing every file, so that no damage is taken over. Raises StoreCorrupt."""
        verify_files(self.folder, self.manifest, full=True)
        if self._reader is None:
            self._reader = PassageReader(self.folder / "passages.sqlite")
        return self

    def close(self) -> None:
        """Close its files."""
        if self._reader is not None:
            self._reader.close()

    def _left_out(self, key: FileKey) -> list[LedgerEntry]:
        return [entry for entry in self.set_aside.get(key, []) if entry.reason in _LEFT_OUT]

    def vectors_of(self, hashes: Sequence[bytes]) -> dict[bytes, Vectors]:
        """The vectors of texts embedded before, by the hash of the text; float32, shape (dimension,)."""
        return {key: self.vectors[row] for key, row in self.reader.rows_of_hashes(hashes).items()}


def open_parent(index: IndexDirectory) -> Parent | None:
    """The current snapshot; None for a new index. Raises StoreCorrupt, FormatUnsupported.

    Checked are the manifest, the ledger and all sizes, which is what finding that nothing changed needs; whoever takes
    anything over calls `verified` first.
    """
    current = index.current()
    if current is None:
        return None
    folder = index.snapshots / current.name
    manifest = read_manifest(folder, current.manifest_sha256)
    verify_files(folder, manifest, full=False)
    for name in ("ledger.jsonl", GAVE_WAY):
        if name in manifest.files:
            check_file(folder / name, sha256=manifest.files[name].sha256, size=manifest.files[name].size)
    parent = Parent(
        folder,
        manifest,
        open_vectors(folder / "vectors.f32", manifest.counts.passages, manifest.space.dimension),
        GaveWayFile(folder),
    )
    for line in read_ledger(folder / "ledger.jsonl"):
        if isinstance(line, LedgerFile):
            parent.files.setdefault((line.source, line.file), []).append(line)
        else:
            parent.tally.add(line)
            if line.outcome != "indexed":
                parent.set_aside.setdefault((line.source, line.file), []).append(line)
    return parent


def _document(stored: StoredDocument) -> Document:
    header = stored.header
    return Document(
        id=header.id,
        text=stored.text,
        title=header.title,
        url=header.url,
        metadata=header.metadata,
        access=header.access,
        sections=stored.sections,
    )
