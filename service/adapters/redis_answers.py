"""Kept answers in Redis, where the workers of one service find them: a stream for each, an entry for each frame.

A worker that dies takes the work with it: its streams expire, and those who read them are told that they are gone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, cast

from service.adapters.answer_log import AnswerGone, AnswersUnreachable, Batch
from store.errors import UsageError

if TYPE_CHECKING:
    from redis.asyncio import Redis

_PREFIX = "footnote:answer:"
ALIVE_S = 15.0
"""An answer that is still being made expires so long after its worker last said that it is."""
REMEMBERED_S = 3_600.0
BATCH_MAX = 256
_WAIT_S = 1.0
_LAG_S = 2.0
_TIMEOUT_S = 5.0


class RedisAnswers:
    """`SharedAnswers` in Redis.

    Args:
        client: closed by `close`.
        grace_s: work goes on for so long after its last reader.
        kept_s: an answer is kept for so long after its end.
    """

    def __init__(self, client: Redis, *, grace_s: float, kept_s: float) -> None:
        self._client = client
        self._grace_ms = int(grace_s * 1000)
        self._kept_ms = int(kept_s * 1000)

    async def write(self, key: str, number: int, frame: bytes, owner: str) -> bool:
        """Keep a frame; False where those before it are lost."""
        async with _asking():
            if number > 1:
                return await self._add(key, number, {"frame": frame}, int(ALIVE_S * 1000))
            async with self._client.pipeline(transaction=True) as begun:
                begun.delete(_PREFIX + key)
                begun.xadd(_PREFIX + key, {"frame": frame, "owner": owner}, id="0-1")
                begun.pexpire(_PREFIX + key, int(ALIVE_S * 1000))
                begun.set(f"{_PREFIX}{key}:was", 1, px=int(REMEMBERED_S * 1000))
                await begun.execute()
            return True

    async def end(self, key: str, number: int) -> bool:
        """The frame of that number was the terminal one."""
        async with _asking():
            return await self._add(key, number + 1, {"end": 1}, self._kept_ms)

    async def keep_alive(self, key: str) -> None:
        """Put the expiry off."""
        async with _asking():
            await self._client.pexpire(_PREFIX + key, int(ALIVE_S * 1000))

    async def drop(self, key: str) -> None:
        """Keep it no longer."""
        async with _asking():
            await self._client.delete(_PREFIX + key)

    async def stop(self, key: str) -> None:
        """Delete it, and leave word for the worker that makes it."""
        async with _asking(), self._client.pipeline(transaction=True) as begun:
            begun.set(f"{_PREFIX}{key}:stop", 1, px=int(REMEMBERED_S * 1000))
            begun.delete(_PREFIX + key)
            await begun.execute()

    async def stopped(self, keys: Sequence[str]) -> set[str]:
        """Those for which word was left."""
        async with _asking():
            found = await self._client.mget([f"{_PREFIX}{key}:stop" for key in keys])
        return {key for key, word in zip(keys, found, strict=True) if word is not None}

    async def read_within_s(self, key: str) -> float:
        """What is left of the grace that another worker's reader was last given."""
        async with _asking():
            return max(await self._client.pttl(f"{_PREFIX}{key}:read"), 0) / 1000

    async def find(self, key: str, owner: str) -> RedisAnswer | None:
        """An answer of this owner."""
        async with _asking(), self._client.pipeline(transaction=True) as both:  # it may begin between two questions
            both.xrange(_PREFIX + key, count=1)
            both.exists(f"{_PREFIX}{key}:was")
            found, was = await both.execute()
        first = _entries(found)
        if not first:
            if was:
                raise AnswerGone
            return None
        if first[0][1].get(b"owner", b"").decode() != owner:
            return None
        return RedisAnswer(self._client, key, self._grace_ms)

    async def close(self) -> None:
        """Close the connections."""
        async with _asking():
            await self._client.aclose()

    async def _add(self, key: str, number: int, fields: dict[Any, Any], alive_ms: int) -> bool:
        from redis.exceptions import ResponseError

        try:
            made = await self._client.xadd(_PREFIX + key, fields, id=f"0-{number}", nomkstream=True)
        except ResponseError as error:
            if "equal or smaller" not in str(error):
                raise
            made = b"written before its answer was lost"
        await self._client.pexpire(_PREFIX + key, alive_ms)
        return made is not None


