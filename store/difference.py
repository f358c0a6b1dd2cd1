"""What differs between two kept generations: documents and passages added, changed, removed, in order of ids.

Both sides are read side by side in row order, so that memory holds one document's passages, however large they are.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from store.errors import StoreCorrupt
from store.files import check_file
from store.index import IndexDirectory
from store.kept import held
from store.manifest import Manifest
from store.passages import PassageReader

Change = Literal["added", "changed", "removed"]


@dataclass(frozen=True, slots=True)
class DocumentChange:
    """What became of one document.

    Args:
        change: "changed" where version, access or only the passages differ.
        fields: what of it differs, of text, title, url, metadata, access, sections; empty where only its passages do.
        added, changed, removed: ids of its passages; one is changed where its headings, page or embedded text differ.
    """

    change: Change
    id: str
    fields: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(slots=True)
class Counts:
    """How many were added, changed and removed, and how many are the same."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    same: int = 0


@dataclass(slots=True)
class Difference:
    """The differences of two opened generations; the counts are complete once `changes` is exhausted."""

    before: Manifest
    after: Manifest
    _before: PassageReader
    _after: PassageReader
    documents: Counts = field(default_factory=Counts)
    passages: Counts = field(default_factory=Counts)

    @property
    def unlike(self) -> dict[str, tuple[str, str]]:
        """What else the two were made with, where that differs: (before, after) of the embedding model with its
        fingerprint, of the analyzer and of the splitter's settings.
        """
        pairs = {
            "model": [f"{one.space.model} ({one.space.fingerprint})" for one in (self.before, self.after)],
            "analyzer": [one.analyzer for one in (self.before, self.after)],
            "splitter": [one.splitter.model_dump_json() for one in (self.before, self.after)],
        }
        return {name: (old, new) for name, (old, new) in pairs.items() if old != new}

    def changes(self) -> Iterator[DocumentChange]:
        """Every document that is not the same on both sides, by id. To be read once."""
        old_side, new_side = _documents(self._before), _documents(self._after)
        old, new = next(old_side, None), next(new_side, None)
        while old is not None or new is not None:
            if new is None or (old is not None and old.id < new.id):
                assert old is not None
                one = DocumentChange("removed", old.id, removed=tuple(old.passages))
                old = next(old_side, None)
            elif old is None or new.id < old.id:
                one = DocumentChange("added", new.id, added=tuple(new.passages))
                new = next(new_side, None)
            else:
                pair = self._compared(old, new)
                old, new = next(old_side, None), next(new_side, None)
                if pair is None:
                    continue
                one = pair
            setattr(self.documents, one.change, getattr(self.documents, one.change) + 1)
            self.passages.added += len(one.added)
            self.passages.changed += len(one.changed)
            self.passages.removed += len(one.removed)
            yield one

    def _compared(self, old: _Row, new: _Row) -> DocumentChange | None:
        fields = [name for name, mine, other in zip(_FIELDS, old.fields, new.fields, strict=True) if mine != other]
        if old.version != new.version and self._text(self._before, old) != self._text(self._after, new):
            fields.insert(0, "text")
        added = tuple(key for key in new.passages if key not in old.passages)
        removed = tuple(key for key in old.passages if key not in new.passages)
        both = [key for key in new.passages if key in old.passages]
        changed = tuple(key for key in both if old.passages[key] != new.passages[key])
        self.passages.same += len(both) - len(changed)
        if not (fields or added or removed or changed):
            self.documents.same += 1
            return None
        return DocumentChange("changed", new.id, tuple(fields), added, changed, removed)

    @staticmethod
    def _text(reader: PassageReader, document: _Row) -> list[tuple[str]]:
        query = "SELECT text FROM texts WHERE document_row = ? ORDER BY start"
        return reader.connection.execute(query, (document.row,)).fetchall()


_FIELDS = ("title", "url", "metadata", "access", "sections")


@dataclass(frozen=True, slots=True)
class _Row:
    row: int
    id: str
    version: str
    fields: tuple[object, ...]
    passages: dict[str, tuple[object, ...]]


@contextmanager
def difference(index: IndexDirectory, before: int, after: int) -> Iterator[Difference]:
    """Open two kept generations to compare them; both are held meanwhile, and their passages verified first.

    Raises UsageError where one is not kept, StoreCorrupt.
    """
    with _opened(index, before) as (manifest_before, old), _opened(index, after) as (manifest_after, new):
        try:
            yield Difference(manifest_before, manifest_after, old, new)
        except sqlite3.Error as error:
            raise StoreCorrupt(str(index.snapshots), "passage databases", str(error)) from error


@contextmanager
def _opened(index: IndexDirectory, generation: int) -> Iterator[tuple[Manifest, PassageReader]]:
    with held(index, generation) as (folder, manifest):
        reader = PassageReader(checked(folder, manifest, "passages.sqlite"))
        try:
            yield manifest, reader
        finally:
            reader.close()


def checked(folder: Path, manifest: Manifest, name: str) -> Path:
    """The path of one of a snapshot's files, after hashing it. Raises StoreCorrupt."""
    entry = manifest.files.get(name)
    if entry is None:
        raise StoreCorrupt(str(folder / "manifest.json"), f"an entry for {name}", "none")
    check_file(folder / name, sha256=entry.sha256, size=entry.size)
    return folder / name


def _documents(reader: PassageReader) -> Iterator[_Row]:
    """Every document with its passages, in row order, which is the order of ids."""
    documents = reader.connection.execute(
        "SELECT row, id, version, passage_count, title, url, metadata, access, sections FROM documents ORDER BY row"
    )
    passages = reader.connection.execute("SELECT id, section, page, embedded_hash FROM passages ORDER BY row")
    for row, document_id, version, count, title, url, metadata, access, sections in documents:
        of_it = {key: tuple(rest) for key, *rest in passages.fetchmany(count)} if count else {}
        fields = (title, url, _parsed(metadata), access, sections)
        yield _Row(row, document_id, version, fields, of_it)


def _parsed(metadata: str) -> object:
    return metadata if metadata == "{}" else json.loads(metadata)
