"""Retries, pauses, the breaker and hedges around scripted calls; the clock and every pause are the test's own."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from service.adapters.breaker import Breaker, Usual
from service.adapters.generator import Ended, GeneratorFailed
from service.adapters.hedge import Hedge
from service.adapters.tail import Tail
from service.contract import Usage

ENDED = Ended(Usage(provider="p", model="m"))


def failure(reason="server_error", **more):
    return GeneratorFailed("p", reason, **more)


class Calls:
    """Calls that go as they are told: each a list of pieces, failures, and `...` for one that hangs."""

    def __init__(self, *told):
        self.told = list(told)
        self.begun = 0
        self.open = 0

    async def begin_one(self, steps):
        self.open += 1
        try:
            for step in steps:
                if step is ...:
                    await asyncio.Event().wait()
                if isinstance(step, Exception):
                    raise step
                yield step
        finally:
            self.open -= 1

    def begin(self):
        self.begun += 1
        return self.begin_one(self.told.pop(0))


class World:
    """A tail on a clock of its own."""

    def __init__(self, *, hedge=None, **more):
        self.now = 0.0
        self.slept = []

        async def sleep(seconds):
            self.slept.append(seconds)
            self.now += seconds

        self.breaker = Breaker(lambda: self.now, failures_max=3, open_s=2.0)
        settings = {"retry_share": 1.0, "jitter": lambda: 0.5} | more
        self.tail = Tail("p", self.breaker, hedge=hedge, clock=lambda: self.now, sleep=sleep, **settings)

    def ask(self, calls, *, until=10.0):
        async def read():
            try:
                return [piece async for piece in self.tail.run(calls.begin, self.now + until)]
            finally:
                await asyncio.sleep(0)
                assert calls.open == 0
                assert asyncio.all_tasks() == {asyncio.current_task()}

        return asyncio.run(read())

    def fails(self, calls, **more):
        with pytest.raises(GeneratorFailed) as failed:
            self.ask(calls, **more)
        return failed.value.reason


OK = ["text", ENDED]


@pytest.mark.parametrize("reason", ["unreachable", "server_error", "rate_limited", "timeout", "connect_timeout"])
def test_what_passes_is_tried_again_after_a_pause_at_random(reason):
    world, calls = World(), Calls([failure(reason)], OK)
    assert world.ask(calls) == OK
    assert world.slept == [0.05]
    assert world.tail.counts.retries == 1


@pytest.mark.parametrize(
    "reason", ["not_authorised", "refused_request", "first_text_timeout", "total_timeout", "bad_response"]
)
def test_what_does_not_pass_or_took_all_the_time_is_not(reason):
    world, calls = World(), Calls([failure(reason)], OK)
    assert world.fails(calls) == reason
    assert calls.begun == 1


def test_nothing_is_tried_again_after_the_first_text():
    world, calls = World(), Calls(["text", failure()], OK)
    assert world.fails(calls) == "server_error"
    assert (calls.begun, world.slept) == (1, [])


def test_pauses_grow_and_end():
    world, calls = World(retries_max=2, jitter=lambda: 1.0), Calls([failure()], [failure()], [failure()], OK)
    world.tail._retry_budget._tokens = 5
    assert world.fails(calls) == "server_error"
    assert world.slept == [0.1, 0.2]
    assert calls.begun == 3


def test_in_an_outage_calls_are_at_most_a_tenth_more_than_requests():
    world = World(retry_share=0.1)
    world.breaker._failures_max = 10_000
    begun = 0
    for _ in range(100):
        calls = Calls([failure()], [failure()])
        world.fails(calls)
        begun += calls.begun
    assert begun <= 110


def test_retry_after_is_waited_for_where_there_is_time_and_else_the_provider_is_left_alone():
    world, calls = World(), Calls([failure("rate_limited", retry_after_s=3.0)], OK)
    assert world.ask(calls) == OK
    assert world.slept == [3.05]
    world, calls = World(), Calls([failure("rate_limited", retry_after_s=30.0)], OK)
    assert world.fails(calls) == "rate_limited"
    world.now += 29
    untouched = Calls(OK)
    assert world.fails(untouched) == "rate_limited"
    assert untouched.begun == 0
    world.now += 2
    assert world.ask(untouched) == OK


def test_an_open_breaker_makes_no_call_and_the_first_probe_that_works_closes_it():
    world = World(retries_max=0)
    for _ in range(3):
        world.fails(Calls([failure()]))
    untouched = Calls()
    assert world.fails(untouched) == "circuit_open"
    assert (untouched.begun, world.tail.counts.refused) == (0, 1)
    world.now += 2
    assert world.ask(Calls(OK)) == OK
    assert world.breaker.state == "closed"


def test_a_probe_is_not_tried_again():
    world = World(retries_max=0)
    for _ in range(3):
        world.fails(Calls([failure()]))
    world.tail._retries_max = 1
    world.now += 2
    calls = Calls([failure()], OK)
    assert world.fails(calls) == "server_error"
    assert calls.begun == 1
    assert world.breaker.state == "open"


def test_a_probe_closes_the_breaker_at_its_first_text_not_at_its_end():
    world = World(retries_max=0)
    for _ in range(3):
        world.fails(Calls([failure()]))
    world.now += 2

    async def one():
        async with aclosing(world.tail.run(Calls(["text", ...]).begin, 10.0)) as pieces:
            await anext(pieces)
            return world.breaker.state

    assert asyncio.run(one()) == "closed"


@pytest.mark.parametrize("reason", ["refused_request", "rate_limited", "total_timeout"])
def test_what_is_not_the_providers_doing_does_not_open_the_breaker(reason):
    world = World(retries_max=0)
    for _ in range(9):
        world.fails(Calls([failure(reason)]))
    assert world.breaker.state == "closed"


def test_streams_that_break_off_do():
    world = World()
    for _ in range(3):
        world.fails(Calls(["text", failure("between_timeout")]))
    assert world.breaker.state == "open"


@pytest.mark.parametrize("steps", [[...], ["text", ...]], ids=["before", "after"])
@pytest.mark.parametrize("hedged", [False, True])
def test_leaving_before_or_after_the_first_text_leaves_nothing(steps, hedged):
    world, calls = World(hedge=known(0.001) if hedged else None), Calls(steps, [...])

    async def leave():
        async def read():
            return [piece async for piece in world.tail.run(calls.begin, 10.0)]

        reading = asyncio.create_task(read())
        await asyncio.sleep(0.03)
        assert calls.open == (2 if hedged and steps == [...] else 1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await asyncio.sleep(0)
        for left in await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True):
            assert left is None

    asyncio.run(leave())
    assert calls.open == 0
    assert world.breaker.state == "closed"


def known(seconds, *, tokens=1.0):
    hedge = Hedge(0.05)
    for _ in range(40):
        hedge.took(seconds)
    hedge._budget._tokens = tokens
    return hedge


def test_a_call_that_hangs_is_overtaken_and_closed():
    world, calls = World(hedge=known(0.001)), Calls([...], OK)
    assert world.ask(calls) == OK
    assert (world.tail.counts.hedges, world.tail.counts.hedges_won) == (1, 1)


def test_a_second_call_that_hangs_or_fails_changes_nothing():
    class Slow(Calls):
        async def begin_one(self, steps):
            self.open += 1
            try:
                if self.begun == 1:
                    await asyncio.sleep(0.05)
                for step in steps:
                    if isinstance(step, Exception):
                        raise step
                    yield step
            finally:
                self.open -= 1

    world, calls = World(hedge=known(0.001)), Slow(OK, [failure()])
    assert world.ask(calls) == OK
    assert (world.tail.counts.hedges, world.tail.counts.hedges_won) == (1, 0)


def test_where_both_fail_it_is_told_once():
    class Late(Calls):
        async def begin_one(self, steps):
            await asyncio.sleep(0.01)
            raise steps[0]
            yield

    world, calls = World(hedge=known(0.001), retries_max=0), Late([failure()], [failure("unreachable")])
    assert world.fails(calls) == "server_error"


@pytest.mark.parametrize(("hung", "hedges"), [(2, True), (20, True), (45, True), (60, False)])
def test_while_most_calls_have_a_first_text_some_are_hedged_however_many_hang(hung, hedges):
    """Of a hundred."""
    hedge = Hedge(0.05)
    for number in range(100):
        hedge.took(None if number < hung else 0.1 + number / 1000)
    delay = hedge.delay_s()
    assert (delay is not None) is hedges
    assert not hedges or 0.1 < delay < 0.2


def test_who_leaves_before_a_first_text_says_nothing_of_the_provider():
    hedge = known(0.1)
    world = World(hedge=hedge)

    async def leave():
        for _ in range(40):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001), aclosing(world.tail.run(Calls([...]).begin, 10.0)) as pieces:
                    await anext(pieces)

    asyncio.run(leave())
    assert hedge.delay_s() == 0.1


def given_up(world, steps, after_s):
    """Ask, and give up when so much time went by without another piece."""

    async def leave():
        calls = Calls(steps)

        async def read():
            return [piece async for piece in world.tail.run(calls.begin, world.now + 10.0)]

        reading = asyncio.create_task(read())
        await asyncio.sleep(0.005)
        world.now += after_s
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    asyncio.run(leave())


@pytest.mark.parametrize(
    ("steps", "after_s", "state"),
    [
        ([...], 0.9, "closed"),
        ([...], 1.1, "open"),
        (["text", ...], 1.9, "closed"),
        (["text", ...], 2.1, "open"),
    ],
)
def test_a_silence_that_ends_with_the_askers_patience_counts_from_some_length_on(steps, after_s, state):
    world = World()
    world.ask(Calls(OK))  # at once
    for _ in range(3):
        given_up(world, steps, after_s)
    assert world.breaker.state == state


def test_while_nothing_is_known_of_a_provider_silence_is_not_held_against_it():
    world = World()
    for _ in range(3):
        given_up(world, [...], 9.0)
    assert world.breaker.state == "closed"


def test_where_first_texts_always_take_long_only_longer_ones_count():
    usual = Usual()
    for seconds in [4.0, 6.0] * 50:
        usual.took(seconds)
    assert 7.0 < usual.overdue_s < 11.0


def test_a_second_call_that_is_refused_for_its_rate_has_the_provider_left_alone():
    world = World(hedge=known(0.001))
    calls = Calls([failure("rate_limited", retry_after_s=30.0)])

    async def first_goes_on():
        go = asyncio.Event()

        async def slow():
            await go.wait()
            yield "text"
            yield ENDED

        begun = [calls.begin, slow]

        def begin():
            return begun.pop()()

        async def read():
            return [piece async for piece in world.tail.run(begin, 10.0)]

        reading = asyncio.create_task(read())
        await asyncio.sleep(0.03)
        go.set()
        assert await reading == OK

    asyncio.run(first_goes_on())
    assert world.fails(Calls(OK)) == "rate_limited"


def test_without_budget_or_knowledge_no_second_call_is_made():
    for hedge in (Hedge(0.05), known(0.001, tokens=0)):
        world, calls = World(hedge=hedge), Calls([...], OK)

        async def wait(world=world, calls=calls):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    async with aclosing(world.tail.run(calls.begin, 10.0)) as pieces:
                        await anext(pieces)

        asyncio.run(wait())
        assert (calls.begun, calls.open) == (1, 0)
