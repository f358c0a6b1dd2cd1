"""Places, the queue and what is refused: pools on an event loop, then the routes over a real socket."""

from __future__ import annotations

import asyncio
import json
import threading
import time

import pytest

from service.admission import ConcurrencyLimit, QueueRule
from service.budget import Deadline, StageOverrun
from service.http.admission import Pool
from service.http.problems import ProblemError


def pool_of(*, places=1, queue=2, wait_ms=5_000.0, standing_ms=5_000.0):
    rule = QueueRule(time.monotonic, length_max=queue, burst_ms=wait_ms, standing_ms=standing_ms)
    return Pool("p", ConcurrencyLimit(time.monotonic, most=places, adapts=False), rule, time.monotonic)


def deadline(ms=None):
    return Deadline(time.monotonic, ms)


def test_who_waits_comes_in_in_order_as_places_are_left():
    async def run():
        pool, order = pool_of(queue=3), []

        async def one(number):
            async with pool.place(deadline()):
                order.append(number)
                await asyncio.sleep(0)

        first = await pool.enter(deadline())
        tasks = [asyncio.create_task(one(number)) for number in range(3)]
        await asyncio.sleep(0.01)
        assert (pool.running, pool.waiting, order) == (1, 3, [])
        first.leave()
        first.leave()
        await asyncio.gather(*tasks)
        assert order == [0, 1, 2]
        assert (pool.running, pool.waiting) == (0, 0)

    asyncio.run(run())


def test_a_full_queue_refuses_at_once_and_says_when_to_ask_again():
    async def run():
        pool = pool_of(queue=0)
        place = await pool.enter(deadline())
        assert pool.refusal == "full"
        with pytest.raises(ProblemError) as refused:
            await pool.enter(deadline())
        assert (refused.value.kind.slug, refused.value.headers) == ("overloaded", {"retry-after": "1"})
        assert pool.refused["full"] == 1
        place.leave()
        assert pool.refusal is None
        (await pool.enter(deadline())).leave()

    asyncio.run(run())


def test_who_waited_too_long_or_became_late_leaves_the_queue_without_a_place():
    async def run():
        pool = pool_of(wait_ms=20)
        place = await pool.enter(deadline())
        with pytest.raises(ProblemError):
            await pool.enter(deadline())
        with pytest.raises(StageOverrun):
            await pool.enter(deadline(5))
        with pytest.raises(StageOverrun):
            await pool.enter(deadline(0))
        assert dict(pool.refused) == {"waited": 1, "late": 2}
        assert (pool.running, pool.waiting) == (1, 0)
        place.leave()
        assert pool.running == 0

    asyncio.run(run())


def test_once_it_is_known_what_a_turn_takes_a_refusal_is_told_at_once():
    async def run():
        pool = pool_of(places=2, queue=100, wait_ms=200, standing_ms=200)
        pool._rule.took(60.0, 2)
        places = [await pool.enter(deadline()) for _ in range(2)]
        waiting = [asyncio.create_task(pool.enter(deadline())) for _ in range(20)]
        await asyncio.sleep(0.02)
        refused = [one for one in waiting if one.done()]
        assert len(refused) == pool.refused["slow"] == 14, "six have their turn within 200 ms, one every 30"
        assert all(isinstance(one.exception(), ProblemError) for one in refused)
        assert pool.refusal == "slow"
        for place in places:
            place.leave()
        for one in waiting:
            if one not in refused:
                (await one).leave()
        assert (pool.waiting, pool.refused["waited"]) == (0, 0)

    asyncio.run(run())


def test_what_a_turn_takes_is_learnt_from_work_that_ended_well_while_all_places_were_taken():
    class Clock:
        now = 0.0

        def __call__(self):
            return self.now

    async def run():
        clock = Clock()
        rule = QueueRule(clock, length_max=9, burst_ms=100, standing_ms=100)
        pool = Pool("p", ConcurrencyLimit(clock, most=2, adapts=False), rule, clock)

        async def worked(places, ms, *, well=True):
            taken = [await pool.enter(deadline()) for _ in range(places)]
            clock.now += ms / 1000
            for place in taken:
                if well:
                    place.ended_well()
                place.leave()

        await worked(1, 10_000)
        await worked(2, 10_000, well=False)
        taken = [await pool.enter(deadline()) for _ in range(2)]
        assert pool.refusal is None, "nothing is known yet"
        for place in taken:
            place.leave()
        await worked(2, 300)
        taken = [await pool.enter(deadline()) for _ in range(2)]
        assert pool.refusal == "slow", "a place gets free every 150 ms"
        for place in taken:
            place.leave()
        for _ in range(30):
            await worked(2, 20)
        taken = [await pool.enter(deadline()) for _ in range(2)]
        assert pool.refusal is None
        for place in taken:
            place.leave()

    asyncio.run(run())


def test_one_that_is_given_up_while_it_waits_or_as_it_comes_in_takes_no_place():
    async def run():
        pool = pool_of()
        for lets_in in (False, True):
            place = await pool.enter(deadline())
            waiting = asyncio.create_task(pool.enter(deadline()))
            await asyncio.sleep(0.01)
            if lets_in:
                place.leave()
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            place.leave()
            assert (pool.running, pool.waiting) == (0, 0)
        assert pool.refused["abandoned"] == 2

    asyncio.run(run())


