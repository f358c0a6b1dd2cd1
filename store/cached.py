"""What the embedding cache's files must hold, for whoever writes them and for whoever verifies an index."""

from __future__ import annotations

import os
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

from store.errors import StoreCorrupt
from store.files import open_regular

_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR}
_FIX = "Remove it: what it held is embedded again when it is needed."


def checksum(key: bytes, vector: bytes) -> int:
    """What stands beside a cached vector: crc32 of the hash of the embedded text and the vector's bytes."""
    return zlib.crc32(key + vector)


def check_cache(path: Path) -> None:
    """Check SQLite's own structure and every vector's checksum, reading only. Raises StoreCorrupt.

    Where a writer is at work, or was stopped and its transaction waits to be undone, that is no damage.
    """
    try:
        os.close(open_regular(path))
    except OSError as error:
        raise StoreCorrupt(str(path), "a readable file", error.strerror, fix=_FIX) from error
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=1)) as connection:
            (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if said != "ok":
                raise StoreCorrupt(str(path), "a whole database", said, fix=_FIX)
            for key, vector, found in connection.execute("SELECT hash, vector, crc FROM embeddings"):
                if not isinstance(key, bytes) or not isinstance(vector, bytes) or checksum(key, vector) != found:
                    raise StoreCorrupt(str(path), "a checksum beside every vector", f"another, {found!r}", fix=_FIX)
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF in _DAMAGE:
            raise StoreCorrupt(str(path), "a whole database", str(error), fix=_FIX) from error
