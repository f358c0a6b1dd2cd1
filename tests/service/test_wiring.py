"""Opening, replacing and withdrawing snapshots while requests hold them."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import store.local
from service.settings import ServiceSettings
from service.wiring import Service, begin
from store.embedding import HashEmbedder, OnnxEncoder
from store.errors import IndexMissing, LegUnavailable, StoreCorrupt, UsageError
from store.index import IndexDirectory
from store.local import LocalSnapshot, read_manifest


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


def test_what_has_begun_and_failed_is_tried_again_and_raised_by_whoever_reloads(tmp_path, make_index, jsonl):
    service = begin(ServiceSettings(index=tmp_path / "index"))
    wait_until(lambda: service.last_error is not None)

    with pytest.raises(IndexMissing):
        service.reload()
    make_index(tmp_path / "index", jsonl(tmp_path / "d.jsonl", [{"id": "d", "text": "Otters sleep."}]))

    assert service.reload() is True
    service.close()


def test_what_is_wrong_with_the_settings_is_raised_before_anything_begins(two_generations, monkeypatch):
    monkeypatch.setattr(Service, "reload", lambda _: pytest.fail("it has begun"))
    with pytest.raises(UsageError, match="no reranker is set"):
        begin(ServiceSettings(index=two_generations, rerank=True))


def test_whoever_reloads_waits_for_what_has_begun_and_opens_nothing_twice(two_generations, monkeypatch):
    opened, go_on = [], threading.Event()
    real = IndexDirectory.open

    def slow(*arguments, **named):
        opened.append(1)
        go_on.wait(10)
        return real(*arguments, **named)

    monkeypatch.setattr(IndexDirectory, "open", slow)
    service = begin(ServiceSettings(index=two_generations))
    wait_until(lambda: opened)
    assert not service.holder.ready
    threading.Timer(0.05, go_on.set).start()

    assert service.reload() is False
    assert (service.holder.generation, opened) == (2, [1])
    service.close()


def test_an_encoder_that_cannot_be_opened_leaves_no_snapshot_open(wired, monkeypatch):
    closed = []
    real = LocalSnapshot.close
    monkeypatch.setattr(LocalSnapshot, "close", lambda one: closed.append(one) or real(one))

    def refused(*_, **__):
        raise StoreCorrupt("encoder.json", "an encoder", "none")

    monkeypatch.setattr("service.wiring.open_query_encoder", refused)
    with pytest.raises(StoreCorrupt, match=r"encoder\.json"):
        wired.reload()

    assert len(closed) == 1
    assert not wired.holder.ready


def test_of_a_snapshot_and_its_encoder_that_are_both_damaged_the_snapshot_is_named(wired, monkeypatch):
    def refused(*_, **__):
        raise StoreCorrupt("encoder.json", "an encoder", "none")

    monkeypatch.setattr("service.wiring.open_query_encoder", refused)
    (IndexDirectory(wired.settings.index).published()[-1] / "vectors.f32").write_bytes(b"")
    with pytest.raises(StoreCorrupt, match=r"vectors\.f32"):
        wired.reload()


def test_garbage_is_collected_again_once_a_service_has_settled():
    code = (
        "import gc; gc.disable()\n"
        "from service.http.server import settle; settle()\n"
        "assert gc.isenabled() and gc.get_freeze_count() > 0"
    )
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], timeout=60, check=True)


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
        wired._encoder_for(one)
    assert opened == [manifest, other, manifest]


class Onnx(OnnxEncoder):
    """As wiring sees the exported encoder: it has a precision."""

    def __init__(self, precision):
        self.precision = precision
        self._hashed = HashEmbedder(64)
        self._space = self._hashed.space

    def encode_queries(self, texts):
        return self._hashed.encode_queries(texts)


def test_the_precision_is_the_one_that_is_set_or_the_processors_and_kept_results_tell_them_apart(
    two_generations, monkeypatch
):
    asked = []
    monkeypatch.setattr(
        "service.wiring.open_query_encoder",
        lambda *_, precisions, **__: asked.append(precisions) or Onnx(precisions[0]),
    )

    def identity(wanted, processors):
        monkeypatch.setattr("service.wiring.quickest_precisions", lambda: processors)
        service = Service(ServiceSettings(index=two_generations, query_precision=wanted))
        service.reload()
        with service.holder.lease() as engine:
            found = engine.identity
        service.close()
        return found

    quick, slow = identity(None, ("int8", "fp32")), identity(None, ("fp32",))
    assert quick != slow
    assert identity("fp32", ("int8", "fp32")) == identity("fp32", ("fp32",))
    assert asked == [("int8", "fp32"), ("fp32",), ("fp32",), ("fp32",)]


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
