"""Opening, replacing and withdrawing snapshots while requests hold them."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import threading
import time
from types import SimpleNamespace

import pytest

import store.local
from service.settings import ServiceSettings
from service.wiring import Service
from store.embedding import HashEmbedder
from store.errors import IndexMissing, LegUnavailable, StoreCorrupt
from store.index import IndexDirectory
from store.local import read_manifest


@pytest.fixture
def two_generations(tmp_path, make_index, jsonl):
    for text in ("Otters sleep.", "Otters wake."):
        make_index(tmp_path / "index", jsonl(tmp_path / "d.jsonl", [{"id": "d", "text": text}]))
    return tmp_path / "index"


@pytest.fixture
def wired(two_generations):
    service = Service(ServiceSettings(index=two_generations))
    yield service
    service.close()


def wait_until(holds, seconds=10.0):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.005)


def test_without_an_index_there_is_nothing_to_lease_and_the_reason_is_kept(tmp_path):
    service = Service(ServiceSettings(index=tmp_path / "none"))

    with pytest.raises(IndexMissing):
        service.reload()
    with pytest.raises(IndexMissing), service.holder.lease():
        pass

    assert "footnote index" in (service.last_error or "")
    service.close()


def test_reload_does_nothing_while_current_is_the_same(wired):
    assert wired.reload() is True
    assert wired.reload() is False


def test_a_lease_keeps_its_snapshot_open_through_a_swap_and_the_last_one_closes_it(wired, monkeypatch):
    closed = []
    close = store.local.LocalSnapshot.close
    monkeypatch.setattr(store.local.LocalSnapshot, "close", lambda self: (closed.append(self.folder.name), close(self)))
    wired.reload()
    directory = IndexDirectory(wired.settings.index)
    with wired.holder.lease() as engine:
        before = engine.snapshot.facts
        directory.rollback(1)
        closed.clear()
        assert wired.reload()
        assert closed == []
        assert engine.snapshot.reader.counts == (1, 1)
    wait_until(lambda: closed == [before.name])
    assert wired.holder.generation == 1


def test_a_damaged_new_snapshot_leaves_the_old_one_serving(wired, make_index, jsonl, tmp_path):
    wired.reload()
    make_index(tmp_path / "index", jsonl(tmp_path / "d.jsonl", [{"id": "d", "text": "Otters swim."}]))
    newest = IndexDirectory(wired.settings.index).published()[-1]
    (newest / "vectors.f32").write_bytes(b"")

    with pytest.raises(StoreCorrupt, match=r"vectors\.f32"):
        wired.reload()

    assert wired.holder.generation == 2
    assert "vectors.f32" in (wired.last_error or "")


def test_what_a_large_index_took_on_trust_is_hashed_afterwards_and_damage_withdraws_it(wired, monkeypatch):
    """The kept snapshot before it is served instead, and hashed in full first."""
    monkeypatch.setattr(store.local, "HASH_ALL_BYTES_MAX", 0)
    newest = IndexDirectory(wired.settings.index).published()[-1]
    ledger = newest / "ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes()[:-1] + b" ")

    assert wired.reload()

    wait_until(lambda: wired.holder.generation == 1)
    assert re.search(r"serving generation 1: generation 2 is damaged: .*ledger.jsonl is damaged", wired.degraded)
    assert wired.reload() is False  # nothing new to open
    assert wired.degraded


def test_the_open_encoder_serves_another_snapshot_only_if_that_one_admits_it_too(wired, monkeypatch):
    opened = []
    monkeypatch.setattr(
        "service.wiring.open_query_encoder", lambda _, manifest, **__: opened.append(manifest) or HashEmbedder(64)
    )
    manifest = read_manifest(IndexDirectory(wired.settings.index).published()[0])
    (entry,) = manifest.query_encoders
    other = manifest.model_copy(update={"query_encoders": [entry.model_copy(update={"parity_texts": 9})]})
    for one in (manifest, manifest.model_copy(update={"generation": 2}), other, other, manifest):
        wired._encoder_for(SimpleNamespace(manifest=one))
    assert opened == [manifest, other, manifest]


def test_a_snapshot_is_released_only_when_work_that_was_abandoned_has_ended(wired, monkeypatch):
    """A stage that overran leaves its thread behind; closing SQLite under it would take the process down."""
    wired.reload()
    begun, go_on = threading.Event(), threading.Event()
    with wired.holder.lease() as engine:
        snapshot = engine.snapshot
        real = snapshot.reader.passages

        def slow(ids):
            begun.set()
            go_on.wait(10)
            return real(ids)

        monkeypatch.setattr(snapshot.reader, "passages", slow)

        async def overrun():
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await snapshot.passages(["x"], frozenset())

        asyncio.run(overrun())
        assert begun.is_set()
    connection = snapshot.reader.connection
    snapshot.close()
    connection.execute("SELECT 1")
    with pytest.raises(LegUnavailable):
        asyncio.run(snapshot.passages(["x"], frozenset()))
    go_on.set()
    wait_until(lambda: not snapshot._running)
    with pytest.raises(sqlite3.ProgrammingError):
        connection.execute("SELECT 1")
