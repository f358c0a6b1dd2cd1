"""What caches tell of themselves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class CacheCounts:
    """Of one cache since the service started.

    Args:
        name: for metrics.
        hits, misses: times that it was asked.
        shared: questions that got what an equal one beside them was being given.
        evictions: entries given up for room.
        errors: times that it could not be asked or gave what was no entry of it; each is a miss too.
        entries, bytes: held in this process.
    """

    name: str
    hits: int = 0
    misses: int = 0
    shared: int = 0
    evictions: int = 0
    errors: int = 0
    entries: int = 0
    bytes: int = 0
