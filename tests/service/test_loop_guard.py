"""A blocked event loop fails the suite: the guard is there in every test of the service, and it sees."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path

import pytest
from blockbuster import BlockingError

from service.engine import Engine
from store.errors import LegUnavailable


def reads(folder: Path) -> None:
    (folder / "here").read_text()


def asks(folder: Path) -> None:
    sqlite3.connect(folder / "database").execute("SELECT 1")


def sleeps(_: Path) -> None:
    time.sleep(0.001)


@pytest.mark.parametrize("block", [sleeps, reads, asks])
def test_what_blocks_the_loop_is_an_error(tmp_path, block):
    (tmp_path / "here").write_text("here")

    async def blocked():
        block(tmp_path)

    with pytest.raises(BlockingError):
        asyncio.run(blocked())
    block(tmp_path)  # off the loop it is nobody's business


def test_a_stage_that_blocks_fails_the_request(engine: Engine, events, monkeypatch):
    """As it would if somebody put it there."""

    async def leg(*_):
        sleeps(Path())

    monkeypatch.setattr(engine.snapshot, "lexical", leg)
    monkeypatch.setattr(engine.snapshot, "dense", leg)
    with pytest.raises(LegUnavailable) as failed:
        events("Where do otters sleep?")
    assert isinstance(failed.value.__cause__, BlockingError)
