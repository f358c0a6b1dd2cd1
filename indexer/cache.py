"""The embedding cache: vectors by the hash of what was embedded, one SQLite file for each space. Safe to delete."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from store.cached import checksum
from store.embedding import Vectors
from store.files import Disk

T = TypeVar("T")
_DAMAGE = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_SCHEMA,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_ERROR,  # a column or table that damage took away
    sqlite3.SQLITE_READONLY,  # a header that says so; on a read-only disk making it anew says what is the matter
}
_NEXT_HASHES = "SELECT hash FROM embeddings WHERE hash > ? ORDER BY hash LIMIT 10000"


class EmbeddingCache:
    """Vectors of one embedding space on disk. What was kept survives a kill at any instant (SQLite's journal).

    A file that turns out to be damaged, at once or on the way, is made anew: it held nothing that cannot be had again.

    Args:
        path: the file; made if absent.
        dimension: length of a vector.
        disk: what removes a damaged file.
    """

    def __init__(self, path: Path, dimension: int, disk: Disk | None = None) -> None:
        self._disk = disk or Disk()
        self._disk.make_folder(path.parent)
        self._path = path
        self._dimension = dimension
        self._connection: sqlite3.Connection | None = None
        self._whole(lambda connection: connection.execute("SELECT 1 FROM embeddings LIMIT 1").fetchall())

    def get(self, hashes: Sequence[bytes]) -> dict[bytes, Vectors]:
        """The vectors that are there, each float32 of shape (dimension,); a damaged one counts as absent."""
        found: dict[bytes, Vectors] = {}
        for at in range(0, len(hashes), 900):
            part = hashes[at : at + 900]
            marks = ",".join("?" * len(part))
            query = f"SELECT hash, vector, crc FROM embeddings WHERE hash IN ({marks})"  # noqa: S608  # only marks
            for key, data, crc in self._rows(query, part):
                if not isinstance(data, bytes) or len(data) != 4 * self._dimension:
                    continue
                if checksum(key, data) == crc:
                    found[key] = np.frombuffer(data, "<f4")
        return found

    def missing(self, hashes: Sequence[bytes]) -> int:
        """How many of these have no vector here."""
        there = 0
        for at in range(0, len(hashes), 900):
            part = hashes[at : at + 900]
            marks = ",".join("?" * len(part))
            query = f"SELECT count(*) FROM embeddings WHERE hash IN ({marks})"  # noqa: S608  # only marks
            there += self._rows(query, part)[0][0]
        return len(hashes) - there

    def put(self, hashes: Sequence[bytes], vectors: Vectors) -> None:
        """Keep vectors, float32 of shape (len(hashes), dimension), durably."""
        rows = []
        for key, vector in zip(hashes, vectors, strict=True):
            data = np.asarray(vector, "<f4").tobytes()
            rows.append((key, data, checksum(key, data)))

        def write(connection: sqlite3.Connection) -> None:
            with connection:
                connection.executemany("INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?)", rows)

        self._whole(write)

    def keep_only(self, known: Callable[[Sequence[bytes]], set[bytes]]) -> int:
        """Erase every entry whose hash `known` does not return, free pages included; returns how many there were."""
        removed, last = 0, b""
        while hashes := [key for (key,) in self._rows(_NEXT_HASHES, [last])]:
            last = hashes[-1]
            there = known(hashes)
            gone = [(key,) for key in hashes if key not in there]
            removed += len(gone)

            def erase(connection: sqlite3.Connection, gone: list[tuple[bytes]] = gone) -> None:
                with connection:
                    connection.executemany("DELETE FROM embeddings WHERE hash = ?", gone)

            self._whole(erase)
        self._whole(lambda connection: connection.execute("VACUUM"))
        return removed

    def close(self) -> None:
        """Close the file; calling it twice is harmless."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _rows(self, query: str, values: Sequence[bytes]) -> list[tuple[Any, ...]]:
        return self._whole(lambda connection: connection.execute(query, values).fetchall())

    def _whole(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something with the file, once more with a new file where this one is damaged."""
        try:
            return work(self._opened())
        except sqlite3.DatabaseError as error:
            # Without a code it is Python that cannot read what SQLite found.
            if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF not in _DAMAGE:  # a full disk, say
                raise
        except UnicodeDecodeError:  # SQLite's words about a damaged schema
            pass
        self.close()
        self._disk.unlink(self._path)
        self._disk.unlink(self._path.with_name(f"{self._path.name}-journal"))
        return work(self._opened())

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = sqlite3.connect(self._path)
            self._connection.execute("PRAGMA journal_mode = DELETE")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute("PRAGMA secure_delete = ON")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS embeddings "
                "(hash BLOB PRIMARY KEY, vector BLOB NOT NULL, crc INTEGER NOT NULL)"
            )
            self._connection.commit()
        return self._connection
