"""Reranking, anytime: candidates in fused order, in batches of measured cost, until the time is up; what is scored by
then counts.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from service.adapters.reranker import Reranker
from service.budget import Clock

_LOG = logging.getLogger("footnote.rerank")

BATCH_MS = 10.0
"""What a batch is meant to take. A batch is begun only if it should end in time, so up to so much is left unused;
smaller ones cost more calls.
"""

_TEXT_CHARS = 1_500
"""Characters of a text that count towards its cost: rerankers read 256 tokens or so and leave the rest."""

_SCORE_MAX = 1e100  # of a score, whose square is taken
_HANGS_S = 1.0  # after its question went on without it, a batch is taken to hang

_WARM_TEXT = "The quick brown fox jumps over the lazy dog, which sleeps in the shade of an old oak. " * 10
_WARM_S = 10.0


class Pace:
    """What a reranker takes, learned while it works: milliseconds for each character it is given. Safe across threads.

    Mean and mean deviation are smoothed as TCP does for its timeouts (Jacobson, SIGCOMM 1988; RFC 6298), and a batch is
    expected to take the mean and twice the deviation.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._mean_ms: float | None = None
        self._deviation_ms = 0.0

    def observe(self, work: int, took_ms: float) -> None:
        """So much work (characters) took so long."""
        rate = took_ms / work
        with self._guard:
            if self._mean_ms is None:
                self._mean_ms, self._deviation_ms = rate, rate / 4
                return
            self._deviation_ms += (abs(rate - self._mean_ms) - self._deviation_ms) / 4
            self._mean_ms += (rate - self._mean_ms) / 8

    def expect_ms(self, work: int) -> float:
        """What so much work is expected to take; 0 while nothing is known."""
        with self._guard:
            return 0.0 if self._mean_ms is None else (self._mean_ms + 2 * self._deviation_ms) * work

    def passed_over(self) -> None:
        """A question had no time for even one batch: expect a tenth less of the next, or a slow spell lasts forever."""
        with self._guard:
            if self._mean_ms is not None:
                self._mean_ms *= 0.9
                self._deviation_ms *= 0.9


@dataclass(frozen=True, slots=True)
class Reranked:
    """Scores of the first candidates, as many as were reached; `trouble` is why there are no more, if not for time."""

    scores: list[float]
    trouble: str | None = None


class AnytimeReranker:
    """A reranker that is asked within a time limit, and what is known of its cost. It lives as long as the service.

    It has threads of its own, so that one that hangs takes none from retrieval; while every one of them is held by a
    batch whose question went on without it a second ago or more, it is not asked.

    Args:
        reranker: scores pairs; blocking.
        clock: monotonic seconds.
        threads: batches that may run at once.
    """

    def __init__(self, reranker: Reranker, clock: Clock, *, threads: int = 1) -> None:
        self.name = reranker.name
        self.pace = Pace()
        self._reranker = reranker
        self._clock = clock
        self._threads = threads
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="footnote-rerank")
        self._guard = threading.Lock()
        self._left_behind: dict[Future[list[float]], float] = {}  # and when that was

    def warm(self) -> None:
        """Score a passage of usual length a few times, so that the first question finds a cost that was measured."""
        try:
            self._executor.submit(self._reranker.score, "warm up", [_WARM_TEXT]).result(_WARM_S)  # the first is slower
            for _ in range(3):
                self._executor.submit(self._score, "warm up", [_WARM_TEXT]).result(_WARM_S)
        except Exception as error:  # noqa: BLE001  # whatever it raises; each question will tell
            _LOG.warning("the reranker %s does not work", self.name, exc_info=error)

    def close(self) -> None:
        """Begin nothing more."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def scores(self, question: str, texts: Sequence[str], ends: float | None) -> Reranked:
        """Scores of the first texts, as many as can be had until the clock shows `ends` (None: of all).

        Batches do not depend on how much time is left, so that more time never means fewer scores. Whatever the
        reranker raises ends it, and what was scored before is kept.
        """
        scores: list[float] = []
        while len(scores) < len(texts):
            batch, expected_ms = self._batch(question, texts[len(scores) :])
            left_s = None if ends is None else ends - self._clock()
            if left_s is not None and left_s * 1000 <= expected_ms:
                if not scores:
                    self.pace.passed_over()
                break
            if self._hangs():
                return Reranked(scores, f"{self.name} is still busy with an earlier question")
            try:
                found = await self._within(left_s, question, batch)
            except Exception as error:  # noqa: BLE001  # a model may raise anything; the fused order is there
                _LOG.warning("the reranker %s failed", self.name, exc_info=error)
                return Reranked(scores, f"{self.name} failed: {type(error).__name__}")
            if found is None:
                break
            scores.extend(found)
        return Reranked(scores)

    def _batch(self, question: str, texts: Sequence[str]) -> tuple[list[str], float]:
        """As many of the first texts as should take BATCH_MS, at least one, and what they should take."""
        batch = [texts[0]]
        expected_ms = self.pace.expect_ms(_work(question, batch))
        if expected_ms > 0:
            for text in texts[1:]:
                longer_ms = self.pace.expect_ms(_work(question, [*batch, text]))
                if longer_ms > BATCH_MS:
                    break
                batch.append(text)
                expected_ms = longer_ms
        return batch, expected_ms

    async def _within(self, left_s: float | None, question: str, batch: list[str]) -> list[float] | None:
        """The batch's scores; None if it does not end in time, and is left behind."""
        work = self._executor.submit(self._score, question, batch)
        waiting = asyncio.wrap_future(work)
        try:
            await asyncio.wait({waiting}, timeout=left_s)
            return waiting.result() if waiting.done() else None
        finally:
            if not waiting.done():
                waiting.cancel()
                if not work.cancel():  # it runs, and will until it ends by itself
                    with self._guard:
                        self._left_behind[work] = self._clock()
                    work.add_done_callback(self._came_back)

    def _came_back(self, work: Future[list[float]]) -> None:
        with self._guard:
            self._left_behind.pop(work, None)

    def _hangs(self) -> bool:
        """Whether every thread is held."""
        with self._guard:
            held = sum(self._clock() - since > _HANGS_S for since in self._left_behind.values())
        return held >= self._threads

    def _score(self, question: str, batch: list[str]) -> list[float]:
        began = self._clock()
        try:
            scores = self._reranker.score(question, batch)
        except (StopIteration, SystemExit) as error:  # which mean something else to whoever waits
            raise RuntimeError(f"{self.name} raised {error!r}") from error
        self.pace.observe(_work(question, batch), (self._clock() - began) * 1000)
        if len(scores) != len(batch) or not all(abs(score) <= _SCORE_MAX for score in scores):
            raise ValueError(f"{self.name} gave {len(scores)} scores for {len(batch)} texts, or one that is no number")
        return scores


def _work(question: str, texts: Sequence[str]) -> int:
    """Characters a reranker is given: all texts of a batch are filled up to the longest."""
    return len(texts) * (len(question) + max(min(len(text), _TEXT_CHARS) for text in texts) + 1)
