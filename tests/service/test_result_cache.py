"""Results that were given before: exact, complete, the asker's own, and of this snapshot, or none."""

from __future__ import annotations

import asyncio
import dataclasses
import json

import pytest

from service.adapters.generator import Told
from service.answer import answer, search
from service.budget import Budgets, Deadline, StageOverrun
from service.cache_keys import _ELSEWHERE, _KEYED, ENGINE_FIELDS, ENGINE_PARTS, cache_key, canonical_filter
from service.cache_store import sealed
from service.caches import identity_of, open_caches
from service.contract import fold
from service.engine import Engine
from service.question import Question, Turn
from service.settings import ServiceSettings
from store.errors import LegUnavailable
from store.filters import parse_filter

QUESTION = Question("r1", "How long do otters sleep?", top_k=5)


def caches(clock, **settings):
    chosen = ServiceSettings(cache_searches=True, cache_answers="deterministic", **settings)
    return open_caches(chosen, clock)


@pytest.fixture
def kept(engine):
    """The engine, with caches of its own."""
    opened = caches(engine.clock)
    opened.serve(engine.scope)
    return dataclasses.replace(engine, searches=opened.searches, answers=opened.answers)


def searched(engine, question=QUESTION, total_ms=None):
    return search(question, engine, Deadline(engine.clock, total_ms))


async def answered(engine, question=QUESTION, total_ms=None):
    return [event async for event in answer(question, engine, Deadline(engine.clock, total_ms))]


def stages(response):
    return {one.name: one.outcome for one in response.stages}


def bare(response):
    return response.model_dump(exclude={"request_id", "stages"})


class Counting:
    """A part of an engine that counts its calls."""

    def __init__(self, part, method):
        self._part, self._method, self.calls = part, method, 0
        self.hold: asyncio.Event | None = None

    def __getattr__(self, name):
        found = getattr(self._part, name)
        if name != self._method:
            return found

        async def counted(*args, **kwargs):
            self.calls += 1
            if self.hold is not None:
                await self.hold.wait()
            return await found(*args, **kwargs)

        return counted


def counting(engine):
    snapshot = Counting(engine.snapshot, "lexical")
    return snapshot, dataclasses.replace(engine, snapshot=snapshot)


class TestSearch:
    def test_an_equal_search_is_given_the_same_with_its_own_id_and_stages(self, kept):
        async def run():
            snapshot, engine = counting(kept)
            first = await searched(engine)
            await asyncio.sleep(0)
            again = await searched(engine, dataclasses.replace(QUESTION, request_id="r2"))
            assert bare(again) == bare(first)
            assert (again.request_id, stages(again), snapshot.calls) == ("r2", {"cache": "ok"}, 1)
            assert stages(first)["cache"] == "skipped"
            assert bare(first) == bare(await searched(dataclasses.replace(engine, searches=None)))

        asyncio.run(run())

    @pytest.mark.parametrize(
        "other",
        [
            {"text": "how long do otters sleep?"},
            {"principals": frozenset({"staff"})},
            {"mode": "lexical"},
            {"top_k": 4},
            {"filter": parse_filter({"lang": "en"})},
            {"segment_words": 0},
            {"rerank": True},
        ],
        ids=str,
    )
    def test_one_that_differs_in_anything_is_worked_on(self, kept, other):
        async def run():
            snapshot, engine = counting(kept)
            await searched(engine)
            await asyncio.sleep(0)
            await searched(engine, dataclasses.replace(QUESTION, **other))
            assert snapshot.calls == 2

        asyncio.run(run())

    def test_what_others_may_not_read_never_reaches_them(self, kept):
        async def run():
            asked = dataclasses.replace(QUESTION, text="the secret otter plan")
            staff = dataclasses.replace(asked, principals=frozenset({"staff"}))
            for question, sees in [(staff, True), (asked, False), (staff, True), (asked, False)]:
                found = await searched(kept, question)
                await asyncio.sleep(0)
                assert ("plan" in {one.document.id for one in found.results}) == sees

        asyncio.run(run())

    @pytest.mark.parametrize(
        "other",
        [{"explain": True}, {"why": "otters"}, {"vector": "given"}, {"turns": (Turn("user", "hello"),)}],
        ids=str,
    )
    def test_explanations_given_vectors_and_conversations_are_not_kept(self, kept, other):
        if "vector" in other:
            other = {"vector": kept.encoder.encode_queries(["otter"])[0]}
        assert cache_key("search", dataclasses.replace(QUESTION, **other), kept) is None

    def test_a_degraded_response_is_not_kept(self, kept):
        async def run():
            snapshot, engine = counting(kept)

            class Broken:
                space = kept.encoder.space

                def encode_queries(self, texts):
                    raise RuntimeError("no")

            broken = dataclasses.replace(engine, encoder=Broken())
            assert (await searched(broken)).degraded
            await asyncio.sleep(0)
            assert not (await searched(engine)).degraded
            assert snapshot.calls == 2

        asyncio.run(run())

    def test_a_failure_is_not_kept(self, kept):
        async def run():
            _, engine = counting(kept)
            blind = dataclasses.replace(engine, encoder=None)
            dense = dataclasses.replace(QUESTION, mode="dense")
            for _ in range(2):
                with pytest.raises(LegUnavailable):
                    await searched(blind, dense)
            assert (await searched(engine, dense)).results

        asyncio.run(run())

    def test_an_entry_that_cannot_be_read_is_a_miss_and_counted(self, kept):
        async def run():
            key = cache_key("search", QUESTION, kept)
            for payload in (b"", b"not JSON", b'{"request_id": "x"}', b"\xff" * 100):
                await kept.searches.store.put(key, sealed(key, payload))
                found = await searched(kept)
                assert found.results
                assert "dense" in stages(found)
                await asyncio.sleep(0)
            assert kept.searches.counts.errors == 4

        asyncio.run(run())


