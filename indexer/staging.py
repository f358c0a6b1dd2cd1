"""Staging: loaded documents on disk, so that they can be taken in row order whatever order they came in."""

from __future__ import annotations

import hashlib
import itertools
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from indexer.gave_way import GaveWay
from store.detection import detect
from store.document import Document, Section
from store.files import sha256_file
from store.ledger import LedgerEntry, LedgerFile, ledger_line
from store.passages import Origin, Span

_SCHEMA = """
CREATE TABLE documents (
    id TEXT PRIMARY KEY, version TEXT, title TEXT, url TEXT, metadata TEXT, access TEXT, sections TEXT, text TEXT,
    source TEXT, file TEXT, input TEXT, spans TEXT, line INTEGER, language TEXT) WITHOUT ROWID;
CREATE TABLE ledger (source TEXT, file TEXT, rank INTEGER, line TEXT);
CREATE TABLE gave_way (number INTEGER PRIMARY KEY, source TEXT, file TEXT, id TEXT, line TEXT);
"""


@dataclass(frozen=True, slots=True)
class StagedDocument:
    """A document with its version, where it came from, its passages, which line of its file it was (from 0; only kept
    where its vector was given by line), and its language as `detect` found it.
    """

    document: Document
    version: str
    origin: Origin
    spans: list[Span]
    line: int | None = None
    language: str | None = None


class Staging:
    """A scratch database beside the build; whoever made the build folder removes it.

    Args:
        path: the file to make.
        detects: whether the language of each document is detected.
    """

    def __init__(self, path: Path, *, detects: bool = False) -> None:
        self._path = path
        self._detects = detects
        self._connection = sqlite3.connect(path)
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.executescript(_SCHEMA)
        self.documents = 0
        self.passages = 0

    def add(
        self, document: Document, version: str, origin: Origin, spans: Sequence[Span], line: int | None = None
    ) -> Literal["added", "duplicate", "collision"]:
        """Keep a document; one whose id came before is a duplicate if it is the same, else a collision, and is noted as
        one that gave way.
        """
        access = _json(sorted(document.access))
        sections = _json([[s.start, s.level, s.title] for s in document.sections])
        known = self._connection.execute(
            "SELECT version, access, sections FROM documents WHERE id = ?", (document.id,)
        ).fetchone()
        if known is not None:
            equal = known == (version, access, sections)
            left_out = GaveWay(origin, document.id, version, None if equal else document)
            self._connection.execute(
                "INSERT INTO gave_way (source, file, id, line) VALUES (?, ?, ?, ?)",
                (origin.source, origin.file, document.id, left_out.to_line()),
            )
            return "duplicate" if known[:2] == (version, access) else "collision"
        self._connection.execute(
            "INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                document.id,
                version,
                document.title,
                document.url,
                _json(dict(document.metadata)),
                access,
                sections,
                document.text,
                origin.source,
                origin.file,
                origin.input,
                json.dumps([[s.start, s.end, s.section, s.embedded_hash.hex(), s.page] for s in spans]),
                line,
                detect(document.title, document.text) if self._detects else None,
            ),
        )
        self.documents += 1
        self.passages += len(spans)
        return "added"

    def commit(self) -> None:
        """All that will be staged has been: it can be read now."""
        self._connection.commit()

    def languages(self) -> dict[str | None, int]:
        """How many documents have each detected language; None for those where it stayed open."""
        return dict(self._connection.execute("SELECT language, count(*) FROM documents GROUP BY language"))

    def in_row_order(self) -> Iterator[StagedDocument]:
        """All documents that were committed, by id. Each call reads for itself, in whatever thread."""
        with closing(sqlite3.connect(self._path)) as connection:
            yield from self._read(connection)

    def _read(self, connection: sqlite3.Connection) -> Iterator[StagedDocument]:
        for record in connection.execute("SELECT * FROM documents ORDER BY id"):
            document_id, version, title, url, metadata, access, sections, text, source, file, name, spans, *rest = (
                record
            )
            yield StagedDocument(
                Document(
                    id=document_id,
                    text=text,
                    title=title,
                    url=url,
                    metadata=json.loads(metadata),
                    access=frozenset() if access == "[]" else frozenset(json.loads(access)),
                    sections=() if sections == "[]" else tuple(Section(*entry) for entry in json.loads(sections)),
                ),
                version,
                Origin(source, file, name),
                [
                    Span(start, end, tuple(path), bytes.fromhex(key), page)
                    for start, end, path, key, page in json.loads(spans)
                ],
                *rest,
            )

    def note(self, line: LedgerFile | LedgerEntry) -> None:
        """Keep a ledger line."""
        rank = 0 if isinstance(line, LedgerFile) else 1
        self._connection.execute(
            "INSERT INTO ledger VALUES (?, ?, ?, ?)", (line.source, line.file, rank, ledger_line(line))
        )

    def write_ledger(self, path: Path) -> None:
        """Write all ledger lines by source and file, each file before its inputs, however the run went about it."""
        with path.open("w", encoding="utf-8") as stream:
            for (line,) in self._connection.execute("SELECT line FROM ledger ORDER BY source, file, rank, line"):
                stream.write(line + "\n")

    def write_gave_way(self, path: Path) -> None:
        """Write the documents that gave way by source, file and id, those of one id as they came; no file where there
        are none.
        """
        lines = self._connection.execute("SELECT line FROM gave_way ORDER BY source, file, id, number")
        first = next(lines, None)
        if first is not None:
            with path.open("w", encoding="utf-8") as stream:
                for (line,) in itertools.chain([first], lines):
                    stream.write(line + "\n")

    def content_sha256(self, ledger: Path) -> str:
        """sha256 over every document's id, version, access and spans, and the ledger: equal content, equal value."""
        digest = hashlib.sha256(sha256_file(ledger).encode())
        for row in self._connection.execute("SELECT id, version, access, sections, spans FROM documents ORDER BY id"):
            digest.update(json.dumps(row, ensure_ascii=False).encode())
        return digest.hexdigest()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _json(value: list[Any] | dict[str, Any]) -> str:
    """Its JSON; most documents' lists and objects are empty."""
    return json.dumps(value, ensure_ascii=False) if value else "{}" if isinstance(value, dict) else "[]"
