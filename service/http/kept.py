"""Answers that can be resumed: their events are kept for readers who come back, within bounds of number, bytes and age.

The work writes into a log and waits for no reader; each reader follows the log at its own pace.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from service.adapters.answer_log import AnswerGone, AnswerLog, AnswersUnreachable, Batch, SharedAnswers
from service.adapters.redis_answers import open_redis_answers
from service.http.drain import draining
from service.http.problems import ProblemError, problem_of
from service.http.sse import EventStream, frame
from service.settings import ServiceSettings
from store.snapshot import Principals

log = logging.getLogger("footnote.http")

SWEEP_S = 0.5
"""How often ages are looked at; nothing is kept longer for it, at most so much shorter."""
REMEMBERED_MAX = 4_096
"""Keys of answers that were kept: who asks for one of these is told that it is gone."""
_RETRY_S = 1.0
_ALIVE_S = 3.0
_FAREWELL_S = 1.0


@dataclass(frozen=True, slots=True)
class KeepLimits:
    """What is kept at most, in one process.

    Args:
        grace_s: work goes on for so long while nobody reads it.
        kept_s: an answer is kept for so long after its end.
        answers_max: answers kept at once.
        bytes_max: of events, of all answers together.
    """

    grace_s: float
    kept_s: float
    answers_max: int
    bytes_max: int


class KeptAnswer:
    """One answer's events, kept in this process: an `AnswerLog`.

    Args:
        key: names it.
        owner: whose it is.
        clock: monotonic seconds.
    """

    def __init__(self, key: str, owner: str, clock: Callable[[], float]) -> None:
        self.key = key
        self.owner = owner
        self.frames: list[bytes] = []
        self.bytes = 0
        self.readers = 0
        self.unread_since = clock()
        self.ended_at: float | None = None
        self.dropped = False
        self._clock = clock
        self._news = asyncio.Event()

    def append(self, one: bytes) -> None:
        """The next event."""
        self.frames.append(one)
        self.bytes += len(one)
        self._wake()

    def end(self) -> None:
        """The event appended last was the terminal one. May be said twice."""
        self.ended_at = self._clock() if self.ended_at is None else self.ended_at
        self._wake()

    def drop(self) -> None:
        """Keep nothing of it; readers are told."""
        self.dropped = True
        self.frames = []
        self.bytes = 0
        self._wake()

    async def after(self, number: int) -> Batch:
        """The frames after that number, as soon as there is one."""
        while not self.dropped and self.ended_at is None and len(self.frames) <= number:
            await self._news.wait()
        return await self.reached(number)

    async def reached(self, number: int) -> Batch:
        """What there is after that number."""
        if self.dropped:
            raise AnswerGone
        if number > len(self.frames):
            raise LookupError(number)
        return Batch(self.frames[number:], last=self.ended_at is not None)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Counts a reader."""
        self.readers += 1
        try:
            yield
        finally:
            self.readers -= 1
            self.unread_since = self._clock()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