class TestEqualOnesAtOnce:
    def test_they_are_searched_for_once_and_each_has_its_own_id_and_stages(self, kept):
        async def run():
            snapshot, engine = counting(kept)
            snapshot.hold = asyncio.Event()
            asked = [
                asyncio.create_task(searched(engine, dataclasses.replace(QUESTION, request_id=f"r{number}")))
                for number in range(5)
            ]
            await asyncio.sleep(0.02)
            snapshot.hold.set()
            found = await asyncio.gather(*asked)
            assert snapshot.calls == 1
            assert [one.request_id for one in found] == [f"r{number}" for number in range(5)]
            assert all(bare(one) == bare(found[0]) for one in found)
            assert [stages(one).get("shared") for one in found] == [None, "ok", "ok", "ok", "ok"]
            assert kept.searches.counts.shared == 4

        asyncio.run(run())

    def test_a_short_deadline_is_kept_and_harms_nobody_else(self, kept):
        async def run():
            snapshot, engine = counting(kept)
            snapshot.hold = asyncio.Event()
            patient = asyncio.create_task(searched(engine))
            await asyncio.sleep(0.01)
            with pytest.raises(StageOverrun):  # it works alone, and the held leg takes all its time
                await searched(engine, total_ms=60)
            snapshot.hold.set()
            assert not (await patient).degraded
            assert snapshot.calls == 2

        asyncio.run(run())

    def test_whoever_joined_is_not_bound_to_the_time_of_whoever_came_first(self, kept):
        async def run():
            snapshot = Counting(kept.snapshot, "passages")
            snapshot.hold = asyncio.Event()
            engine = dataclasses.replace(kept, snapshot=snapshot)
            first = asyncio.create_task(searched(engine, total_ms=1_010))
            await asyncio.sleep(0.01)
            patient = asyncio.create_task(searched(engine, dataclasses.replace(QUESTION, request_id="r2")))
            with pytest.raises(StageOverrun):
                await first
            snapshot.hold.set()
            found = await patient
            assert found.request_id == "r2"
            assert len(found.results) > 0

        asyncio.run(run())

    @pytest.mark.parametrize("total_ms", [None, 100])
    def test_a_store_that_hangs_takes_no_more_than_its_budget_and_the_requests_time(self, kept, total_ms):
        class Hangs:
            async def get(self, _):
                await asyncio.Event().wait()

            async def put(self, *_):
                pass

        async def run():
            kept.searches.store = Hangs()
            kept.searches._budget_ms = 20 if total_ms is None else 60_000
            work = asyncio.wait_for(searched(kept, total_ms=total_ms), 5)
            if total_ms is None:
                found = await work
                assert stages(found)["cache"] == "timeout"
                assert len(found.results) > 0
            else:
                with pytest.raises(StageOverrun):
                    await work
            assert kept.searches.counts.errors == 1

        asyncio.run(run())

    @pytest.mark.parametrize("settings", [{"budgets": False}, {"answer_budget_ms": None}])
    def test_without_a_budget_for_the_whole_only_answers_without_a_deadline_are_shared(self, engine, settings):
        answers = caches(engine.clock, **settings).answers
        assert answers._shares(Deadline(engine.clock, None))
        assert not answers._shares(Deadline(engine.clock, 1e9))

    def test_only_those_of_one_engine_share_work(self, kept):
        """Another engine may be of the same snapshot (calibrated anew), and closed before the work ends."""

        async def run():
            snapshot, engine = counting(kept)
            snapshot.hold = asyncio.Event()
            other = dataclasses.replace(engine)
            asked = [asyncio.create_task(searched(one)) for one in (engine, other)]
            await asyncio.sleep(0.02)
            snapshot.hold.set()
            await asyncio.gather(*asked)
            assert snapshot.calls == 2

        asyncio.run(run())


