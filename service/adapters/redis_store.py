"""Entries in Redis, for several workers. Whatever is wrong with Redis is a miss, soon."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from service.adapters.breaker import Breaker
from service.cache_counts import CacheCounts
from service.cache_store import VALUE_BYTES_MAX, CacheKey
from store.errors import UsageError

T = TypeVar("T")

_LOG = logging.getLogger("footnote.cache")

CONNECTIONS_MAX = 128
PREFIX = "footnote:1"
_DROP_S_MAX = 10.0
_DROPPED_AT_ONCE = 500


class RedisStore:
    """Values under `footnote:1:CACHE:SCOPE:DIGEST`, each with a time to live.

    A call that fails or takes too long is counted and is a miss; after some in a row none is made for a while, so that
    a Redis that is away costs nothing. Its own words are not logged: an address may hold a password.

    Args:
        client: a `redis.asyncio.Redis` without retries of its own, which gives bytes.
        counts: told of errors; its name is the cache's.
        breaker: when calls are made at all.
        budget_ms: the longest call.
        seconds_max: time to live.
    """

    def __init__(
        self, client: Any, counts: CacheCounts, breaker: Breaker, *, budget_ms: float, seconds_max: float
    ) -> None:
        self._client = client
        self._counts = counts
        self._breaker = breaker
        self._budget_s = budget_ms / 1000
        self._seconds_max = max(math.ceil(seconds_max), 1)

    async def get(self, key: CacheKey) -> bytes | None:
        """What is kept under this key; nothing that is larger than any entry is read."""
        value = await self._call(lambda: self._client.getrange(self._name(key), 0, VALUE_BYTES_MAX))
        return value if isinstance(value, bytes) and 0 < len(value) <= VALUE_BYTES_MAX else None

    async def put(self, key: CacheKey, value: bytes) -> None:
        """Keep it until its time is up."""
        if len(value) <= VALUE_BYTES_MAX:
            await self._call(lambda: self._client.set(self._name(key), value, ex=self._seconds_max))

    async def drop(self, scope: str) -> None:
        """Remove what there is of a scope; what this misses (Redis away) goes when its time is up."""
        pattern = f"{PREFIX}:{self._counts.name}:{scope}:*"
        try:
            async with asyncio.timeout(_DROP_S_MAX):
                batch: list[bytes] = []
                async for name in self._client.scan_iter(match=pattern, count=_DROPPED_AT_ONCE):
                    batch.append(name)
                    if len(batch) >= _DROPPED_AT_ONCE:
                        await self._client.unlink(*batch)
                        batch.clear()
                if batch:
                    await self._client.unlink(*batch)
        except Exception as error:  # noqa: BLE001  # whatever a client library raises
            self._failed(error)

    async def close(self) -> None:
        """Hang up."""
        try:
            async with asyncio.timeout(1):
                await self._client.aclose()
        except Exception as error:  # noqa: BLE001  # it is gone either way
            self._failed(error)

    def _name(self, key: CacheKey) -> str:
        return f"{PREFIX}:{self._counts.name}:{key.text}"

    async def _call(self, command: Callable[[], Awaitable[T]]) -> T | None:
        from redis.exceptions import ResponseError

        permit = self._breaker.admit()
        if permit is None:
            return None
        try:
            async with asyncio.timeout(self._budget_s):
                found = await command()
        except ResponseError as error:  # it answers, if only this: another kind of value under the name, no memory left
            self._breaker.succeeded(permit)
            self._failed(error)
            return None
        except Exception as error:  # noqa: BLE001  # whatever a client library raises
            self._breaker.failed(permit)
            self._failed(error)
            return None
        except BaseException:  # whoever asked is gone
            self._breaker.left(permit)
            raise
        self._breaker.succeeded(permit)
        return found

    def _failed(self, error: Exception) -> None:
        self._counts.errors += 1
        _LOG.info("Redis: %s", type(error).__name__)


def open_redis(url: str, *, budget_ms: float) -> Any:
    """A client that connects when it is first used. Raises UsageError for no address, or without the package."""
    try:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError as error:
        raise UsageError(
            "redis_url is set, but the redis package is not installed.", fix='pip install "footnote[redis]"'
        ) from error
    try:
        return Redis.from_url(
            url,
            driver_info=None,  # else every new connection reads the package's version from the disk
            socket_timeout=budget_ms / 1000,
            socket_connect_timeout=budget_ms / 1000,
            max_connections=CONNECTIONS_MAX,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
        )
    except (ValueError, TypeError) as error:
        raise UsageError("redis_url is no address of a Redis.", fix="Set redis://HOST:PORT/NUMBER.") from error
