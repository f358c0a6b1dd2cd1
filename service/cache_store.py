"""Where a cache's entries lie: one protocol, and the store within this process. Redis is in adapters/redis_store.py."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from service.cache_counts import CacheCounts

VALUE_BYTES_MAX = 2_000_000
"""Of one entry; what is larger is not kept."""

_MAGIC = b"footnote-cache-1\n"
_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class CacheKey:
    """What an entry is found by.

    Args:
        scope: of the snapshot it comes from, so that all of one can be dropped.
        digest: of everything else that decides it, hex.
    """

    scope: str
    digest: str

    @property
    def text(self) -> str:
        """Both in one."""
        return f"{self.scope}:{self.digest}"


class CacheStore(Protocol):
    """Bytes by key. It may forget anything at any time; it never gives what was put under another key.

    Nothing but cancellation is raised: what cannot be had is None, and counted.
    """

    async def get(self, key: CacheKey) -> bytes | None:
        """What was put under this key, if it is still there."""
        ...

    async def put(self, key: CacheKey, value: bytes) -> None:
        """Keep it for a while, if that can be done."""
        ...

    async def drop(self, scope: str) -> None:
        """Remove what there is of a scope."""
        ...

    async def close(self) -> None:
        """Release what it holds."""
        ...


def sealed(key: CacheKey, payload: bytes) -> bytes:
    """A payload with what shows that it is one of this version, whole, and put under this key."""
    return b"".join((_MAGIC, _digest(key, payload), payload))


def unsealed(key: CacheKey, value: bytes) -> bytes | None:
    """The payload; None where the value is of another version, cut, changed, or of another key."""
    start = len(_MAGIC) + _DIGEST_BYTES
    if len(value) < start or not value.startswith(_MAGIC):
        return None
    payload = value[start:]
    return payload if _digest(key, payload) == value[len(_MAGIC) : start] else None


def _digest(key: CacheKey, payload: bytes) -> bytes:
    return hashlib.sha256(key.text.encode() + b"\n" + payload).digest()[:_DIGEST_BYTES]


class MemoryStore:
    """Entries within this process, bounded in number, bytes and age; those least lately asked for go first.

    Args:
        counts: told of evictions, and of what is held.
        clock: monotonic seconds.
        entries_max, bytes_max, seconds_max: the bounds.
    """

    def __init__(
        self,
        counts: CacheCounts,
        clock: Callable[[], float],
        *,
        entries_max: int,
        bytes_max: int,
        seconds_max: float,
    ) -> None:
        self._counts = counts
        self._clock = clock
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._seconds_max = seconds_max
        self._held: OrderedDict[CacheKey, tuple[bytes, float]] = OrderedDict()
        self._guard = threading.Lock()

    async def get(self, key: CacheKey) -> bytes | None:
        """What was put under this key, if it is still there and not too old."""
        with self._guard:
            held = self._held.get(key)
            if held is None:
                return None
            value, until = held
            if self._clock() >= until:
                self._remove(key)
                return None
            self._held.move_to_end(key)
        return value

    async def put(self, key: CacheKey, value: bytes) -> None:
        """Keep it; what is larger than all that may be held is not."""
        size = _size(key, value)
        if size > min(self._bytes_max, VALUE_BYTES_MAX):
            return
        with self._guard:
            if key in self._held:
                self._remove(key)
            self._held[key] = (value, self._clock() + self._seconds_max)
            self._counts.entries += 1
            self._counts.bytes += size
            while self._counts.entries > self._entries_max or self._counts.bytes > self._bytes_max:
                self._remove(next(iter(self._held)))
                self._counts.evictions += 1

    async def drop(self, scope: str) -> None:
        """Remove what there is of a scope."""
        with self._guard:
            for key in [one for one in self._held if one.scope == scope]:
                self._remove(key)

    async def close(self) -> None:
        """Forget everything."""
        with self._guard:
            for key in list(self._held):
                self._remove(key)

    def _remove(self, key: CacheKey) -> None:
        value, _ = self._held.pop(key)
        self._counts.entries -= 1
        self._counts.bytes -= _size(key, value)


def _size(key: CacheKey, value: bytes) -> int:
    return len(value) + len(key.text) + 200  # and about what Python needs for an entry
