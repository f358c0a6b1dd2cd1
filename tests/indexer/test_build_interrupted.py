"""A build that is stopped loses nothing: the old snapshot answers on, and the next run goes on where it was."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import indexer.rows
from store.index import IndexDirectory


@pytest.fixture
def many(tmp_path, jsonl):
    """A source of 1,200 short documents."""
    return jsonl(tmp_path / "s.jsonl", [{"id": f"d{n:05}", "text": f"document number {n}"} for n in range(1200)])


@pytest.mark.parametrize("chunks", [0, 1, 3])
def test_ctrl_c_while_embedding_keeps_the_old_snapshot_and_what_was_embedded(
    chunks, tmp_path, many, make_index, contents, embedded, jsonl
):
    index = tmp_path / "index"
    make_index(index, jsonl(tmp_path / "old" / "s.jsonl", [{"id": "old", "text": "the old text"}]))
    before = contents(index)
    embedded.texts.clear()
    embedded.stop_after = embedded.calls + chunks
    with pytest.raises(KeyboardInterrupt):
        make_index(index, many)
    assert contents(index) == before
    assert len(embedded.texts) == chunks * 256
    assert not list((index / "snapshots").glob(".build-*"))
    embedded.stop_after = None
    report = make_index(index, many)
    assert report.embedded == 1200 - chunks * 256
    assert len(embedded.texts) == len(set(embedded.texts)) == 1200
    make_index(tmp_path / "full", many)
    assert contents(index).comparable == contents(tmp_path / "full").comparable


@pytest.mark.parametrize("window", [1, 100, 5000])
def test_windows_of_any_size_give_the_same_index(window, tmp_path, jsonl, make_index, contents, monkeypatch):
    many = jsonl(tmp_path / "s.jsonl", [{"id": f"d{n:05}", "text": f"document number {n}"} for n in range(150)])
    make_index(tmp_path / "usual", many)
    monkeypatch.setattr(indexer.rows, "WINDOW_PASSAGES", window)
    make_index(tmp_path / "other", many)
    assert contents(tmp_path / "usual").comparable == contents(tmp_path / "other").comparable


def cache_file(index):
    (path,) = (index / "cache").glob("embeddings-*.sqlite")
    return path


class TestCache:
    @pytest.fixture
    def built(self, tmp_path, make_index, jsonl, embedded):
        source = jsonl(tmp_path / "s.jsonl", [{"id": f"d{n}", "text": f"document number {n}"} for n in range(20)])
        make_index(tmp_path / "index", source)
        jsonl(source, [{"id": f"d{n}", "text": f"document number {n}"} for n in range(25)])
        embedded.texts.clear()
        return tmp_path / "index", source

    def check(self, built, make_index, contents, tmp_path):
        index, source = built
        report = make_index(index, source)
        make_index(tmp_path / "full", source)
        assert contents(index).comparable == contents(tmp_path / "full").comparable
        return report

    def test_a_deleted_cache_costs_only_new_texts_since_the_snapshot_has_the_others(
        self, built, make_index, contents, tmp_path
    ):
        cache_file(built[0]).unlink()
        assert self.check(built, make_index, contents, tmp_path).embedded == 5

    @pytest.mark.parametrize("damage", [b"", b"not a database" * 100])
    def test_a_cache_that_is_none_is_made_anew(self, built, make_index, contents, tmp_path, damage):
        cache_file(built[0]).write_bytes(damage)
        assert self.check(built, make_index, contents, tmp_path).embedded == 5

    @pytest.mark.parametrize("seed", range(6))
    def test_a_cache_with_damaged_pages_never_gives_a_wrong_vector(self, built, make_index, contents, tmp_path, seed):
        path, dice = cache_file(built[0]), random.Random(seed)
        data = bytearray(path.read_bytes())
        for _ in range(40):
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        path.write_bytes(data)
        self.check(built, make_index, contents, tmp_path)

    def test_a_damaged_vector_counts_as_absent(self, built, make_index, contents, tmp_path):
        connection = sqlite3.connect(cache_file(built[0]))
        with connection:
            connection.execute("UPDATE embeddings SET vector = zeroblob(256)")
        connection.close()
        self.check(built, make_index, contents, tmp_path)


BUILD = """
import sys, time
from pathlib import Path
from indexer.build import Request, build
from indexer.progress import Silent
from indexer.settings import IndexerSettings
from store.embedding import HashEmbedder
from store.index import IndexDirectory

real = HashEmbedder.encode_queries
def slowly(self, texts):
    time.sleep(0.02)
    return real(self, texts)
HashEmbedder.encode_documents = slowly
print("started", flush=True)
build(IndexDirectory(Path(sys.argv[1])), Request([sys.argv[2]]), IndexerSettings(embedding_model="hash:64"), Silent())
"""


def whole_ids(index) -> list[str]:
    with ThreadPoolExecutor(1) as executor:
        snapshot = IndexDirectory(index).open(executor, full=True)
        try:
            return [key for key, _ in snapshot.reader.document_ids()]
        finally:
            snapshot.close()


@pytest.mark.parametrize("seed", range(5))
def test_a_kill_at_a_random_moment_leaves_a_whole_snapshot_and_the_next_run_succeeds(
    seed, tmp_path, many, make_index, jsonl
):
    index = tmp_path / "index"
    make_index(index, jsonl(tmp_path / "old" / "s.jsonl", [{"id": "old", "text": "the old text"}]))
    new = [f"d{n:05}" for n in range(1200)]
    child = subprocess.Popen([sys.executable, "-c", BUILD, str(index), str(many)], stdout=subprocess.PIPE)
    try:
        child.stdout.readline()
        until = time.monotonic() + random.Random(seed).uniform(0.0, 0.7)
        while time.monotonic() < until:
            assert whole_ids(index) in (["old"], new)
        child.send_signal(signal.SIGKILL)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    assert whole_ids(index) in (["old"], new)
    make_index(index, many)
    assert whole_ids(index) == new
    assert not [path for path in (index / "snapshots").iterdir() if path.name.startswith(".")]
