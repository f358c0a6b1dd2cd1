"""The caches of one service, from its settings; what they keep belongs to one snapshot at a time."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping

from service.adapters.breaker import Breaker
from service.adapters.redis_store import RedisStore, open_redis
from service.cache_counts import CacheCounts
from service.cache_store import CacheStore, MemoryStore
from service.result_cache import AnswerCache, SearchCache
from service.settings import ServiceSettings

REDIS_FAILURES_MAX = 3
REDIS_AWAY_S = 2.0

SEARCH_SHARED_FROM_MS = 1_000
ANSWER_SHARED_FROM_SHARE = 0.9
"""Of the whole answer's budget: whoever asks for less is answered alone."""

_IN_NO_IDENTITY = frozenset(
    {
        "index",  # by the manifest
        "host",
        "port",
        "workers",
        "log_level",
        "admin_token",
        "generator_api_key",
        "redis_url",
        "redis_budget_ms",
        "example_question",
    }
)
"""Settings that decide nothing of a response. Every other one does, until somebody has thought about it."""


class Caches:
    """Both kinds of results; None where a kind is not kept.

    Args:
        searches, answers: the caches.
        stores: what they keep entries in.
    """

    def __init__(
        self, searches: SearchCache | None, answers: AnswerCache | None, stores: Mapping[str, CacheStore]
    ) -> None:
        self.searches = searches
        self.answers = answers
        self._stores = stores
        self._scope: str | None = None
        self._left: set[str] = set()

    @property
    def counts(self) -> list[CacheCounts]:
        """What each tells of itself."""
        return [one.counts for one in (self.searches, self.answers) if one is not None]

    def serve(self, scope: str | None) -> None:
        """From now on this snapshot is served (None: none is). What there is of the one before is not found any more,
        not added to, and dropped by the next `tidy`. From any thread.
        """
        before, self._scope = self._scope, scope
        caches = [one for one in (self.searches, self.answers) if one is not None]
        if scope is not None:
            self._left.discard(scope)
            for cache in caches:
                cache.opened(scope)
        if before is not None and before != scope:
            for cache in caches:
                cache.left(before)
            self._left.add(before)

    async def tidy(self) -> None:
        """Drop what belongs to snapshots that are served no longer."""
        while self._left:
            scope = self._left.pop()
            for store in self._stores.values():
                await store.drop(scope)

    async def close(self) -> None:
        """Hang up."""
        for store in self._stores.values():
            await store.close()


def open_caches(settings: ServiceSettings, clock: Callable[[], float]) -> Caches:
    """The caches that are set. Raises UsageError for a Redis address that is none."""
    client = None
    breaker = Breaker(clock, failures_max=REDIS_FAILURES_MAX, open_s=REDIS_AWAY_S)  # one, for one Redis
    budget_ms = None if settings.redis_url is None else settings.redis_budget_ms
    keeps_answers = settings.cache_answers == "all" or (
        settings.cache_answers == "deterministic" and settings.generator == "extractive"
    )
    if settings.redis_url is not None and (settings.cache_searches or keeps_answers):
        client = open_redis(settings.redis_url.get_secret_value(), budget_ms=settings.redis_budget_ms)
    stores: dict[str, CacheStore] = {}

    def store(counts: CacheCounts) -> CacheStore:
        made: CacheStore
        if client is not None:
            made = RedisStore(
                client,
                counts,
                breaker,
                budget_ms=settings.redis_budget_ms,
                seconds_max=settings.cache_seconds,
            )
        else:
            made = MemoryStore(
                counts,
                clock,
                entries_max=settings.cache_entries,
                bytes_max=settings.cache_bytes,
                seconds_max=settings.cache_seconds,
            )
        stores[counts.name] = made
        return made

    searches = answers = None
    if settings.cache_searches:
        counts = CacheCounts("searches")
        searches = SearchCache(store(counts), counts, budget_ms=budget_ms, shared_from_ms=SEARCH_SHARED_FROM_MS)
    if keeps_answers:
        counts = CacheCounts("answers")
        limited = settings.budgets and settings.answer_budget_ms
        whole_ms = settings.answer_budget_ms if limited and settings.answer_budget_ms else math.inf
        answers = AnswerCache(
            store(counts), counts, budget_ms=budget_ms, shared_from_ms=ANSWER_SHARED_FROM_SHARE * whole_ms
        )
    return Caches(searches, answers, stores)


def identity_of(settings: ServiceSettings, manifest_sha256: str, weights: Mapping[str, str], program: str) -> str:
    """What makes responses of one engine those of another with the same numbers, hex: the snapshot, every setting that
    is not known to decide nothing, and the models.

    Args:
        weights: what tells each model's weights from others, by part.
        program: its version.
    """
    told = {
        "settings": settings.model_dump(mode="json", exclude=set(_IN_NO_IDENTITY)),
        "manifest": manifest_sha256,
        "weights": dict(weights),
        "program": program,
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


def scope_of(manifest_sha256: str) -> str:
    """The scope of a snapshot's entries."""
    return manifest_sha256[:32]