class RedisAnswer:
    """An `AnswerLog` that another worker writes."""

    def __init__(self, client: Redis, key: str, grace_ms: int) -> None:
        self._client = client
        self._key = key
        self._grace_ms = grace_ms
        self._said = -float("inf")

    async def after(self, number: int) -> Batch:
        """The frames after that number, as soon as there is one."""
        while not ((found := await self._found(number)).frames or found.last):
            async with _asking():
                await self._say_read()
                await self._client.xread({_PREFIX + self._key: f"0-{number}"}, block=int(_WAIT_S * 1000), count=1)
        return found

    async def reached(self, number: int) -> Batch:
        """What there is after that number; the worker that writes may be a little behind what it sent."""
        until = time.monotonic() + _LAG_S
        while True:
            async with _asking():
                newest = _entries(await self._client.xrevrange(_PREFIX + self._key, count=1))
            if not newest:
                raise AnswerGone
            if _number(newest[0][0]) - (b"end" in newest[0][1]) >= number:
                return await self._found(number)
            if b"end" in newest[0][1] or time.monotonic() > until:
                raise LookupError(number)
            await asyncio.sleep(0.05)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Nothing to count: reading says so by itself."""
        yield

    async def _found(self, number: int) -> Batch:
        async with _asking():
            entries = _entries(await self._client.xrange(_PREFIX + self._key, min=f"(0-{number}", count=BATCH_MAX))
            if not entries and not await self._client.exists(_PREFIX + self._key):
                raise AnswerGone
        frames = [fields[b"frame"] for _, fields in entries if b"frame" in fields]
        if [_number(one) for one, _ in entries] != list(range(number + 1, number + 1 + len(entries))):
            raise AnswersUnreachable("events are missing")
        return Batch(frames, last=bool(entries) and b"end" in entries[-1][1])

    async def _say_read(self) -> None:
        """Tell the worker that writes that somebody reads."""
        now = time.monotonic()
        if (now - self._said) * 1000 >= self._grace_ms / 4:
            await self._client.set(f"{_PREFIX}{self._key}:read", 1, px=self._grace_ms)
            self._said = now


def open_redis_answers(url: str, *, grace_s: float, kept_s: float) -> RedisAnswers:
    """Connects when it is first used. Raises UsageError where the redis package is missing or the address is none."""
    try:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError as error:
        raise UsageError(
            "redis_url is set, but the redis package is not installed.",
            fix='Install it: pip install "footnote[redis]".',
        ) from error
    try:
        client = Redis.from_url(
            url,
            protocol=2,
            driver_info=None,  # else every new connection reads the package's version from the disk
            retry=Retry(NoBackoff(), 1),
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
        )
    except ValueError as error:
        raise UsageError(
            f"redis_url is no address of a Redis: {error}", fix="As in redis://127.0.0.1:6379/0."
        ) from error
    return RedisAnswers(client, grace_s=grace_s, kept_s=kept_s)


@asynccontextmanager
async def _asking() -> AsyncIterator[None]:
    """Whatever goes wrong between here and Redis is that it cannot be asked."""
    from redis.exceptions import RedisError

    try:
        yield
    except (RedisError, OSError, RuntimeError) as error:  # uvloop's, where a connection that just broke is written to
        raise AnswersUnreachable(str(error)) from error


def _entries(answered: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """What Redis says to XRANGE; its types allow for texts, which are not asked for here."""
    return cast("list[tuple[bytes, dict[bytes, bytes]]]", answered)


def _number(entry: bytes) -> int:
    return int(entry.split(b"-")[1])
