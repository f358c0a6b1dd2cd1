"""passages.sqlite: documents, their text (once), passages as spans of it, and the fields that filters look at."""

from __future__ import annotations

import json
import random
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from store.document import Document, Passage, Section, document_version
from store.errors import StoreCorrupt

_TEXT_PIECE_CHARS = 16_384
_PASSAGES_WITH_TEXT = f"""
SELECT p.id, p.document_row, p.start, p."end", p.section, p.page, t.start, t.text FROM passages p LEFT JOIN texts t
ON t.document_row = p.document_row AND t.start >= p.start - p.start % {_TEXT_PIECE_CHARS}
AND t.start < max(p."end", p.start - p.start % {_TEXT_PIECE_CHARS} + 1) WHERE p.id IN"""  # noqa: S608  # a constant
IDS_KEPT = 100_000
"""Passages whose ids and rows a reader remembers, about 20 MB."""

_SCHEMA = """
CREATE TABLE documents (
    row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, version TEXT NOT NULL, title TEXT NOT NULL, url TEXT,
    metadata TEXT NOT NULL, access TEXT NOT NULL, sections TEXT NOT NULL, source TEXT NOT NULL, file TEXT NOT NULL,
    input TEXT NOT NULL, first_passage INTEGER NOT NULL, passage_count INTEGER NOT NULL);
CREATE TABLE texts (document_row INTEGER, start INTEGER, text TEXT NOT NULL, PRIMARY KEY (document_row, start))
    WITHOUT ROWID;
CREATE TABLE passages (
    row INTEGER PRIMARY KEY, id TEXT NOT NULL, document_row INTEGER NOT NULL, start INTEGER NOT NULL,
    "end" INTEGER NOT NULL, section TEXT NOT NULL, page INTEGER, embedded_hash BLOB NOT NULL);
CREATE TABLE fields (document_row INTEGER NOT NULL, field TEXT NOT NULL, kind TEXT NOT NULL, value);
CREATE TABLE principals (document_row INTEGER NOT NULL, principal TEXT NOT NULL);
"""
_INDEXES = """
CREATE INDEX documents_version ON documents (version);
CREATE INDEX documents_first_passage ON documents (first_passage);
CREATE INDEX documents_file ON documents (source, file);
CREATE UNIQUE INDEX passages_id ON passages (id);
CREATE INDEX passages_embedded ON passages (embedded_hash);
CREATE INDEX fields_value ON fields (field, kind, value, document_row);
CREATE INDEX principals_principal ON principals (principal, document_row);
"""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a document came from: source name, file within it, and what the ledger calls the input."""

    source: str
    file: str
    input: str


@dataclass(frozen=True, slots=True)
class Span:
    """A passage before it has an id: a span of its document, and the hash of what is embedded for it.

    Args:
        start, end: code points, half-open.
        section: titles of the enclosing headings, outermost first.
        embedded_hash: sha256 (32 bytes) of the embedded text, header included.
    """

    start: int
    end: int
    section: tuple[str, ...]
    embedded_hash: bytes
    page: int | None = None


@dataclass(frozen=True, slots=True)
class DocumentHeader:
    """A document without its text."""

    id: str
    version: str
    title: str
    url: str | None
    metadata: Mapping[str, Any]
    access: frozenset[str]


@dataclass(frozen=True, slots=True)
class StoredPassage:
    """A passage with the header of its document."""

    passage: Passage
    document: DocumentHeader


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A whole document as stored."""

    header: DocumentHeader
    text: str
    sections: tuple[Section, ...]

    @property
    def recomputed_version(self) -> str:
        """The version of what was read, which is `header.version` unless the file is damaged."""
        return document_version(self.text, self.header.title, self.header.url, self.header.metadata)


