"""The embedding cache: vectors by the hash of what was embedded, one SQLite file for each space. Safe to delete."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from store.embedding import Vectors


class EmbeddingCache:
    """Vectors of one embedding space on disk. What was kept survives a kill at any instant (SQLite's journal).

    Args:
        path: the file; made if absent, made anew if it cannot be read as a cache.
        dimension: length of a vector.
    """

    def __init__(self, path: Path, dimension: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._dimension = dimension
        try:
            self._connection = self._open(path)
        except sqlite3.DatabaseError:
            path.unlink(missing_ok=True)
            self._connection = self._open(path)

    @staticmethod
    def _open(path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS embeddings (hash BLOB PRIMARY KEY, vector BLOB NOT NULL, crc INTEGER NOT NULL)"
        )
        connection.commit()
        return connection

    def get(self, hashes: Sequence[bytes]) -> dict[bytes, Vectors]:
        """The vectors that are there, each float32 of shape (dimension,); a damaged one counts as absent."""
        found: dict[bytes, Vectors] = {}
        for at in range(0, len(hashes), 900):
            part = hashes[at : at + 900]
            marks = ",".join("?" * len(part))
            query = f"SELECT hash, vector, crc FROM embeddings WHERE hash IN ({marks})"  # noqa: S608  # only marks
            for key, data, crc in self._connection.execute(query, part):
                if zlib.crc32(key + data) == crc and len(data) == 4 * self._dimension:
                    found[key] = np.frombuffer(data, "<f4")
        return found

    def missing(self, hashes: Sequence[bytes]) -> int:
        """How many of these have no vector here."""
        there = 0
        for at in range(0, len(hashes), 900):
            part = hashes[at : at + 900]
            marks = ",".join("?" * len(part))
            query = f"SELECT count(*) FROM embeddings WHERE hash IN ({marks})"  # noqa: S608  # only marks
            there += self._connection.execute(query, part).fetchone()[0]
        return len(hashes) - there

    def put(self, hashes: Sequence[bytes], vectors: Vectors) -> None:
        """Keep vectors, float32 of shape (len(hashes), dimension), durably."""
        rows = []
        for key, vector in zip(hashes, vectors, strict=True):
            data = np.asarray(vector, "<f4").tobytes()
            rows.append((key, data, zlib.crc32(key + data)))
        with self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?)", rows)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