class TestAnswer:
    def test_events_are_replayed_with_their_own_id_and_stages_and_nothing_used(self, kept):
        async def run():
            first = fold(await answered(kept))
            await asyncio.sleep(0)
            events = await answered(kept, dataclasses.replace(QUESTION, request_id="r2"))
            again = fold(events)
            assert again.verdict == "grounded"
            assert events[0].request_id == again.request_id == "r2"
            assert bare(again) == bare(first)
            assert stages(again) == {"cache": "ok"}

        asyncio.run(run())

    def test_a_refusal_is_kept_too(self, kept):
        async def run():
            strict = dataclasses.replace(kept, abstain_below=1.0)
            first = fold(await answered(strict))
            await asyncio.sleep(0)
            assert first.verdict == "abstained"
            assert stages(fold(await answered(strict))) == {"cache": "ok"}
            assert fold(await answered(kept)).verdict == "grounded"  # another threshold, another answer

        asyncio.run(run())

    def test_an_answer_in_which_something_fell_back_or_went_unchecked_is_not_kept(self, kept):
        class Falls:
            usage = kept.generator.usage

            async def generate(self, question, sources, evidence):
                yield Told("generate: another wrote")
                yield "Otters eat 15 kg of fish in 2023 [1]."

        async def run():
            for engine in (
                dataclasses.replace(kept, generator=Falls()),
                dataclasses.replace(kept, budgets=dataclasses.replace(Budgets.lifted(), ground_ms=0.0001)),
            ):
                await answered(engine)
                await asyncio.sleep(0)
                assert "dense" in stages(fold(await answered(engine)))

        asyncio.run(run())

    def test_equal_questions_are_answered_once_and_a_late_one_gets_all_of_it(self, kept):
        class Slow:
            usage = kept.generator.usage
            calls = 0

            async def generate(self, question, sources, evidence):
                Slow.calls += 1
                yield "The otter sleeps five hours a day [1].\n\nIt does not eat bread [1].\n\nIt "
                await go.wait()
                yield "does not eat bread [1].\n\n"

        go = asyncio.Event()

        async def run():
            engine = dataclasses.replace(kept, generator=Slow())
            first = answer(QUESTION, engine, Deadline(engine.clock, None))
            seen = []
            async with asyncio.timeout(10):
                while not seen or seen[-1].type != "sentence":
                    seen.append(await anext(first))
            late = asyncio.create_task(answered(engine, dataclasses.replace(QUESTION, request_id="late")))
            await asyncio.sleep(0.01)
            await first.aclose()  # the first one leaves
            go.set()
            found = fold(await late)
            assert found.request_id == "late"
            assert "five hours" in found.answer
            assert found.finish_reason == "stop"
            assert stages(found) == {"cache": "skipped", "shared": "ok"}
            assert Slow.calls == 1

        asyncio.run(run())

    @pytest.mark.parametrize("sentence", ["", "The otter sleeps five hours a day [1].\n\n"])
    def test_an_answer_that_was_joined_ends_with_its_own_time(self, engine, sentence):
        class Stalls:
            usage = engine.generator.usage

            async def generate(self, question, sources, evidence):
                yield f"{sentence}It "
                await asyncio.Event().wait()

        opened = caches(engine.clock, answer_budget_ms=200)
        opened.serve(engine.scope)

        async def run():
            stalled = dataclasses.replace(engine, generator=Stalls(), answers=opened.answers, searches=None)
            first = asyncio.create_task(answered(stalled))
            await asyncio.sleep(0.01)
            found = fold(await asyncio.wait_for(answered(stalled, total_ms=190), 5))
            first.cancel()
            assert found.finish_reason == "deadline"
            assert found.verdict == ("partial" if sentence else "abstained")
            assert stages(found)["shared"] == "timeout"
            assert any(one.startswith("shared: ") for one in found.degraded)

        asyncio.run(run())

    def test_the_last_that_leaves_stops_the_generator(self, kept):
        stopped = []

        class Endless:
            usage = kept.generator.usage

            async def generate(self, question, sources, evidence):
                try:
                    while True:
                        yield "The otter sleeps five hours a day [1]. "
                        await asyncio.sleep(0.01)
                finally:
                    stopped.append(True)

        async def run():
            engine = dataclasses.replace(kept, generator=Endless())
            readers = [asyncio.create_task(answered(engine)) for _ in range(3)]
            await asyncio.sleep(0.2)
            for reader in readers:
                assert not stopped
                reader.cancel()
                await asyncio.wait({reader})
            assert stopped == [True]
            assert asyncio.all_tasks() == {asyncio.current_task()}

        asyncio.run(run())

    def test_a_chat_models_answers_are_kept_only_where_that_is_set(self):
        def answers(**settings):
            return open_caches(ServiceSettings(**settings), lambda: 0.0).answers

        assert answers() is None
        assert answers(cache_answers="deterministic") is not None
        assert answers(cache_answers="deterministic", generator="openai") is None
        assert answers(cache_answers="all", generator="openai") is not None