class PassageWriter:
    """Writes the file of a snapshot under construction, in row order: documents by id, passages by start."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path)
        self._connection.execute("PRAGMA journal_mode = OFF")  # a failed build is thrown away whole
        self._connection.execute("PRAGMA synchronous = OFF")  # the file layer syncs it before publishing
        self._connection.executescript(_SCHEMA)
        self._documents = 0
        self._passages = 0

    def add(self, document: Document, version: str, origin: Origin, spans: Sequence[Span], ids: Sequence[str]) -> None:
        """Append one document and its passages; documents must come in ascending order of id."""
        row = self._documents
        execute = self._connection.execute
        execute(
            "INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                row,
                document.id,
                version,
                document.title,
                document.url,
                json.dumps(dict(document.metadata), ensure_ascii=False),
                json.dumps(sorted(document.access), ensure_ascii=False),
                json.dumps([[s.start, s.level, s.title] for s in document.sections], ensure_ascii=False),
                origin.source,
                origin.file,
                origin.input,
                self._passages,
                len(spans),
            ),
        )
        text = document.text
        self._connection.executemany(
            "INSERT INTO texts VALUES (?, ?, ?)",
            ((row, at, text[at : at + _TEXT_PIECE_CHARS]) for at in range(0, len(text), _TEXT_PIECE_CHARS)),
        )
        self._connection.executemany(
            "INSERT INTO passages VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    self._passages + number,
                    passage_id,
                    row,
                    span.start,
                    span.end,
                    json.dumps(span.section, ensure_ascii=False),
                    span.page,
                    span.embedded_hash,
                )
                for number, (span, passage_id) in enumerate(zip(spans, ids, strict=True))
            ),
        )
        self._connection.executemany("INSERT INTO fields VALUES (?, ?, ?, ?)", field_rows(row, document.metadata))
        self._connection.executemany(
            "INSERT INTO principals VALUES (?, ?)", ((row, name) for name in sorted(document.access))
        )
        self._documents += 1
        self._passages += len(spans)

    @property
    def counts(self) -> tuple[int, int]:
        """Documents and passages written."""
        return self._documents, self._passages

    def finish(self) -> None:
        """Build the indexes and close the file."""
        self._connection.executescript(_INDEXES)
        self._connection.commit()
        self._connection.close()


def field_rows(document_row: int, metadata: Mapping[str, Any]) -> Iterator[tuple[int, str, str, Any]]:
    """What filters look at: (document row, field, kind, value); kind p marks that the field exists at all.

    Kinds: s string, n number, b boolean, z null. Objects are entered by dotted names; a literal dotted key wins. The
    same fields, to the letter, as `filters.values_of` finds.
    """
    for name, value in metadata.items():
        yield from _one_field(document_row, name, value)
        if isinstance(value, Mapping) and "." not in name:
            yield from _inner_fields(document_row, name, value, metadata)


def _inner_fields(
    document_row: int, prefix: str, value: Mapping[str, Any], metadata: Mapping[str, Any]
) -> Iterator[tuple[int, str, str, Any]]:
    for key, part in value.items():
        if "." in key:  # no dotted name reaches it: the dot always steps into an object
            continue
        name = f"{prefix}.{key}"
        if name not in metadata:
            yield from _one_field(document_row, name, part)
        if isinstance(part, Mapping):
            yield from _inner_fields(document_row, name, part, metadata)


def _one_field(document_row: int, name: str, value: Any) -> Iterator[tuple[int, str, str, Any]]:
    yield document_row, name, "p", None
    for item in value if isinstance(value, list | tuple) else [value]:
        if item is None:
            yield document_row, name, "z", None
        elif isinstance(item, bool):
            yield document_row, name, "b", int(item)
        elif isinstance(item, int | float):
            yield document_row, name, "n", item
        elif isinstance(item, str):
            yield document_row, name, "s", item


class PassageReader:
    """Reads the file of a published snapshot. Safe from several threads: each gets a connection of its own.

    Args:
        path: `passages.sqlite`; opened read-only and immutable, so a read-only mount works and nothing is locked.
    """

    def __init__(self, path: Path) -> None:
        self._uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
        self._path = path
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._guard = threading.Lock()
        self._id_of: dict[int, str] = {}
        self._row_of: dict[str, int] = {}
        try:
            self.counts = self.connection.execute(
                # Rows are numbered from 0 without gaps: the last one tells, where counting would read every row.
                "SELECT ifnull((SELECT max(row) + 1 FROM documents), 0), ifnull((SELECT max(row) + 1 FROM passages), 0)"
            ).fetchone()
        except sqlite3.Error as error:
            raise StoreCorrupt(str(path), "a passage database", str(error)) from error

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's connection."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self._uri, uri=True, check_same_thread=False)
            self._local.connection = connection
            with self._guard:
                self._open.append(connection)
        return connection

    def close(self) -> None:
        """Close every thread's connection."""
        with self._guard:
            for connection in self._open:
                connection.close()
            self._open.clear()

    def ids_of_rows(self, rows: Sequence[int]) -> list[str]:
        """Passage ids of rows, in the order given."""
        known = self._id_of
        found = {row: known[row] for row in rows if row in known}
        if len(found) < len(rows):
            read = dict(
                self._in("SELECT row, id FROM passages WHERE row IN", [row for row in rows if row not in found])
            )
            self._remember(read)
            found |= read
        return [found[row] for row in rows]

    def _remember(self, ids: Mapping[int, str]) -> None:
        """Ids by row, for the questions that find the same passages; the file never changes."""
        if len(self._id_of) + len(ids) > IDS_KEPT:
            self._id_of, self._row_of = {}, {}  # others may be reading the old ones
        self._id_of.update(ids)
        self._row_of.update({key: row for row, key in ids.items()})

    def sample(self, size: int, seed: int) -> list[StoredPassage]:
        """Passages drawn at random, the same ones for the same seed and file; all where there are not so many."""
        ids = self.ids_of_rows(self._drawn(size, seed))
        found = self.passages(ids)
        return [found[key] for key in ids]

    def sample_hashes(self, size: int, seed: int) -> list[bytes]:
        """Hashes of the embedded texts of passages drawn as `sample` draws them."""
        return [key for (key,) in self._in("SELECT embedded_hash FROM passages WHERE row IN", self._drawn(size, seed))]

    def _drawn(self, size: int, seed: int) -> list[int]:
        rows = self.counts[1]
        return random.Random(seed).sample(range(rows), min(size, rows))  # noqa: S311  # a sample, not a secret

    def principals(self) -> list[str]:
        """Everyone that some document's access list names."""
        found = self.connection.execute("SELECT DISTINCT principal FROM principals ORDER BY principal")
        return [name for (name,) in found]

    def rows_of_ids(self, ids: Sequence[str]) -> dict[str, int]:
        """Rows of the passage ids that exist."""
        known = self._row_of
        found = {key: known[key] for key in ids if key in known}
        if len(found) < len(ids):
            found |= dict(
                self._in("SELECT id, row FROM passages WHERE id IN", [key for key in ids if key not in found])
            )
        return found

    def passages(self, ids: Sequence[str]) -> dict[str, StoredPassage]:
        """The passages that exist among `ids`, with their documents' headers and text."""
        found: dict[str, tuple[int, int, int, str, int | None]] = {}
        pieces: dict[str, list[tuple[int, str]]] = {}
        for passage_id, document_row, start, end, section, page, at, piece in self._in(_PASSAGES_WITH_TEXT, ids):
            found[passage_id] = (document_row, start, end, section, page)
            if piece is not None:
                pieces.setdefault(passage_id, []).append((at, piece))
        headers = self._headers({one[0] for one in found.values()})
        result = {}
        for passage_id, (document_row, start, end, section, page) in found.items():
            header = headers[document_row]
            first = start - start % _TEXT_PIECE_CHARS
            text = "".join(piece for _, piece in sorted(pieces.get(passage_id, ())))[start - first : end - first]
            passage = Passage(passage_id, header.id, start, end, text, tuple(json.loads(section)), page)
            result[passage_id] = StoredPassage(passage, header)
        return result

    def document(self, *, id: str | None = None, version: str | None = None) -> Iterator[StoredDocument]:  # noqa: A002
        """Documents with this id and version (either may be left out; equal documents may share a version)."""
        clauses = [("id = ?", id), ("version = ?", version)]
        given = [(clause, value) for clause, value in clauses if value is not None]
        where = " AND ".join(clause for clause, _ in given) or "1"
        rows = self.connection.execute(
            f"SELECT row, sections FROM documents WHERE {where} ORDER BY row",  # noqa: S608  # fixed clauses
            [value for _, value in given],
        ).fetchall()
        for row, sections in rows:
            text = "".join(
                piece
                for (piece,) in self.connection.execute(
                    "SELECT text FROM texts WHERE document_row = ? ORDER BY start", (row,)
                )
            )
            yield StoredDocument(
                self._headers({row})[row], text, tuple(Section(*entry) for entry in json.loads(sections))
            )

    def documents_of_file(self, source: str, file: str) -> Iterator[tuple[StoredDocument, Origin, list[Span]]]:
        """Everything one input file became, in the order of ids, for carrying it over unread."""
        rows = self.connection.execute(
            "SELECT id, input, first_passage, passage_count FROM documents WHERE source = ? AND file = ? ORDER BY row",
            (source, file),
        ).fetchall()
        for document_id, name, first, count in rows:
            (stored,) = self.document(id=document_id)
            yield stored, Origin(source, file, name), self._spans(first, count)

    def spans(self, document_id: str, version: str) -> tuple[tuple[Section, ...], list[Span]] | None:
        """The sections and passages of a document, if it is here in this version."""
        found = self.connection.execute(
            "SELECT sections, first_passage, passage_count FROM documents WHERE id = ? AND version = ?",
            (document_id, version),
        ).fetchone()
        if found is None:
            return None
        sections, first, count = found
        return tuple(Section(*entry) for entry in json.loads(sections)), self._spans(first, count)

    def passage_ids(self, document_id: str) -> list[str]:
        """Ids of a document's passages, in order of their start; none where there is no such document."""
        found = self.connection.execute(
            "SELECT first_passage, passage_count FROM documents WHERE id = ?", (document_id,)
        ).fetchone()
        return [] if found is None else self.ids_of_rows(list(range(found[0], found[0] + found[1])))

    def document_ids(self) -> Iterator[tuple[str, str]]:
        """(id, version) of every document, by id."""
        yield from self.connection.execute("SELECT id, version FROM documents ORDER BY row")

    def ids_of_version(self, version: str) -> list[str]:
        """The ids of the documents with this version: the same document under other names, or copies."""
        found = self.connection.execute("SELECT id FROM documents WHERE version = ? ORDER BY row", (version,))
        return [document_id for (document_id,) in found]

    def files(self) -> set[tuple[str, str]]:
        """(source, file) of every file that brought a document."""
        return set(self.connection.execute("SELECT DISTINCT source, file FROM documents"))

    def known_hashes(self, hashes: Sequence[bytes]) -> set[bytes]:
        """Those of these hashes of embedded texts that some passage here has."""
        query = "SELECT DISTINCT embedded_hash FROM passages WHERE embedded_hash IN"
        return {key for (key,) in self._in(query, hashes)}

    def first_passages(self) -> list[int]:
        """For each document row the row of its first passage, and at the end the number of passages."""
        ordered = "SELECT first_passage FROM documents ORDER BY first_passage, row"  # read off an index, not the table
        starts = [start for (start,) in self.connection.execute(ordered)]
        return [*starts, self.counts[1]]

    def rows_of_hashes(self, hashes: Sequence[bytes]) -> dict[bytes, int]:
        """For each hash of an embedded text that is here some row with it."""
        query = "SELECT embedded_hash, row FROM passages WHERE embedded_hash IN"
        return dict(self._in(query, list(hashes)))

    def _spans(self, first: int, count: int) -> list[Span]:
        return [
            Span(start, end, tuple(json.loads(section)), embedded_hash, page)
            for start, end, section, embedded_hash, page in self.connection.execute(
                'SELECT start, "end", section, embedded_hash, page FROM passages WHERE row >= ? AND row < ? '
                "ORDER BY row",
                (first, first + count),
            )
        ]

    def _headers(self, rows: Iterable[int]) -> dict[int, DocumentHeader]:
        query = "SELECT row, id, version, title, url, metadata, access FROM documents WHERE row IN"
        return {
            row: DocumentHeader(document_id, version, title, url, json.loads(metadata), frozenset(json.loads(access)))
            for row, document_id, version, title, url, metadata, access in self._in(query, list(rows))
        }

    def _in(self, query: str, values: Sequence[Any], chunk: int = 900) -> Iterator[tuple[Any, ...]]:
        for at in range(0, len(values), chunk):
            part = values[at : at + chunk]
            yield from self.connection.execute(f"{query} ({','.join('?' * len(part))})", list(part))
