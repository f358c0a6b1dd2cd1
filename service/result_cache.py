"""Searches and answers that were given before, given again: exact, complete and undegraded ones only.

A hit has the request's own id, stages and times. Equal questions at the same time are worked on once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import aclosing
from typing import Annotated, Any, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from service.budget import Deadline, StageOverrun
from service.cache_counts import CacheCounts
from service.cache_store import CacheKey, CacheStore, sealed, unsealed
from service.compose import abstention_sentence
from service.contract import (
    Abstention,
    DegradedEvent,
    FinishEvent,
    MetaEvent,
    PipelineEvent,
    SearchResponse,
    SentenceEvent,
    SourcesEvent,
    StageOutcome,
    StageReport,
    Usage,
    WithheldEvent,
)
from service.flights import Flights

T = TypeVar("T")

CACHE, SHARED = "cache", "shared"
"""Stages of a request that was not worked on: from the cache, or what an equal one beside it was given."""

_WELL = frozenset({"ok", "skipped"})
_ENDED_WELL = frozenset({"stop", "abstained"})
_WRITING_MAX = 64
_EVENTS: TypeAdapter[list[PipelineEvent]] = TypeAdapter(
    list[
        Annotated[
            MetaEvent | SourcesEvent | SentenceEvent | WithheldEvent | DegradedEvent | FinishEvent,
            Field(discriminator="type"),
        ]
    ]
)


def was_worked_on(stages: Iterable[StageReport]) -> bool:
    """Whether a response was made for its request: what took no work tells nothing of the load."""
    return not any(one.name == SHARED or (one.name == CACHE and one.outcome == "ok") for one in stages)


class _Cache:
    """What both kinds have in common.

    Args:
        store: holds entries.
        counts: told of hits, misses and errors.
        budget_ms: what asking the store may take; what is not there by then, or by the request's deadline, is no hit.
        shared_from_ms: requests with less time than this are worked on alone: what an equal one is given may be cut to
            its own time, and what they are given may be degraded by theirs.
    """

    def __init__(
        self, store: CacheStore, counts: CacheCounts, *, budget_ms: float | None, shared_from_ms: float
    ) -> None:
        self.store = store
        self.counts = counts
        self._budget_ms = budget_ms
        self._shared_from_ms = shared_from_ms
        self._left: set[str] = set()
        self._writing: set[asyncio.Task[None]] = set()

    def opened(self, scope: str) -> None:
        """Entries of this snapshot may be kept, again or for the first time."""
        self._left.discard(scope)

    def left(self, scope: str) -> None:
        """This snapshot is served no longer: what a late request has of it is not kept."""
        self._left.add(scope)

    async def _found(self, key: CacheKey, deadline: Deadline) -> bytes | None:
        started = deadline.clock()
        outcome: StageOutcome = "skipped"
        allowed = deadline.allow_ms(self._budget_ms)
        value = payload = None
        try:
            async with asyncio.timeout(None if allowed is None else allowed / 1000):
                value = await self.store.get(key)
        except TimeoutError:
            self.counts.errors += 1
            outcome = "timeout"
        if value is not None:
            payload = unsealed(key, value)
            self.counts.errors += payload is None
            outcome = "skipped" if payload is None else "ok"
        deadline.record(CACHE, self._budget_ms, started, outcome)
        return payload

    def _keep(self, key: CacheKey, payload: bytes) -> None:
        """Beside the request, which does not wait for it."""
        if key.scope in self._left or len(self._writing) >= _WRITING_MAX:
            return
        task = asyncio.create_task(self.store.put(key, sealed(key, payload)))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    def _shares(self, deadline: Deadline) -> bool:
        left_ms = deadline.left_ms()
        return left_ms is None or left_ms >= self._shared_from_ms


class SearchCache(_Cache):
    """Responses of `search`."""

    def __init__(
        self, store: CacheStore, counts: CacheCounts, *, budget_ms: float | None, shared_from_ms: float
    ) -> None:
        super().__init__(store, counts, budget_ms=budget_ms, shared_from_ms=shared_from_ms)
        self._flights: Flights[SearchResponse] = Flights()

    async def through(
        self,
        key: CacheKey,
        owner: object,
        request_id: str,
        deadline: Deadline,
        work: Callable[[], Coroutine[Any, Any, SearchResponse]],
    ) -> SearchResponse:
        """What was kept; else what an equal search is being given; else what `work` returns, kept if it is whole.

        Args:
            owner: what the work stands on. Only requests of one owner share work: each keeps its own open.
        """
        payload = await self._found(key, deadline)
        if payload is not None:
            try:
                kept = SearchResponse.model_validate_json(payload)
            except ValidationError:
                self.counts.errors += 1
            else:
                self.counts.hits += 1
                return _own(kept, request_id, deadline)
        self.counts.misses += 1

        async def kept_work() -> SearchResponse:
            response = await work()
            if not response.degraded and _well(response.stages):
                bare = response.model_copy(update={"request_id": "", "stages": []})
                self._keep(key, bare.model_dump_json().encode())
            return response

        if not self._shares(deadline):
            return await kept_work()
        flight = (id(owner), key)
        joined = self._flights.under_way(flight)
        started = deadline.clock()
        shared = self._flights.result(flight, kept_work)
        try:
            response = await (_in_time(shared, deadline) if joined else shared)
        except StageOverrun as overrun:
            if not joined or overrun.stage == SHARED:
                raise
            return await kept_work()  # it was the time of whoever came first that was up, not this request's
        if not joined:
            return response
        self.counts.shared += 1
        deadline.record(SHARED, None, started, "ok")
        return _own(response, request_id, deadline)


class AnswerCache(_Cache):
    """The events of `answer`."""

    def __init__(
        self, store: CacheStore, counts: CacheCounts, *, budget_ms: float | None, shared_from_ms: float
    ) -> None:
        super().__init__(store, counts, budget_ms=budget_ms, shared_from_ms=shared_from_ms)
        self._flights: Flights[PipelineEvent] = Flights()

    async def through(
        self,
        key: CacheKey,
        owner: object,
        request_id: str,
        deadline: Deadline,
        work: Callable[[], AsyncGenerator[PipelineEvent, None]],
        usage: Usage,
    ) -> AsyncGenerator[PipelineEvent, None]:
        """As with searches: kept events, those that an equal question is being given, or those of `work`.

        Args:
            usage: of whoever writes, before anything was used. Where the time of a request that joined is up its answer
                ends with what there was, as one that is worked on does.
        """
        payload = await self._found(key, deadline)
        if payload is not None:
            try:
                kept = _EVENTS.validate_json(payload)
            except ValidationError:
                self.counts.errors += 1
            else:
                self.counts.hits += 1
                for one in kept:
                    yield _own_event(one, request_id, deadline)
                return
        self.counts.misses += 1
        if not self._shares(deadline):
            events = self._kept_work(key, work)
        else:
            flight = (id(owner), key)
            joined = self._flights.under_way(flight)
            events = self._flights.items(flight, lambda: self._kept_work(key, work))
            if joined:
                events = self._joined(events, request_id, deadline, usage)
        async with aclosing(events):
            async for event in events:
                yield event

    async def _joined(
        self, events: AsyncGenerator[PipelineEvent, None], request_id: str, deadline: Deadline, usage: Usage
    ) -> AsyncGenerator[PipelineEvent, None]:
        """What an equal question is being given, as this one's own, for as long as this one has time."""
        self.counts.shared += 1
        started = deadline.clock()
        begun = said = False
        async with aclosing(events):
            try:
                while (given := await _in_time(_next(events), deadline)) is not None:
                    if isinstance(given, FinishEvent):
                        deadline.record(SHARED, None, started, "ok")
                    begun, said = True, said or isinstance(given, SentenceEvent)
                    yield _own_event(given, request_id, deadline)
            except StageOverrun as overrun:
                if not begun or overrun.stage != SHARED:
                    raise
                deadline.record(SHARED, None, started, "timeout")
                for one in _ended(overrun, usage, deadline, said=said):
                    yield one

    async def _kept_work(
        self, key: CacheKey, work: Callable[[], AsyncGenerator[PipelineEvent, None]]
    ) -> AsyncGenerator[PipelineEvent, None]:
        seen: list[PipelineEvent] = []
        events = work()
        async with aclosing(events):
            async for event in events:
                seen.append(event)
                yield event
        if _whole(seen):
            self._keep(key, _EVENTS.dump_json([_bare(event) for event in seen]))


