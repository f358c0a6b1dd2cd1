"""Reranking, anytime: candidates in fused order, in batches, until the time is up; what is scored by then counts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor

from service.adapters.reranker import Reranker
from service.budget import Deadline

_BATCH = 4


async def rerank_scores(
    question: str,
    texts: Sequence[str],
    reranker: Reranker,
    executor: Executor,
    budget_ms: float | None,
    deadline: Deadline,
) -> list[float]:
    """Scores of the first texts, as many as the budget allows; no batch is begun that would likely not fit."""
    allowed = deadline.allow_ms(budget_ms)
    started = deadline.clock()
    scores: list[float] = []
    slowest_ms = 0.0
    loop = asyncio.get_running_loop()
    for at in range(0, len(texts), _BATCH):
        spent_ms = (deadline.clock() - started) * 1000
        left_ms = None if allowed is None else allowed - spent_ms
        if left_ms is not None and left_ms <= slowest_ms:
            break
        running = loop.run_in_executor(executor, reranker.score, question, texts[at : at + _BATCH])
        try:
            async with asyncio.timeout(None if left_ms is None else left_ms / 1000):
                scores.extend(await running)
        except TimeoutError:
            break
        slowest_ms = max(slowest_ms, (deadline.clock() - started) * 1000 - spent_ms)
    return scores


def merged(order: Sequence[str], scores: Sequence[float]) -> list[str]:
    """Reranked ids first, best first; then those that were not reached, in the order they had."""
    reached = sorted(range(len(scores)), key=lambda position: (-scores[position], position))
    return [order[position] for position in reached] + list(order[len(scores) :])
