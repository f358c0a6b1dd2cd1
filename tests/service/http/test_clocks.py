"""Deadlines and connections go by the monotonic clock: what the wall clock does meanwhile changes nothing."""

from __future__ import annotations

import itertools
import json
import time

import pytest

from service.budget import Deadline, StageOverrun

JUMPS = itertools.cycle([0.0, 4_102_444_800.0, 1.0, 1_800_000_000.5, -1.0])
"""Seconds since 1970: then, in 2100, ..."""


@pytest.fixture
def jumping(monkeypatch):
    """A wall clock that is somewhere else whenever it is looked at; returns how often it was."""
    looks = []

    def now() -> float:
        looks.append(next(JUMPS))
        return max(looks[-1], 0.0)

    monkeypatch.setattr(time, "time", now)
    monkeypatch.setattr(time, "time_ns", lambda: int(now() * 1e9))
    return looks


@pytest.mark.parametrize("path", ["/v1/search", "/v1/answer"])
def test_a_wall_clock_that_jumps_changes_no_answer_and_no_time(app_over, shared_index, serve, jumping, until, path):
    server = serve(app_over(shared_index))
    until(lambda: len(jumping) > 3)  # the server dates its responses by it
    for _ in range(20):
        response = server.post(path, {"query": "How long do refunds take?", "deadline_ms": 30_000})
        told = json.loads(response.read())
        assert response.status == 200
        assert not [one for one in told["degraded"] if "did not end" in one], told["degraded"]
        assert all(0 <= one["took_ms"] < 30_000 for one in told["stages"])


def test_a_wall_clock_that_jumps_makes_no_deadline_longer(app_over, shared_index, serve, jumping, monkeypatch):
    import asyncio

    app = app_over(shared_index)
    with app.state.service.holder.lease() if app.state.service.reload() else pytest.fail("no index") as engine:

        async def hangs(*_):
            await asyncio.sleep(60)

        monkeypatch.setattr(engine.snapshot, "lexical", hangs)
    began = time.monotonic()
    response = serve(app).post("/v1/search", {"query": "refunds", "mode": "lexical", "deadline_ms": 200})
    assert (response.status, json.loads(response.read())["type"]) == (504, "urn:footnote:problem:stage-overrun")
    assert 0.15 < time.monotonic() - began < 2


def test_a_deadlines_clock_is_handed_in_and_what_is_left_is_never_negative():
    """A machine that slept: over at once."""
    now = 100.0
    deadline = Deadline(lambda: now, 1_000)
    assert deadline.left_ms() == 1_000
    now = 1e9
    assert deadline.left_ms() == 0
    assert deadline.allow_ms(50) == 0
    now = 100.5
    assert deadline.allow_ms(None) == 500
    assert deadline.allow_ms(50, share=0.5) == 50


async def _nothing() -> None:
    import asyncio

    await asyncio.sleep(0.01)


def test_a_stage_after_the_jump_does_not_begin_to_wait():
    import asyncio

    now = 100.0
    deadline = Deadline(lambda: now, 1_000)
    now = 200.0
    with pytest.raises(StageOverrun):
        asyncio.run(deadline.stage("embed", 50, _nothing()))
