"""The snapshot a build starts from: what can be taken over from it unread."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from indexer.accounting import Ledger, Tally
from indexer.staging import Staging
from store.document import Document
from store.embedding import Vectors
from store.index import IndexDirectory
from store.ledger import LedgerEntry, LedgerFile, read_ledger
from store.local import read_manifest, verify_files
from store.manifest import Manifest
from store.passages import PassageReader, StoredDocument
from store.vectors import open_vectors

FileKey = tuple[str, str]
"""Source name, and the file's path within the source."""


@dataclass(slots=True)
class Parent:
    """The current snapshot, opened for a build.

    Args:
        folder, manifest, reader, vectors: its parts.
        files: the files it was made from.
        set_aside: by file, the ledger entries of inputs that did not become documents (those that did are in `reader`).
        tally: its ledger in sum.
    """

    folder: Path
    manifest: Manifest
    reader: PassageReader
    vectors: Vectors
    files: dict[FileKey, LedgerFile] = field(default_factory=dict)
    set_aside: dict[FileKey, list[LedgerEntry]] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)

    def carry_over(self, key: FileKey, staging: Staging, ledger: Ledger) -> None:
        """Stage what an unchanged file became before, and repeat its other ledger lines."""
        if key in self.files:
            ledger.file(self.files[key])
        for stored, origin, spans in self.reader.documents_of_file(*key):
            outcome = staging.add(_document(stored), stored.header.version, origin, spans)
            ledger.staged(outcome, stored.header.id, origin)
        for entry in self.set_aside.get(key, []):
            ledger.entry(entry)

    def gave_way(self, key: FileKey) -> bool:
        """Whether a document of this file was left out because its id came before: it must be read again, since what
        it gave way to may be gone.
        """
        return any(entry.reason in ("duplicate", "collision") for entry in self.set_aside.get(key, []))

    def vector_of(self, embedded_hash: bytes) -> Vectors | None:
        """The vector of a text embedded before, float32, shape (dimension,)."""
        row = self.reader.row_of_hash(embedded_hash)
        return None if row is None else self.vectors[row]


def open_parent(index: IndexDirectory) -> Parent | None:
    """The current snapshot, its manifest checked; None for a new index. Raises StoreCorrupt."""
    current = index.current()
    if current is None:
        return None
    folder = index.snapshots / current.name
    manifest = read_manifest(folder, current.manifest_sha256)
    verify_files(folder, manifest, full=False)
    parent = Parent(
        folder,
        manifest,
        PassageReader(folder / "passages.sqlite"),
        open_vectors(folder / "vectors.f32", manifest.counts.passages, manifest.space.dimension),
    )
    for line in read_ledger(folder / "ledger.jsonl"):
        if isinstance(line, LedgerFile):
            parent.files[line.source, line.file] = line
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