class KeptAnswers:
    """All of them, of one process; on one event loop.

    Args:
        limits: of what is kept.
        clock: monotonic seconds.
        shared: where other workers find them; None where there are none.
        alone: False where other workers answer too: without `shared` nothing can be resumed then.
    """

    def __init__(
        self, limits: KeepLimits, clock: Callable[[], float], *, shared: SharedAnswers | None = None, alone: bool = True
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._shared = shared
        self._possible = alone or shared is not None
        self._answers: OrderedDict[str, KeptAnswer] = OrderedDict()
        self._work: dict[str, asyncio.Task[None]] = {}
        self._remembered: OrderedDict[str, None] = OrderedDict()
        self._background: set[asyncio.Task[None]] = set()

    @property
    def working(self) -> int:
        """Answers that are being made."""
        return len(self._work)

    @property
    def followed(self) -> int:
        """Those of them that may be read at another worker, which cannot go on with them."""
        return 0 if self._shared is None else len(self._work)

    @property
    def ended(self) -> int:
        """Answers kept after their end. Safe in any thread."""
        return sum(one.ended_at is not None for one in list(self._answers.values()))

    @property
    def bytes(self) -> int:
        """Bytes of events that are kept. Safe in any thread."""
        return sum(one.bytes for one in list(self._answers.values()))

    def make_room(self) -> None:
        """Have room for one more: what ended longest ago goes. Raises ProblemError where nothing can be resumed here
        (409), and where as many as are allowed are still being made (503).
        """
        self._require_possible()
        while len(self._answers) >= self._limits.answers_max:
            self._drop_oldest("As many resumable answers are being made as are kept at once. Ask again, or without.")

    def keep(self, source: EventStream, request_id: str, principals: Principals) -> tuple[str, KeptAnswer]:
        """Make an answer for whoever reads it: the token that it takes to read it, and its log. From here on the source
        is closed when the work ends. Raises as `make_room` does.
        """
        self.make_room()
        token = secrets.token_urlsafe(24)
        answer = KeptAnswer(_key(token), _owner(request_id, principals), self._clock)
        self._answers[answer.key] = answer
        self._work[answer.key] = asyncio.create_task(self._record(answer, source, request_id))
        if self._shared is not None:
            self._in_background(self._mirror(answer, self._shared))
        return token, answer

    async def find(self, request_id: str, token: str, principals: Principals) -> AnswerLog:
        """The kept answer of that request. Raises ProblemError: 404 where there is none for who asks, 410 where there
        was one, 409 where nothing can be resumed here, 503 where it may be elsewhere and that cannot be asked.
        """
        self._require_possible()
        key, owner = _key(token), _owner(request_id, principals)
        found = self._answers.get(key)
        if found is not None and found.owner == owner:
            return found
        if key in self._remembered:
            raise gone()
        if found is None and self._shared is not None:
            try:
                elsewhere = await self._shared.find(key, owner)
            except AnswerGone:
                raise gone() from None
            except AnswersUnreachable:
                raise unreachable() from None
            if elsewhere is not None:
                return elsewhere
        raise ProblemError("not-found", "No kept answer has this request id and resume token.")

    async def stop(self, request_id: str, token: str, principals: Principals) -> None:
        """End the work on an answer that nobody wants any more, and keep nothing of it; another worker's within a
        second. Raises as `find` does.
        """
        found = await self.find(request_id, token, principals)
        if isinstance(found, KeptAnswer):
            await self._stop(found)
        elif self._shared is not None:
            try:
                await self._shared.stop(_key(token))
            except AnswersUnreachable:
                raise unreachable() from None

    async def run(self) -> None:
        """Look at ages for ever."""
        while True:
            await asyncio.sleep(SWEEP_S)
            await self.sweep()

    async def sweep(self) -> None:
        """Stop work that nobody has read for too long, and drop what ended too long ago."""
        if self._shared is not None and self._work:
            with suppress(AnswersUnreachable):
                for key in await self._shared.stopped(list(self._work)):
                    if key in self._answers:
                        await self._stop(self._answers[key])
        now = self._clock() + SWEEP_S
        for answer in list(self._answers.values()):
            if answer.ended_at is not None:
                if now - answer.ended_at >= self._limits.kept_s:
                    self._drop(answer)
            elif not answer.readers and now - answer.unread_since >= self._limits.grace_s:
                await self._stop_unless_read(answer)

    async def close(self) -> None:
        """End all work; who still reads gets a terminal event."""
        await _stop(*self._work.values())
        if self._background:
            _, late = await asyncio.wait(self._background, timeout=_FAREWELL_S)
            for one in late:
                one.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self._shared is not None:
            with suppress(AnswersUnreachable):
                await self._shared.close()

    async def _stop_unless_read(self, answer: KeptAnswer) -> None:
        if self._shared is not None:
            with suppress(AnswersUnreachable):
                left_s = await self._shared.read_within_s(answer.key)
                if left_s > SWEEP_S:
                    answer.unread_since = self._clock() + left_s - self._limits.grace_s
                    return
        if answer.key in self._work and not answer.readers:  # it may have ended, or somebody come, while that was asked
            await self._stop(answer)

    async def _stop(self, answer: KeptAnswer) -> None:
        self._drop(answer)
        if answer.key in self._work:
            await _stop(self._work[answer.key])

    async def _record(self, answer: KeptAnswer, source: EventStream, request_id: str) -> None:
        """Write every event down; whatever happens, the last one is terminal."""
        try:
            async with aclosing(source.chunks()) as chunks:
                async for one in chunks:
                    self._have_bytes(answer, len(one))
                    answer.append(one)
            answer.end()
        except asyncio.CancelledError:
            self._close_with(answer, draining(), request_id)
            raise
        except ProblemError as error:
            self._close_with(answer, error, request_id)
        finally:
            try:
                await source.close()
            finally:
                del self._work[answer.key]
                answer.end()

    @staticmethod
    def _close_with(answer: KeptAnswer, error: ProblemError, request_id: str) -> None:
        if not answer.dropped:
            answer.append(frame(len(answer.frames) + 1, "error", problem_of(error, request_id)))

    def _have_bytes(self, answer: KeptAnswer, wanted: int) -> None:
        while self.bytes + wanted > self._limits.bytes_max:
            self._drop_oldest(f"Event {len(answer.frames) + 1} does not fit into what is kept of resumable answers.")

    def _drop_oldest(self, refusal: str) -> None:
        """Drop the answer that ended first, those that nobody reads before others."""
        ended = [one for one in self._answers.values() if one.ended_at is not None]
        if not ended:
            raise ProblemError("overloaded", refusal)
        self._drop(min(ended, key=lambda one: (one.readers > 0, one.ended_at)))

    def _drop(self, answer: KeptAnswer) -> None:
        answer.drop()
        del self._answers[answer.key]
        self._remembered[answer.key] = None
        if len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)
        if self._shared is not None:
            self._in_background(_drop_shared(answer.key, self._shared))

    async def _mirror(self, answer: KeptAnswer, shared: SharedAnswers) -> None:
        """Write an answer's events where other workers find them; what could not be written is tried again."""
        number, told = 0, False
        while True:
            try:
                async with asyncio.timeout(_ALIVE_S):
                    batch = await answer.after(number)
            except AnswerGone:
                return  # `_drop` says so there
            except TimeoutError:
                batch = Batch((), last=False)
            try:
                if not batch.frames and not batch.last:
                    await shared.keep_alive(answer.key)
                for one in batch.frames:
                    if not await shared.write(answer.key, number + 1, one, answer.owner):
                        number = 0
                        break
                    number += 1
                else:
                    if batch.last and await shared.end(answer.key, number):
                        return
                    number = 0 if batch.last else number
            except AnswersUnreachable as error:
                if not told:
                    told = True
                    log.warning("other workers cannot resume an answer for now: %s", error)
                await asyncio.sleep(_RETRY_S)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _require_possible(self) -> None:
        if not self._possible:
            raise ProblemError(
                "not-resumable",
                "Several workers answer here and do not share what is kept: set redis_url, or workers to 1, or ask "
                "without resumable.",
            )