class TestSnapshots:
    def test_what_was_kept_of_a_snapshot_is_neither_found_nor_added_to_once_another_is_served(self, kept):
        opened = caches(kept.clock)
        opened.serve(kept.scope)
        engine = dataclasses.replace(kept, searches=opened.searches)
        snapshot, engine = counting(engine)

        async def run():
            await searched(engine)
            await asyncio.sleep(0)
            opened.serve("another")
            assert opened.searches.counts.entries == 1
            await opened.tidy()
            assert opened.searches.counts.entries == 0
            await searched(engine)  # a late request of the old snapshot
            await asyncio.sleep(0)
            assert opened.searches.counts.entries == 0
            opened.serve(engine.scope)  # rolled back
            await searched(engine)
            await asyncio.sleep(0)
            assert opened.searches.counts.entries == 1
            assert snapshot.calls == 3

        asyncio.run(run())

    def test_in_redis_too(self, kept, redis_url):
        import redis.asyncio

        workers = [caches(kept.clock, redis_url=redis_url, redis_budget_ms=2_000) for _ in range(2)]

        async def run():
            client = redis.asyncio.Redis.from_url(redis_url, driver_info=None)
            for worker in workers:
                worker.serve(kept.scope)
            snapshot, engine = counting(kept)
            one, two = (dataclasses.replace(engine, searches=w.searches, answers=w.answers) for w in workers)
            await searched(one)
            await answered(one)
            async with asyncio.timeout(5):
                while await client.dbsize() < 2:  # noqa: ASYNC110  # it is in another program
                    await asyncio.sleep(0.01)
            assert stages(await searched(two)) == {"cache": "ok"}
            assert stages(fold(await answered(two))) == {"cache": "ok"}
            assert snapshot.calls == 2
            for worker in workers:
                worker.serve("another")
                await worker.tidy()
                await worker.close()
            assert await client.dbsize() == 0
            await client.aclose()

        asyncio.run(run())