async def _next(events: AsyncGenerator[PipelineEvent, None]) -> PipelineEvent | None:
    try:
        return await anext(events)
    except StopAsyncIteration:
        return None


def _well(stages: Iterable[StageReport]) -> bool:
    return all(one.outcome in _WELL for one in stages)


def _whole(events: Sequence[PipelineEvent]) -> bool:
    """Whether an answer is as it always would be: nothing fell back, nothing was left unchecked, nothing was cut."""
    finish = events[-1] if events else None
    if not isinstance(finish, FinishEvent) or finish.finish_reason not in _ENDED_WELL or not _well(finish.stages):
        return False
    return not any(
        isinstance(event, DegradedEvent)
        or (isinstance(event, WithheldEvent) and event.reason == "unchecked")
        or (isinstance(event, SentenceEvent) and event.verdict == "unchecked")
        for event in events
    )


def _bare(event: PipelineEvent) -> PipelineEvent:
    match event:
        case MetaEvent():
            return event.model_copy(update={"request_id": ""})
        case FinishEvent():
            return event.model_copy(update={"stages": []})
        case _:
            return event


def _own(response: SearchResponse, request_id: str, deadline: Deadline) -> SearchResponse:
    return response.model_copy(update={"request_id": request_id, "stages": deadline.report()})


def _own_event(event: PipelineEvent, request_id: str, deadline: Deadline) -> PipelineEvent:
    """An event of another request as this one's: its id, its stages, and nothing used."""
    match event:
        case MetaEvent():
            return event.model_copy(update={"request_id": request_id})
        case FinishEvent():
            return event.model_copy(update={"stages": deadline.report(), "usage": _unused(event.usage)})
        case _:
            return event


def _unused(usage: Usage) -> Usage:
    spent = {"prompt_tokens": 0, "completion_tokens": 0, "cost_usd": None if usage.cost_usd is None else 0.0}
    return usage.model_copy(update=spent)


def _ended(overrun: StageOverrun, usage: Usage, deadline: Deadline, *, said: bool) -> Iterator[PipelineEvent]:
    """How an answer ends whose time is up."""
    yield DegradedEvent(message=f"{SHARED}: {overrun}; the answer ends with what was verified")
    if not said:
        yield abstention_sentence()
    abstention = None if said else Abstention(reason="nothing_supported")
    yield FinishEvent(finish_reason="deadline", abstention=abstention, usage=_unused(usage), stages=deadline.report())


async def _in_time(work: Awaitable[T], deadline: Deadline) -> T:
    """The result of work that was joined, if it comes in time. One's own work sees to that itself."""
    allowed = deadline.allow_ms(None)
    try:
        async with asyncio.timeout(None if allowed is None else allowed / 1000):
            return await work
    except TimeoutError as error:
        raise StageOverrun(SHARED, allowed or 0.0) from error