def open_kept_answers(settings: ServiceSettings, clock: Callable[[], float] = time.monotonic) -> KeptAnswers:
    """As the settings have it. Raises UsageError where `redis_url` cannot be used."""
    limits = KeepLimits(
        grace_s=settings.resume_grace_ms / 1000,
        kept_s=settings.resume_kept_ms / 1000,
        answers_max=settings.resume_answers_max,
        bytes_max=settings.resume_bytes_max,
    )
    shared = None
    if settings.redis_url is not None:
        url = settings.redis_url.get_secret_value()
        shared = open_redis_answers(url, grace_s=limits.grace_s, kept_s=limits.kept_s)
    return KeptAnswers(limits, clock, shared=shared, alone=settings.workers == 1)


async def _stop(*work: asyncio.Task[None]) -> None:
    await asyncio.sleep(0)  # what was only just begun begins, so that it ends as all does
    for one in work:
        one.cancel()
    await asyncio.gather(*work, return_exceptions=True)


async def _drop_shared(key: str, shared: SharedAnswers) -> None:
    with suppress(AnswersUnreachable):  # there it expires by itself
        await shared.drop(key)


def gone() -> ProblemError:
    """410."""
    return ProblemError("answer-gone", "This answer is kept no more. Ask again.")


def unreachable() -> ProblemError:
    """503."""
    return ProblemError("answers-unreachable", "Where answers are kept for all workers cannot be asked. Try again.")


def _key(token: str) -> str:
    """Names an answer without telling the token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _owner(request_id: str, principals: Principals) -> str:
    """Who may read an answer: who asked, under the same request id."""
    return json.dumps([request_id, *sorted(principals)])
