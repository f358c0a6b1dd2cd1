"""Single-flight: equal questions at the same time are worked on once.

Whoever comes first begins; others join. One that leaves, or whose deadline is up, leaves the others alone; the last one
to leave stops the work and waits until it has stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Hashable
from contextlib import aclosing
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")


class _Flight(Generic[T]):
    def __init__(self) -> None:
        self.task: asyncio.Task[Any] | None = None
        self.waiters = 0
        self.seen: list[T] = []
        self.changed = asyncio.Event()

    def saw(self, item: T) -> None:
        self.seen.append(item)
        self.tell()

    def tell(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class Flights(Generic[T]):
    """Work under way, by key. On event loops; each has its own."""

    def __init__(self) -> None:
        self._running: dict[tuple[asyncio.AbstractEventLoop, Hashable], _Flight[T]] = {}

    def __len__(self) -> int:
        return len(self._running)

    def under_way(self, key: Hashable) -> bool:
        """Whether whoever comes now would join."""
        return (asyncio.get_running_loop(), key) in self._running

    async def result(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `work` of the first with this key returns, or raises."""

        async def run(flight: _Flight[T]) -> None:
            flight.saw(await work())

        flight = self._join(key, run)
        try:
            await asyncio.wait({_task(flight)})
        finally:
            await self._leave(key, flight)
        _task(flight).result()
        return flight.seen[0]

    async def items(self, key: Hashable, work: Callable[[], AsyncIterator[T]]) -> AsyncGenerator[T, None]:
        """What `work` of the first with this key yields, from its beginning; raises what it raised. Closing leaves."""

        async def run(flight: _Flight[T]) -> None:
            async with aclosing(cast("AsyncGenerator[T, None]", work())) as items:
                async for item in items:
                    flight.saw(item)

        flight = self._join(key, run)
        at = 0
        try:
            while True:
                while at < len(flight.seen):
                    at += 1
                    yield flight.seen[at - 1]
                if _task(flight).done():
                    break
                await flight.changed.wait()
        finally:
            await self._leave(key, flight)
        _task(flight).result()

    def _join(self, key: Hashable, run: Callable[[_Flight[T]], Coroutine[Any, Any, None]]) -> _Flight[T]:
        place = (asyncio.get_running_loop(), key)
        flight = self._running.get(place)
        if flight is None:
            flight = self._running[place] = _Flight()
            flight.task = asyncio.create_task(run(flight))
            flight.task.add_done_callback(lambda _: self._landed(place, flight))
        flight.waiters += 1
        return flight

    async def _leave(self, key: Hashable, flight: _Flight[T]) -> None:
        flight.waiters -= 1
        if flight.waiters:
            return
        self._landed((asyncio.get_running_loop(), key), flight)  # nobody joins what is being stopped
        if not _task(flight).done():
            _task(flight).cancel()
            await asyncio.wait({_task(flight)})

    def _landed(self, place: tuple[asyncio.AbstractEventLoop, Hashable], flight: _Flight[T]) -> None:
        if self._running.get(place) is flight:
            del self._running[place]
        task = _task(flight)
        if task.done() and not task.cancelled():
            task.exception()  # whoever still waits raises it; if nobody does, nobody misses it
        flight.tell()


def _task(flight: _Flight[Any]) -> asyncio.Task[Any]:
    assert flight.task is not None
    return flight.task
