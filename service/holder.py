"""The open snapshot and its replacement: a request leases one engine and keeps it to its end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from service.engine import Engine
from store.errors import IndexMissing


@dataclass(slots=True)
class _Held:
    engine: Engine
    close: Callable[[], None]
    leases: int = 0
    retired: bool = False


class EngineHolder:
    """Holds the current engine. Swapping is instant; the old one is closed when its last lease ends."""

    def __init__(self) -> None:
        self._current: _Held | None = None
        self._guard = threading.Lock()

    @property
    def ready(self) -> bool:
        """Whether there is an engine to lease."""
        return self._current is not None

    @property
    def generation(self) -> int | None:
        """The generation that the next lease gets."""
        current = self._current
        return None if current is None else current.engine.snapshot.facts.generation

    def swap(self, engine: Engine | None, close: Callable[[], None] = lambda: None) -> None:
        """Make `engine` the current one (None: no longer ready); `close` releases it when it is done with."""
        with self._guard:
            old, self._current = self._current, None if engine is None else _Held(engine, close)
            finished = old is not None and self._retire(old)
        if old is not None and finished:
            old.close()

    @contextmanager
    def lease(self) -> Iterator[Engine]:
        """The current engine for the length of a request; raises IndexMissing while there is none."""
        with self._guard:
            held = self._current
            if held is None:
                raise IndexMissing("no snapshot is open yet.", fix="Run `footnote index SOURCE`, or look at /readyz.")
            held.leases += 1
        try:
            yield held.engine
        finally:
            with self._guard:
                held.leases -= 1
                finished = held.retired and held.leases == 0
            if finished:
                held.close()

    @staticmethod
    def _retire(held: _Held) -> bool:
        held.retired = True
        return held.leases == 0
