"""Where cache entries lie: one contract for this process and for Redis, and whatever is wrong with Redis is a miss."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.breaker import Breaker
from service.adapters.redis_store import PREFIX, RedisStore, open_redis
from service.cache_counts import CacheCounts
from service.cache_store import VALUE_BYTES_MAX, CacheKey, MemoryStore, sealed, unsealed
from store.errors import UsageError

A, B = CacheKey("s" * 32, "a" * 64), CacheKey("s" * 32, "b" * 64)
ELSEWHERE = CacheKey("t" * 32, "a" * 64)
BUDGET_MS = 200


@pytest.fixture
def clock():
    class Clock:
        now = 0.0

        def __call__(self):
            return self.now

    return Clock()


@pytest.fixture
def in_memory(clock):
    def make(**bounds):
        bounds = {"entries_max": 100, "bytes_max": 1_000_000, "seconds_max": 60} | bounds
        return MemoryStore(CacheCounts("searches"), clock, **bounds)

    return make


@contextlib.asynccontextmanager
async def in_redis(url, budget_ms=BUDGET_MS, clock=time.monotonic, **breaker):
    counts = CacheCounts("searches")
    client = open_redis(url, budget_ms=budget_ms)
    store = RedisStore(client, counts, Breaker(clock, **breaker), budget_ms=budget_ms, seconds_max=60)
    try:
        yield store, client, counts
    finally:
        await store.close()


@pytest.fixture(params=["memory", "redis"])
def with_store(request, in_memory):
    """Runs a coroutine function with a store."""
    if request.param == "memory":
        return lambda work: asyncio.run(work(in_memory()))
    url = request.getfixturevalue("redis_url")

    async def run(work):
        async with in_redis(url) as (store, _, _):
            await work(store)

    return lambda work: asyncio.run(run(work))


class TestContract:
    def test_what_was_put_is_found_under_its_key_alone(self, with_store):
        async def work(store):
            assert await store.get(A) is None
            await store.put(A, b"one")
            await store.put(ELSEWHERE, b"\x00\xff" * 50_000)
            assert [await store.get(key) for key in (A, B, ELSEWHERE)] == [b"one", None, b"\x00\xff" * 50_000]
            await store.put(A, b"two")
            assert await store.get(A) == b"two"

        with_store(work)

    def test_dropping_a_scope_leaves_the_others(self, with_store):
        async def work(store):
            for number in range(1_203):
                await store.put(CacheKey(A.scope, f"{number:064}"), b"x")
            await store.put(ELSEWHERE, b"stays")
            await store.drop(A.scope)
            assert await store.get(CacheKey(A.scope, f"{1_202:064}")) is None
            assert await store.get(CacheKey(A.scope, f"{0:064}")) is None
            assert await store.get(ELSEWHERE) == b"stays"

        with_store(work)

    def test_what_is_too_large_is_not_kept_and_nothing_is_raised(self, with_store):
        async def work(store):
            await store.put(A, b"x" * (VALUE_BYTES_MAX + 1))
            assert await store.get(A) is None

        with_store(work)


class TestMemory:
    def test_entries_are_bounded_by_number_and_the_least_lately_asked_for_go_first(self, in_memory):
        store = in_memory(entries_max=2)

        async def work():
            await store.put(A, b"a")
            await store.put(B, b"b")
            assert await store.get(A) == b"a"
            await store.put(ELSEWHERE, b"c")
            assert [await store.get(key) for key in (A, B, ELSEWHERE)] == [b"a", None, b"c"]

        asyncio.run(work())
        assert (store._counts.evictions, store._counts.entries) == (1, 2)

    def test_entries_are_bounded_by_bytes(self, in_memory):
        store = in_memory(bytes_max=10_000)

        async def work():
            for number in range(50):
                await store.put(CacheKey("s", str(number)), b"x" * 1_000)
                assert store._counts.bytes <= 10_000
            await store.put(A, b"x" * 10_000)
            assert await store.get(A) is None
            assert await store.get(CacheKey("s", "49")) is not None

        asyncio.run(work())
        assert store._counts.entries == 50 - store._counts.evictions

    def test_an_entry_is_not_found_once_its_time_is_up_and_its_bytes_are_given_back(self, in_memory, clock):
        store = in_memory(seconds_max=60)

        async def work():
            await store.put(A, b"a")
            clock.now = 59.9
            assert await store.get(A) == b"a"
            clock.now = 60.0
            assert await store.get(A) is None

        asyncio.run(work())
        assert (store._counts.entries, store._counts.bytes) == (0, 0)

    def test_closing_forgets_everything(self, in_memory):
        store = in_memory()
        asyncio.run(store.put(A, b"a"))
        asyncio.run(store.close())
        assert (store._counts.entries, store._counts.bytes) == (0, 0)


class TestSeal:
    @given(st.binary(max_size=200))
    def test_a_payload_comes_back(self, payload):
        assert unsealed(A, sealed(A, payload)) == payload

    @given(st.binary(max_size=100), st.data())
    def test_a_value_that_was_changed_cut_or_put_under_another_key_is_no_value(self, payload, data):
        value = bytearray(sealed(A, payload))
        assert unsealed(B, bytes(value)) is None
        assert unsealed(ELSEWHERE, bytes(value)) is None
        cut = data.draw(st.integers(0, len(value) - 1))
        assert unsealed(A, bytes(value[:cut])) is None
        at = data.draw(st.integers(0, len(value) - 1))
        value[at] ^= 1 << data.draw(st.integers(0, 7))
        assert unsealed(A, bytes(value)) is None

    @given(st.binary(max_size=200))
    def test_garbage_is_no_value(self, garbage):
        assert unsealed(A, garbage) is None


class TestRedis:
    def test_entries_have_a_time_to_live(self, redis_url):
        async def work():
            async with in_redis(redis_url) as (store, client, _):
                await store.put(A, b"a")
                assert 0 < await client.ttl(f"{PREFIX}:searches:{A.text}") <= 60

        asyncio.run(work())

    def test_another_kind_of_value_under_the_name_is_a_miss_and_no_reason_to_leave_redis_alone(self, redis_url):
        async def work():
            async with in_redis(redis_url, failures_max=1) as (store, client, counts):
                await client.rpush(f"{PREFIX}:searches:{A.text}", "a", "list")
                assert await store.get(A) is None
                await store.put(B, b"b")
                assert await store.get(B) == b"b"
                assert counts.errors == 1

        asyncio.run(work())

    def test_a_value_that_is_too_large_is_not_read(self, redis_url):
        async def work():
            async with in_redis(redis_url, budget_ms=2_000) as (store, client, _):
                await client.set(f"{PREFIX}:searches:{A.text}", b"x" * (VALUE_BYTES_MAX * 3))
                assert await store.get(A) is None

        asyncio.run(work())

    def test_a_full_redis_is_a_miss(self, redis_url):
        async def work():
            async with in_redis(redis_url) as (store, client, counts):
                await client.config_set("maxmemory", "1")
                try:
                    await store.put(A, b"a")
                    assert await store.get(A) is None
                finally:
                    await client.config_set("maxmemory", "0")
                assert counts.errors == 1

        asyncio.run(work())

    def test_one_that_asks_and_leaves_does_not_give_its_answer_to_the_next(self, redis_url):
        """A call that is cancelled between its command and its reply must not leave the reply in the connection."""

        async def work():
            async with in_redis(redis_url) as (store, _, _):
                keys = [CacheKey("s" * 32, f"{number:064}") for number in range(50)]
                for number, key in enumerate(keys):
                    await store.put(key, str(number).encode())
                for round_ in range(20):
                    asked = [asyncio.create_task(store.get(key)) for key in keys]
                    await asyncio.sleep(0.0002 * round_)
                    for task in asked[::2]:
                        task.cancel()
                    found = await asyncio.gather(*asked, return_exceptions=True)
                    for number, value in enumerate(found):
                        assert value in (str(number).encode(), None) or isinstance(value, asyncio.CancelledError)

        asyncio.run(work())

    def test_one_that_is_away_costs_nothing_after_some_calls_and_is_found_again(self, redis_server):
        server = redis_server()

        async def work():
            now = [0.0]
            async with in_redis(server.url, clock=lambda: now[0], failures_max=3, open_s=2) as (store, _, counts):
                await store.put(A, b"a")
                await asyncio.to_thread(server.stop)
                for _ in range(100):
                    assert await store.get(A) is None
                assert counts.errors == 3
                await asyncio.to_thread(server.start)
                assert await store.get(A) is None  # not yet
                now[0] = 2.5
                await store.put(B, b"b")
                assert await store.get(B) == b"b"

        asyncio.run(work())

    def test_one_that_takes_the_connection_and_says_nothing_is_a_miss_in_time(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"

            async def work():
                async with in_redis(url, budget_ms=50, failures_max=2) as (store, _, counts):
                    began = time.perf_counter()
                    for _ in range(20):
                        assert await store.get(A) is None
                    assert time.perf_counter() - began < 5  # two calls of 50 ms, and a busy machine
                    assert counts.errors == 2

            asyncio.run(work())

    def test_one_that_speaks_something_else_is_a_miss(self):
        async def chatter(reader, writer):
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await writer.drain()
            writer.close()

        async def work():
            async with await asyncio.start_server(chatter, "127.0.0.1", 0) as server:
                url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
                async with in_redis(url) as (store, _, counts):
                    assert await store.get(A) is None
                    await store.put(A, b"a")
                    await store.drop(A.scope)
                    assert counts.errors >= 2

        asyncio.run(work())

    def test_what_is_no_address_is_said_at_the_start(self):
        with pytest.raises(UsageError, match="redis_url"):
            open_redis("http://example.org", budget_ms=20)