def test_places_are_never_more_than_the_limit_whoever_leaves_when():
    async def run():
        import random

        dice, pool, seen = random.Random(3), pool_of(places=3, queue=20, wait_ms=30), []

        async def one():
            await asyncio.sleep(dice.random() * 0.1)
            try:
                async with pool.place(deadline(dice.choice([None, 5, 50]))):
                    seen.append(pool.running)
                    await asyncio.sleep(dice.random() * 0.01)
            except (ProblemError, StageOverrun):
                pass

        tasks = [asyncio.create_task(one()) for _ in range(200)]
        await asyncio.sleep(0.05)
        for task in dice.sample(tasks, 40):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert max(seen) == 3
        assert (pool.running, pool.waiting) == (0, 0)

    asyncio.run(run())


@pytest.fixture
def slow_search(monkeypatch):
    """A search that takes until `.go`; `.begun` counts."""

    class Slow:
        begun, ended = 0, 0

    state = Slow()
    state.go = threading.Event()
    from service.answer import search

    async def waiting(*args):
        state.begun += 1
        try:
            while not state.go.is_set():  # noqa: ASYNC110  # set by another thread
                await asyncio.sleep(0.005)
            return await search(*args)
        finally:
            state.ended += 1

    monkeypatch.setattr("service.http.routes_questions.search", waiting)
    return state


HEAD = b"POST /v1/search HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n%scontent-length: %d\r\n\r\n"


def send(server, body=b'{"query": "refunds"}', headers=b""):
    return server.raw(HEAD % (headers, len(body)) + body)


def first_line(opened):
    with opened.makefile("rb") as read:
        return read.readline()


@pytest.fixture
def loaded(app_over, shared_index, serve, slow_search, until):
    """A server whose only place for searches is taken, and makes what else is asked wait."""

    def make(**settings):
        server = serve(app_over(shared_index, **{"search_concurrency_max": 1, "admission_wait_ms": 60_000} | settings))
        send(server)
        until(lambda: slow_search.begun == 1)
        return server

    yield make
    slow_search.go.set()


def metrics_of(server):
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    pairs = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def test_a_search_too_many_is_a_problem_while_health_and_answers_go_on(loaded, slow_search):
    server = loaded(admission_queue_max=0)
    response = server.post("/v1/search", {"query": "refunds"})
    problem = json.loads(response.read())
    assert (response.status, problem["type"]) == (503, "urn:footnote:problem:overloaded")
    assert int(response.getheader("retry-after")) >= 1
    assert response.getheader("x-request-id") == problem["request_id"]
    answer = server.post("/v1/answer", {"query": "How long do refunds take?"})
    assert answer.status == 200
    found = metrics_of(server)
    assert found['footnote_admission_refused_total{pool="search",reason="full"}'] == 1
    assert found['footnote_admission_running{pool="search"}'] == 1
    assert found['footnote_http_requests_total{method="POST",route="/v1/search",status="503"}'] == 1
    assert slow_search.begun == 1


def test_who_leaves_while_they_wait_costs_no_work(loaded, slow_search, until):
    server = loaded()
    opened = send(server)
    until(lambda: metrics_of(server)['footnote_admission_waiting{pool="search"}'] == 1)
    opened.close()
    until(lambda: metrics_of(server)['footnote_admission_waiting{pool="search"}'] == 0)
    slow_search.go.set()
    until(lambda: metrics_of(server)['footnote_admission_running{pool="search"}'] == 0)
    assert slow_search.begun == 1


def test_who_becomes_late_while_they_wait_is_told_so_and_costs_no_work(loaded, slow_search):
    server = loaded()
    began = time.monotonic()
    assert b"504" in first_line(send(server, headers=b"x-request-deadline-ms: 60\r\n"))
    assert b"504" in first_line(send(server, b'{"query": "refunds", "deadline_ms": 60}'))
    assert time.monotonic() - began < 5
    assert slow_search.begun == 1


def test_who_waits_is_answered_and_told_how_long_it_took(loaded, slow_search, until):
    server = loaded()
    opened = send(server)
    until(lambda: metrics_of(server)['footnote_admission_waiting{pool="search"}'] == 1)
    slow_search.go.set()
    assert b"200" in first_line(opened)
    until(lambda: slow_search.ended == 2)
    assert metrics_of(server)['footnote_stage_seconds_count{outcome="ok",stage="queue"}'] == 1


def test_a_search_whose_client_left_stops_and_frees_its_place(loaded, slow_search, until):
    server = loaded()
    server.connections[0].close()
    until(lambda: slow_search.ended == 1)
    assert not slow_search.go.is_set()
    until(lambda: metrics_of(server)['footnote_admission_running{pool="search"}'] == 0)


def test_bodies_that_never_end_take_no_place(loaded, app_over, shared_index, serve):
    server = serve(app_over(shared_index, search_concurrency_max=1, admission_queue_max=0))
    for _ in range(5):
        server.raw(HEAD % (b"", 100) + b'{"query": ')
    assert metrics_of(server)['footnote_admission_running{pool="search"}'] == 0
