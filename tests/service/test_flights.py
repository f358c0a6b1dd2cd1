"""Single-flight: worked on once, left without harm, stopped by the last to leave."""

from __future__ import annotations

import asyncio

import pytest

from service.flights import Flights


class Work:
    """Counts how often it began, was stopped, and ended."""

    def __init__(self, *, items=("a", "b", "c"), error: Exception | None = None) -> None:
        self.began = self.stopped = self.ended = 0
        self.go = asyncio.Event()
        self._items = items
        self._error = error

    async def one(self):
        self.began += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        if self._error is not None:
            raise self._error
        self.ended += 1
        return self._items[0]

    async def many(self):
        self.began += 1
        try:
            for item in self._items:
                yield item
                await self.go.wait()
        except (asyncio.CancelledError, GeneratorExit):
            self.stopped += 1
            raise
        if self._error is not None:
            raise self._error
        self.ended += 1


async def listed(items):
    return [item async for item in items]


def tasks():
    return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


def test_equal_ones_are_worked_on_once_and_others_for_themselves():
    async def run():
        flights, work, other = Flights(), Work(), Work(items=("z",))
        asked = [asyncio.create_task(flights.result("k", work.one)) for _ in range(5)]
        asked.append(asyncio.create_task(flights.result("other", other.one)))
        await asyncio.sleep(0)
        work.go.set()
        other.go.set()
        assert await asyncio.gather(*asked) == ["a"] * 5 + ["z"]
        assert (work.began, other.began, len(flights)) == (1, 1, 0)
        assert await flights.result("k", work.one) == "a"  # afterwards it is new work
        assert work.began == 2

    asyncio.run(run())


@pytest.mark.parametrize("leaver", [0, 1, 2])
def test_one_that_leaves_takes_nobody_with_it_not_even_the_first(leaver):
    async def run():
        flights, work = Flights(), Work()
        asked = [asyncio.create_task(flights.result("k", work.one)) for _ in range(3)]
        await asyncio.sleep(0)
        asked[leaver].cancel()
        await asyncio.wait({asked[leaver]})
        assert asked[leaver].cancelled()
        work.go.set()
        left = [await task for task in asked if task is not asked[leaver]]
        assert (left, work.began, work.stopped) == (["a", "a"], 1, 0)

    asyncio.run(run())


def test_the_last_to_leave_stops_the_work_and_waits_until_it_has():
    async def run():
        flights, work = Flights(), Work()
        asked = [asyncio.create_task(flights.result("k", work.one)) for _ in range(2)]
        await asyncio.sleep(0)
        for task in asked:
            task.cancel()
        await asyncio.wait(asked)
        assert (work.stopped, len(flights), tasks()) == (1, 0, [])

    asyncio.run(run())


def test_whoever_comes_while_it_is_being_stopped_begins_anew():
    async def run():
        flights, work = Flights(), Work()
        first = asyncio.create_task(flights.result("k", work.one))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        second = asyncio.create_task(flights.result("k", work.one))
        await asyncio.sleep(0)
        work.go.set()
        assert await second == "a"
        assert (work.began, work.stopped) == (2, 1)

    asyncio.run(run())


def test_a_failure_is_everyones_and_the_next_one_tries_anew():
    async def run():
        flights, work = Flights(), Work(error=ValueError("no"))
        work.go.set()
        found = await asyncio.gather(*(flights.result("k", work.one) for _ in range(3)), return_exceptions=True)
        assert [str(one) for one in found] == ["no"] * 3
        assert (work.began, len(flights)) == (1, 0)
        with pytest.raises(ValueError, match="no"):
            await listed(flights.items("k", work.many))

    asyncio.run(run())


def test_a_stream_is_replayed_from_its_beginning_to_whoever_joins_late():
    async def run():
        flights, work = Flights(), Work()
        first = flights.items("k", work.many)
        assert await anext(first) == "a"
        late = asyncio.create_task(listed(flights.items("k", work.many)))
        await asyncio.sleep(0)
        work.go.set()
        assert await listed(first) == ["b", "c"]
        assert await late == ["a", "b", "c"]
        assert (work.began, work.ended, len(flights)) == (1, 1, 0)

    asyncio.run(run())


def test_a_stream_goes_on_without_its_first_reader_and_ends_with_its_last():
    async def run():
        flights, work = Flights(), Work()
        first, second = flights.items("k", work.many), flights.items("k", work.many)
        assert [await anext(first), await anext(second)] == ["a", "a"]
        await first.aclose()
        assert work.stopped == 0
        await second.aclose()
        assert (work.stopped, len(flights), tasks()) == (1, 0, [])

    asyncio.run(run())


def test_a_reader_that_is_cancelled_in_mid_stream_leaves_too():
    async def run():
        flights, work = Flights(), Work()
        reading = asyncio.create_task(listed(flights.items("k", work.many)))
        await asyncio.sleep(0.01)
        reading.cancel()
        await asyncio.wait({reading})
        assert (work.stopped, len(flights), tasks()) == (1, 0, [])

    asyncio.run(run())


def test_event_loops_share_nothing():
    flights = Flights()

    async def run():
        work = Work()
        work.go.set()
        assert await flights.result("k", work.one) == "a"

    asyncio.run(run())
    asyncio.run(run())
