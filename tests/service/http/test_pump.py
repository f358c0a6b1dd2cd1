"""A pipeline's events, one ahead of their reader: cut or closed at any moment, an end is told and nothing hangs."""

from __future__ import annotations

import asyncio

import pytest

from service.contract import MetaEvent
from service.http.sse import Pump

META = MetaEvent(request_id="r", generation=1, query_used="q", guardrail="verified", model="m")


class CutError(Exception):
    pass


async def events(count, error=None):
    for _ in range(count):
        yield META
    if error is not None:
        raise error
    if count == 0:
        await asyncio.sleep(60)


async def told(pump):
    """What its reader meets, to the end."""
    found = []
    while True:
        try:
            one = await asyncio.wait_for(pump.next(), 2)
        except Exception as error:  # noqa: BLE001  # any, and a timeout too
            return [*found, type(error)]
        if one is None:
            return [*found, None]
        found.append(one)


@pytest.mark.parametrize(
    ("count", "error", "end"),
    [(1, None, None), (2, None, None), (3, None, CutError), (1, KeyError(), KeyError), (0, None, CutError)],
    ids=["ended but for the reader", "all but one read ahead", "working", "failed", "silent"],
)
def test_cut_off_its_reader_meets_the_end_that_there_was_or_the_cut(count, error, end):
    async def run():
        pump = Pump(events(count, error))
        await asyncio.sleep(0.01)
        pump.cut(CutError())
        await asyncio.sleep(0.01)
        found = await told(pump)
        assert found[-1] in {end, CutError}
        assert found[-1] is end or count == 2
        await asyncio.wait_for(pump.close(), 2)

    asyncio.run(run())


@pytest.mark.parametrize("count", [0, 1, 2, 3])
@pytest.mark.parametrize("cut", [False, True])
def test_closed_it_is_over_whoever_reads(count, cut):
    async def run():
        pump = Pump(events(count))
        await asyncio.sleep(0.01)
        if cut:
            pump.cut(CutError())
            await asyncio.sleep(0.01)
        await asyncio.wait_for(pump.close(), 2)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())