class TestKeys:
    def test_every_field_of_a_question_is_in_the_key_or_known_to_refuse_one(self, kept):
        refused = {"turns", "vector", "explain", "why"}
        assert {one.name for one in dataclasses.fields(Question)} >= _KEYED.keys() | _ELSEWHERE | refused
        unknown = {one.name for one in dataclasses.fields(Question)} - _KEYED.keys() - _ELSEWHERE - refused
        for one in dataclasses.fields(Question):  # what is new has a default under which nothing changed
            assert one.name not in unknown or one.default is not dataclasses.MISSING

    def test_every_field_of_an_engine_is_in_the_key_or_named_with_its_reason(self):
        assert {one.name for one in dataclasses.fields(Engine)} == {*ENGINE_FIELDS, "scope"} | ENGINE_PARTS

    @pytest.mark.parametrize("name", [name for name in ENGINE_FIELDS if name != "lexical_feedback"])
    def test_every_number_of_an_engine_changes_the_key(self, kept, name):
        value = getattr(kept, name)
        other = dataclasses.replace(kept, **{name: f"{value}x" if isinstance(value, str) else value + 1})
        assert cache_key("search", QUESTION, other) != cache_key("search", QUESTION, kept)

    def test_searches_and_answers_share_no_key(self, kept):
        assert cache_key("search", QUESTION, kept) != cache_key("answer", QUESTION, kept)

    def test_the_service_default_and_saying_so_are_the_same(self, kept):
        said = dataclasses.replace(QUESTION, rerank=kept.rerank_by_default, request_id="r9")
        assert cache_key("search", said, kept) == cache_key("search", QUESTION, kept)

    @pytest.mark.parametrize(
        ("one", "two", "same"),
        [
            ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
            ({"a": {"$in": [1, 2]}}, {"a": {"$in": [2, 1, 1]}}, True),
            ({"$or": [{"a": 1}, {"b": 2}]}, {"$or": [{"b": 2}, {"a": 1}]}, True),
            ({"$or": [{"a": 1}, {"b": 2}]}, {"$and": [{"a": 1}, {"b": 2}]}, False),
            ({"a": 1}, {"a": True}, False),
            ({"a": 1}, {"a": "1"}, False),
            ({"a": None}, {"a": "None"}, False),
            ({"a": {"$in": [1]}}, {"a": {"$nin": [1]}}, False),
            ({"$not": {"a": 1}}, {"a": 1}, False),
            ({"a": "x', 'y"}, {"a": {"$in": ["x", "y"]}}, False),
        ],
    )
    def test_filters_are_the_same_whatever_their_order_and_never_otherwise(self, one, two, same):
        assert (canonical_filter(parse_filter(one)) == canonical_filter(parse_filter(two))) == same

    def test_every_setting_but_a_few_named_ones_is_in_an_engines_identity(self):
        settings = ServiceSettings()
        first = identity_of(settings, "m", {}, "1")
        changed = {"dense_feedback": 0.3, "answer_budget_ms": 7.0, "query_precision": "int8", "generator_model": "x"}
        found = {identity_of(settings.model_copy(update={k: v}), "m", {}, "1") for k, v in changed.items()}
        found |= {identity_of(settings, "n", {}, "1"), identity_of(settings, "m", {"v": "1"}, "1")}
        found.add(identity_of(settings, "m", {}, "2"))
        assert first not in found
        assert len(found) == 7
        elsewhere = settings.model_copy(update={"port": 1, "host": "0.0.0.0", "workers": 4, "redis_url": None})
        assert identity_of(elsewhere, "m", {}, "1") == first


def test_over_http_a_hit_says_so_and_is_counted(tmp_path, make_index, jsonl):
    from starlette.testclient import TestClient

    from service.http.app import create_app
    from service.wiring import Service

    folder = tmp_path / "index"
    source = jsonl(tmp_path / "d.jsonl", [{"id": "otters", "title": "Otters", "text": "The otter sleeps five hours."}])
    make_index(folder, source)
    settings = ServiceSettings(
        index=folder,
        cache_searches=True,
        cache_answers="deterministic",
        reload_poll_ms=20,
        budgets=False,
        abstain_below=0.0,
    )
    with TestClient(create_app(Service(settings))) as client:

        def ask(route, **body):
            found = client.post(f"/v1/{route}", json={"query": "How long does the otter sleep?"} | body)
            assert found.status_code == 200
            return found

        for route in ("search", "answer"):
            first, again = ask(route).json(), ask(route).json()
            assert [one["name"] for one in again["stages"]] == ["cache"]
            own = {"request_id", "stages"}
            assert {k: v for k, v in first.items() if k not in own} == {k: v for k, v in again.items() if k not in own}
            assert first["request_id"] != again["request_id"]
        streamed = ask("answer", stream=True).text
        done = json.loads(streamed.split("event: done\ndata: ")[1].splitlines()[0])
        assert done["answer"] == again["answer"]
        assert streamed.count("event: sentence") == len(again["sentences"])
        metrics = client.get("/metrics").text
        assert 'footnote_cache_hits_total{cache="searches"} 1.0' in metrics
        assert 'footnote_cache_hits_total{cache="answers"} 2.0' in metrics
        assert 'footnote_cache_hits_total{cache="vectors"} 1.0' in metrics  # searched for, then answered
        jsonl(source, [{"id": "otters", "title": "Otters", "text": "The otter sleeps nine hours."}])
        make_index(folder, source)
        client.post("/v1/index/reload")
        assert "nine hours" in ask("search").text
        assert "nine hours" in ask("answer").text
