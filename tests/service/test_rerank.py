"""Reranking, anytime: never late, never fewer scores for more time, and what goes wrong costs only the rest."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.answer import search
from service.budget import Budgets, Deadline
from service.question import Question
from service.rerank import BATCH_MS, AnytimeReranker, Pace
from service.settings import ServiceSettings
from service.wiring import Service
from store.errors import UsageError

WARM = "a text that costs what others of its length cost"


class Model:
    """Longer is better. Moves a fake clock by what each text costs; may fail or wait from some text on."""

    name = "model"

    def __init__(self, clock=None, cost_ms=0.0, call_ms=0.0, fails_from=None, waits_from=None):
        self.batches = []
        self.clock = clock
        self.cost_ms = cost_ms
        self.call_ms = call_ms
        self.fails_from = fails_from
        self.waits_from = waits_from
        self.release = threading.Event()

    def score(self, question, texts):
        done = sum(self.batches)
        self.batches.append(len(texts))
        if self.fails_from is not None and done + len(texts) > self.fails_from:
            raise RuntimeError("out of memory")
        if self.waits_from is not None and done + len(texts) > self.waits_from:
            self.release.wait(20)
        if self.clock is not None:
            self.clock.now += (self.call_ms + self.cost_ms * len(texts)) / 1000
        elif self.cost_ms:
            time.sleep((self.call_ms + self.cost_ms * len(texts)) / 1000)
        return [float(len(text)) for text in texts]


class Fake:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def reranked(model, texts, budget_ms, *, clock=None, warm_ms=None, threads=1):
    """What is scored within a budget, by a reranker whose cost for a text is known if it was `warm_ms`."""
    clock = clock or time.monotonic
    reranker = AnytimeReranker(model, clock, threads=threads)
    if warm_ms is not None:
        reranker.pace.observe(len(WARM) + 2, warm_ms)
    try:
        ends = None if budget_ms is None else clock() + budget_ms / 1000
        return asyncio.run(reranker.scores("q", texts, ends))
    finally:
        reranker.close()


@given(
    count=st.integers(0, 60),
    budget_ms=st.floats(0, 300),
    cost_ms=st.floats(0.1, 60),
    call_ms=st.floats(0, 5),
    believed_ms=st.floats(0.05, 80),
)
def test_it_is_never_later_than_the_budget_and_one_batch(count, budget_ms, cost_ms, call_ms, believed_ms):
    clock = Fake()
    model = Model(clock, cost_ms, call_ms)

    found = reranked(model, [WARM] * count, budget_ms, clock=clock, warm_ms=believed_ms)

    longest_ms = max((call_ms + cost_ms * size for size in model.batches), default=0.0)
    assert clock.now * 1000 <= budget_ms + longest_ms + 1e-6
    assert len(found.scores) <= count
    assert found.trouble is None


@given(
    lengths=st.lists(st.integers(0, 2000), max_size=40),
    budgets_ms=st.tuples(st.floats(0, 300), st.floats(0, 300)),
    cost_ms=st.floats(0.1, 30),
    call_ms=st.floats(0, 5),
)
def test_more_time_never_means_fewer_scores(lengths, budgets_ms, cost_ms, call_ms):
    texts = ["x" * length for length in lengths]
    found = []
    for budget_ms in sorted(budgets_ms):
        clock = Fake()
        found.append(reranked(Model(clock, cost_ms, call_ms), texts, budget_ms, clock=clock, warm_ms=5.0).scores)

    less, more = found
    assert more[: len(less)] == less


def test_what_is_scored_comes_first_in_fused_order():
    clock = Fake()
    texts = [WARM + "x" * number for number in range(50)]

    found = reranked(Model(clock, 4.0), texts, 100, clock=clock, warm_ms=4.0)

    assert 15 <= len(found.scores) <= 25
    assert found.scores == [float(len(text)) for text in texts[: len(found.scores)]]


@pytest.mark.parametrize("budget_ms", [None, 100])
def test_nothing_to_score_is_no_trouble_and_one_is_scored(budget_ms):
    model = Model()

    assert reranked(model, [], budget_ms).scores == []
    assert model.batches == []
    assert reranked(model, ["abc"], budget_ms).scores == [3.0]


def test_batches_are_as_large_as_their_measured_cost_allows():
    clock = Fake()
    model = Model(clock, 1.0)

    reranked(model, [WARM] * 60, None, clock=clock, warm_ms=1.0)

    assert sum(model.batches) == 60
    assert 6 <= model.batches[0] < BATCH_MS  # room for the deviation
    assert all(size <= BATCH_MS for size in model.batches)
    assert max(model.batches) >= 8  # it learns that there is little


def test_a_reranker_of_unknown_cost_starts_with_one_candidate():
    clock = Fake()
    model = Model(clock, 1.0)

    reranked(model, [WARM] * 20, None, clock=clock)

    assert model.batches[0] == 1
    assert max(model.batches) > 3


def test_no_batch_is_begun_that_would_not_end_in_time():
    clock = Fake()
    model = Model(clock, 40.0)

    found = reranked(model, [WARM] * 10, 100, clock=clock, warm_ms=40.0)

    assert len(found.scores) == 2  # 20 ms are left
    assert clock.now * 1000 == pytest.approx(80)


def test_a_slow_spell_does_not_last_for_ever():
    clock = Fake()
    model = Model(clock, 5.0)
    reranker = AnytimeReranker(model, clock)
    reranker.pace.observe(len(WARM) + 2, 5_000)  # once it took five seconds
    tries = 0
    while not model.batches:
        asyncio.run(reranker.scores("q", [WARM] * 10, clock() + 0.2))
        tries += 1
        assert tries < 60
    for _ in range(60):
        found = asyncio.run(reranker.scores("q", [WARM] * 10, clock() + 0.2))
    reranker.close()

    assert tries > 10  # and is not tried at every question either
    assert len(found.scores) == 10


def test_a_reranker_that_raises_keeps_what_was_scored_before():
    found = reranked(Model(fails_from=3), [WARM] * 10, 1_000)

    assert 0 < len(found.scores) <= 3
    assert "RuntimeError" in found.trouble


@pytest.mark.parametrize("wrong", [[1.0], [1.0, 2.0, 3.0], [1.0, float("nan")], [1.0, 1e200]])
def test_scores_that_do_not_fit_are_none(wrong):
    model = Model()
    model.score = lambda _question, texts: wrong if len(texts) > 1 else wrong[:0]

    found = reranked(model, ["a", "b"], None)

    assert found.scores == []
    assert "ValueError" in found.trouble


@pytest.mark.parametrize("error", [StopIteration, SystemExit, MemoryError])
def test_whatever_it_raises_is_told(error):
    model = Model()

    def raises(_question, _texts):
        raise error

    model.score = raises
    found = reranked(model, ["a"], 1_000)

    assert found.scores == []
    assert "model failed" in found.trouble


def test_one_that_hangs_costs_the_budget_and_no_more():
    model = Model(waits_from=2)
    began = time.monotonic()

    try:
        found = reranked(model, [WARM] * 10, 150)
        took_ms = (time.monotonic() - began) * 1000
    finally:
        model.release.set()

    assert 0 < len(found.scores) <= 2
    assert found.trouble is None
    assert took_ms < 150 + 100  # the loop's own start and end, on a busy machine


def test_one_that_hangs_is_left_alone_until_it_comes_back():
    model = Model(waits_from=0)
    ahead_s = [0.0]
    clock = lambda: time.monotonic() + ahead_s[0]  # noqa: E731
    reranker = AnytimeReranker(model, clock)

    async def ask(budget_ms):
        return await reranker.scores("q", [WARM], clock() + budget_ms / 1000)

    try:
        assert asyncio.run(ask(30)).scores == []
        assert (
            asyncio.run(ask(30)).trouble is None
        )  # late so far, as it may be under load: waited for within the budget
        ahead_s[0] = 2.0
        began = time.monotonic()
        busy = asyncio.run(ask(5_000))
        took_s = time.monotonic() - began
    finally:
        model.release.set()

    assert "still busy" in busy.trouble
    assert took_s < 2
    assert len(model.batches) == 1
    reranker._executor.shutdown()  # all came back
    assert reranker._left_behind == {}


def test_a_client_that_goes_away_leaves_nothing_waiting():
    model = Model(waits_from=0)
    reranker = AnytimeReranker(model, time.monotonic)

    async def go_away():
        first = asyncio.create_task(reranker.scores("q", [WARM], None))
        second = asyncio.create_task(reranker.scores("q", [WARM], None))
        await asyncio.sleep(0.05)
        first.cancel()
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        assert first.cancelled()
        assert second.cancelled()

    try:
        asyncio.run(go_away())
        assert len(reranker._left_behind) == 1
    finally:
        model.release.set()
    reranker._executor.shutdown()
    assert len(model.batches) == 1  # the second had not begun and never will


def test_with_the_real_clock_it_is_not_late_either():
    reranker = AnytimeReranker(Model(cost_ms=2.0), time.monotonic)
    reranker.warm()
    late_ms, counts = [], []

    async def ask():
        for _ in range(10):
            ends = time.monotonic() + 0.05
            found = await reranker.scores("q", [WARM * 20] * 50, ends)
            late_ms.append((time.monotonic() - ends) * 1000)
            counts.append(len(found.scores))

    asyncio.run(ask())
    reranker.close()

    assert sorted(late_ms)[-2] <= BATCH_MS * 2  # one of ten may meet a busy machine
    assert max(counts) >= 8


def test_the_pace_is_kept_whole_by_many_threads():
    pace = Pace()
    threads = [threading.Thread(target=lambda: [pace.observe(100, 5.0) for _ in range(500)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert pace.expect_ms(100) == pytest.approx(5.0, rel=0.01)


def ask(engine, text="otter fish water", **question):
    return asyncio.run(search(Question("r", text, rerank=True, **question), engine, Deadline(engine.clock, None)))


@pytest.fixture
def with_model(engine):
    made = []

    def make(model, **parts):
        made.append(AnytimeReranker(model, engine.clock))
        return dataclasses.replace(engine, reranker=made[-1], **parts)

    yield make
    for one in made:
        one.close()


def test_reranking_alone_orders_by_its_scores(with_model):
    response = ask(with_model(Model(), rerank_weight=1.0))

    reranks = [one.scores.rerank for one in response.results]
    assert reranks == sorted(reranks, reverse=True)
    assert response.degraded == []
    assert [stage.outcome for stage in response.stages if stage.name == "rerank"] == ["ok"]


def test_the_final_score_is_a_blend_and_orders_the_results(with_model):
    response = ask(with_model(Model(), rerank_weight=0.5), explain=True)

    finals = [one.score for one in response.results]
    assert finals == sorted(finals, reverse=True)
    assert sum(finals) == pytest.approx(sum(one.scores.fused for one in response.results))
    assert any(one.score != pytest.approx(one.scores.fused) for one in response.results)
    assert "0.5 * model" in response.explain["rerank"]


def test_a_weight_of_nothing_and_equal_scores_leave_the_fused_order(with_model, engine):
    equal = Model()
    equal.score = lambda _question, texts: [7.0] * len(texts)
    fused = asyncio.run(search(Question("r", "otter fish water"), engine, Deadline(engine.clock, None)))
    order = [one.passage.id for one in fused.results]

    assert [one.passage.id for one in ask(with_model(Model(), rerank_weight=0.0)).results] == order
    assert [one.passage.id for one in ask(with_model(equal, rerank_weight=1.0)).results] == order


def test_candidates_beyond_the_depth_keep_their_fused_score(with_model):
    response = ask(with_model(Model(), rerank_depth=2))

    scored = [one for one in response.results if one.scores.rerank is not None]
    assert len(scored) == 2
    assert all(one.score == one.scores.fused for one in response.results if one.scores.rerank is None)
    assert response.degraded == []


def test_the_model_reads_titles_too(with_model):
    seen = []
    model = Model()
    model.score = lambda _question, texts: (seen.extend(texts), [1.0] * len(texts))[1]

    ask(with_model(model))

    assert any(text.startswith("Otters\n") for text in seen)


def test_one_that_fails_leaves_the_fused_order_and_says_so(with_model):
    response = ask(with_model(Model(fails_from=0)))

    assert response.results
    assert response.degraded == [f"rerank: 0 of {len(response.results)} candidates scored; model failed: RuntimeError"]
    assert [stage.outcome for stage in response.stages if stage.name == "rerank"] == ["failed"]


def test_one_that_hangs_is_a_timeout_within_the_budget(with_model):
    model = Model(waits_from=0)
    try:
        response = ask(with_model(model, budgets=dataclasses.replace(Budgets.lifted(), rerank_ms=40)))
    finally:
        model.release.set()

    (stage,) = [one for one in response.stages if one.name == "rerank"]
    assert response.results
    assert stage.outcome == "timeout"
    assert stage.took_ms < 40 + 60
    assert any(message.startswith("rerank: 0 of") for message in response.degraded)


def test_candidates_that_cannot_be_read_in_time_are_not_waited_for(with_model):
    engine = with_model(Model(), budgets=dataclasses.replace(Budgets.lifted(), rerank_ms=40))
    read = engine.snapshot.passages
    calls = []

    async def slow_once(ids, principals):
        calls.append(ids)
        if len(calls) == 1:
            await asyncio.sleep(20)
        return await read(ids, principals)

    class Slow:
        passages = staticmethod(slow_once)

        def __getattr__(self, name):
            return getattr(engine.snapshot, name)

    response = ask(dataclasses.replace(engine, snapshot=Slow()))

    assert response.results
    assert any(message.startswith("rerank: 0 of") for message in response.degraded)


def test_reranking_by_default_without_a_reranker_is_refused_at_the_start(tmp_path):
    with pytest.raises(UsageError, match="no reranker is set"):
        Service(ServiceSettings(index=tmp_path, rerank=True))
