"""What tests of the build share: what an index holds, and an embedder that counts."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from store.embedding import HashEmbedder
from store.index import IndexDirectory
from store.ledger import LedgerEntry, LedgerFile, read_ledger


@dataclass
class Contents:
    """All that the current snapshot of an index holds, for comparing."""

    documents: list[Any]
    passages: list[Any]
    vectors: bytes
    ledger: list[LedgerEntry | LedgerFile]
    manifest: dict[str, Any]

    @property
    def ids(self) -> list[str]:
        return [document.header.id for document in self.documents]

    def entries(self, *outcomes: str) -> list[LedgerEntry]:
        return [
            line for line in self.ledger if isinstance(line, LedgerEntry) and (not outcomes or line.outcome in outcomes)
        ]

    @property
    def comparable(self) -> tuple[Any, ...]:
        """All but what two builds of the same content may differ in."""
        manifest = {
            key: value
            for key, value in self.manifest.items()
            if key not in ("generation", "parent", "created_at", "files")
        }
        return self.documents, self.passages, self.vectors, self.ledger, manifest


def contents_of(path: Path) -> Contents:
    index = IndexDirectory(path)
    with ThreadPoolExecutor(1) as executor:
        snapshot = index.open(executor, full=True)
        try:
            reader = snapshot.reader
            rows = reader.connection.execute("SELECT * FROM passages ORDER BY row").fetchall()
            ids = [row[1] for row in rows]
            stored = reader.passages(ids)
            return Contents(
                documents=[one for key, _ in reader.document_ids() for one in reader.document(id=key)],
                passages=[(row, stored[row[1]]) for row in rows],
                vectors=(snapshot.folder / "vectors.f32").read_bytes(),
                ledger=list(read_ledger(snapshot.folder / "ledger.jsonl")),
                manifest=json.loads((snapshot.folder / "manifest.json").read_bytes()),
            )
        finally:
            snapshot.close()


@pytest.fixture(scope="session")
def contents():
    """The function `contents_of`."""
    return contents_of


class Embedded:
    """The texts embedded so far, in order; `stop_after` raises KeyboardInterrupt once so many calls were made."""

    def __init__(self):
        self.texts: list[str] = []
        self.calls = 0
        self.stop_after: int | None = None


@pytest.fixture
def embedded(monkeypatch) -> Embedded:
    """Watches the model-free embedder."""
    watched, real = Embedded(), HashEmbedder.encode_queries

    def encode_documents(self, texts):
        if watched.stop_after is not None and watched.calls >= watched.stop_after:
            raise KeyboardInterrupt
        watched.calls += 1
        watched.texts.extend(texts)
        return real(self, texts)

    monkeypatch.setattr(HashEmbedder, "encode_documents", encode_documents)
    return watched
