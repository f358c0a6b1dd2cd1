"""The embedding cache: what it keeps, what it notices, and what a kill leaves of it."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys

import numpy as np
import pytest

from indexer.cache import EmbeddingCache


def keys(count: int) -> list[bytes]:
    return [number.to_bytes(32, "big") for number in range(count)]


def vectors(count: int) -> np.ndarray:
    return np.arange(count * 4, dtype=np.float32).reshape(count, 4)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "one.sqlite"


def test_what_was_put_is_found_again_by_another_run(path):
    cache = EmbeddingCache(path, 4)
    cache.put(keys(2000), vectors(2000))
    cache.close()
    cache = EmbeddingCache(path, 4)
    found = cache.get(keys(2001))
    assert len(found) == 2000
    assert all(np.array_equal(found[key], vector) for key, vector in zip(keys(2000), vectors(2000), strict=True))
    assert cache.missing(keys(2005)) == 5
    cache.close()
    cache.close()


def test_a_vector_put_again_replaces_the_first(path):
    cache = EmbeddingCache(path, 4)
    cache.put(keys(1), vectors(1))
    cache.put(keys(1), vectors(1) + 5)
    assert cache.get(keys(1))[keys(1)[0]].tolist() == [5, 6, 7, 8]
    cache.close()


def test_nothing_asked_nothing_found(path):
    cache = EmbeddingCache(path, 4)
    assert (cache.get([]), cache.missing([])) == ({}, 0)
    cache.put([], vectors(0))
    cache.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE embeddings SET vector = zeroblob(16)",
        "UPDATE embeddings SET vector = x'00'",
        "UPDATE embeddings SET vector = 'text'",
        "UPDATE embeddings SET crc = crc + 1",
        "UPDATE embeddings SET vector = (SELECT vector FROM embeddings ORDER BY hash DESC LIMIT 1) WHERE rowid < 3",
    ],
)
def test_a_vector_that_is_not_what_was_put_counts_as_absent(path, damage):
    cache = EmbeddingCache(path, 4)
    cache.put(keys(3), vectors(3))
    cache.close()
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(damage)
    connection.close()
    cache = EmbeddingCache(path, 4)
    for key, vector in cache.get(keys(3)).items():
        assert np.array_equal(vector, vectors(3)[keys(3).index(key)])
    assert len(cache.get(keys(3))) < 3
    cache.close()


def test_vectors_of_another_dimension_are_not_taken(path):
    cache = EmbeddingCache(path, 4)
    cache.put(keys(3), vectors(3))
    cache.close()
    cache = EmbeddingCache(path, 8)
    assert cache.get(keys(3)) == {}
    cache.close()


@pytest.mark.parametrize("damage", [b"junk" * 1000, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_file_that_is_no_cache_is_made_anew(path, damage):
    path.parent.mkdir()
    path.write_bytes(damage)
    cache = EmbeddingCache(path, 4)
    cache.put(keys(1), vectors(1))
    assert cache.missing(keys(1)) == 0
    cache.close()


def test_a_table_of_another_shape_is_made_anew(path):
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("CREATE TABLE embeddings (other TEXT)")
    connection.close()
    cache = EmbeddingCache(path, 4)
    assert cache.missing(keys(2)) == 2
    cache.put(keys(2), vectors(2))
    assert len(cache.get(keys(2))) == 2
    cache.close()


def test_a_full_disk_is_not_mistaken_for_damage(path):
    cache = EmbeddingCache(path, 4)
    cache.put(keys(1), vectors(1))
    cache._connection.execute("PRAGMA max_page_count = 4")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        cache.put(keys(5000), vectors(5000))
    assert cache.missing(keys(1)) == 0
    cache.close()


WRITER = """
import sys, numpy as np
from pathlib import Path
from indexer.cache import EmbeddingCache
cache = EmbeddingCache(Path(sys.argv[1]), 4)
for n in range(10**6):
    cache.put([n.to_bytes(32, "big")], np.full((1, 4), n, np.float32))
    print(n, flush=True)
"""


def test_what_was_kept_before_a_kill_is_there_after_it(path):
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        for _ in range(30):
            told = int(writer.stdout.readline())
        os.kill(writer.pid, signal.SIGKILL)
    finally:
        writer.kill()
        writer.wait()
        writer.stdout.close()
    cache = EmbeddingCache(path, 4)
    found = cache.get(keys(told + 1))
    assert len(found) == told + 1
    assert all(vector[0] == number for number, vector in enumerate(found[key] for key in keys(told + 1)))
    cache.close()
