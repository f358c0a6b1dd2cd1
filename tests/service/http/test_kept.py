"""Kept answers: work ends when nobody reads it, room is bounded, and a reader who comes back misses nothing."""

from __future__ import annotations

import asyncio
import sys
import threading
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.answer_log import AnswersUnreachable
from service.http.exchange import Exchange
from service.http.kept import SWEEP_S, KeepLimits, KeptAnswer, KeptAnswers
from service.http.problems import ProblemError
from service.http.resume import KeptStream
from service.question import ANYONE

LIMITS = KeepLimits(grace_s=30, kept_s=60, answers_max=3, bytes_max=10_000)


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


class Source:
    """Stands for an EventStream: sends `frames`, each once it may, and is silent at the end unless it `ends`."""

    def __init__(self, frames, *, ends=True):
        self.frames = frames
        self.ends = ends
        self.closed = 0
        self.may = asyncio.Semaphore(0)

    def allow(self, number=None):
        for _ in range(len(self.frames) + 1 if number is None else number):
            self.may.release()

    async def chunks(self):
        for one in self.frames:
            await self.may.acquire()
            yield one
        if not self.ends:
            await asyncio.Event().wait()

    async def close(self):
        await asyncio.sleep(0)
        self.closed += 1


def frames_of(*texts):
    return [f"event: sentence\ndata: {text}\nid: {number}\n\n".encode() for number, text in enumerate(texts, 1)]


def keeping(**settings):
    clock = Clock()
    limits = KeepLimits(**{name: getattr(LIMITS, name) for name in KeepLimits.__slots__} | settings)
    return SimpleNamespace(clock=clock, kept=KeptAnswers(limits, clock))


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


async def problem(awaited):
    with pytest.raises(ProblemError) as raised:
        await awaited
    return raised.value.kind.slug


async def read(answer, after=0, stop=None, send_s=5.0, ping_s=5.0):
    """What a client of a kept answer gets, until the end or until it leaves after `stop` bytes."""
    got = bytearray()
    left = asyncio.Event()

    async def send(message):
        got.extend(message.get("body", b""))
        if stop is not None and len(got) >= stop:
            left.set()
            await asyncio.Event().wait()

    async def receive():
        await left.wait()
        return {"type": "http.disconnect"}

    exchange = Exchange("r", "http", "h", None)
    await asyncio.wait_for(KeptStream(answer, after, exchange, ping_s=ping_s, send_s=send_s)({}, receive, send), 5)
    return bytes(got) if stop is None else bytes(got[:stop])


def last_id(data):
    """As a client knows it: events count when their blank line is there."""
    whole = data[: data.rfind(b"\n\n") + 2] if b"\n\n" in data else b""
    return whole, whole.count(b"\n\n")


@given(
    texts=st.lists(st.text("ab 東京\U0001f600é", max_size=8), min_size=1, max_size=6),
    cut=st.integers(0, 300),
    before=st.integers(0, 6),
    between=st.integers(0, 6),
)
def test_what_was_read_before_a_cut_and_what_is_read_after_it_is_the_whole_stream(texts, cut, before, between):
    """At any byte, with any part of the work done before the cut and before the reader is back."""

    async def run():
        kept = keeping().kept
        source = Source(frames_of(*texts))
        whole = b"".join(source.frames)
        token, answer = kept.keep(source, "r", ANYONE)
        source.allow(before)
        await settle()
        seen = min(cut, sum(map(len, source.frames[:before])))
        first = await read(answer, stop=seen) if seen else b""
        source.allow(between)
        await settle()
        complete, number = last_id(first)
        source.allow()
        again = await kept.find("r", token, ANYONE)
        batch = await again.reached(number)
        assert whole.startswith(complete)
        if not (batch.last and not batch.frames):
            complete += await read(again, number)
        assert complete == whole
        assert source.closed == 1

    asyncio.run(run())


def test_two_tabs_both_get_all_of_it_live():
    async def run():
        kept = keeping().kept
        source = Source(frames_of("one", "two", "three"))
        token, answer = kept.keep(source, "r", ANYONE)
        first = asyncio.create_task(read(answer))
        source.allow(1)
        await settle()
        second = asyncio.create_task(read(await kept.find("r", token, ANYONE)))
        await settle()
        source.allow()
        assert await first == await second == b"".join(source.frames)

    asyncio.run(run())


def test_a_reader_that_stops_reading_holds_nothing_up_and_is_let_go():
    async def run():
        kept = keeping().kept
        source = Source(frames_of(*"abcdef"))
        _, answer = kept.keep(source, "r", ANYONE)
        source.allow()
        exchange = Exchange("r", "http", "h", None)

        async def send(message):
            if message.get("body"):
                await asyncio.Event().wait()

        stream = KeptStream(answer, 0, exchange, ping_s=5, send_s=0.02)
        stalled = asyncio.create_task(stream({}, asyncio.Event().wait, send))
        await settle()
        assert source.closed == 1  # the work has ended
        assert answer.readers == 1
        await asyncio.wait_for(stalled, 5)
        assert (answer.readers, exchange.gone) == (0, True)
        assert kept.bytes == sum(map(len, source.frames))

    asyncio.run(run())


def test_work_that_nobody_reads_is_stopped_after_its_grace_and_no_later():
    async def run():
        at = keeping()
        source = Source(frames_of("one"), ends=False)
        token, answer = at.kept.keep(source, "r", ANYONE)
        source.allow()
        assert await read(answer, stop=3)
        at.clock.now += 30 - SWEEP_S - 0.01
        await at.kept.sweep()
        assert (source.closed, at.kept.working) == (0, 1)
        at.clock.now += 0.02
        await at.kept.sweep()
        assert (source.closed, at.kept.working, at.kept.bytes) == (1, 0, 0)
        assert await problem(at.kept.find("r", token, ANYONE)) == "answer-gone"

    asyncio.run(run())


def test_work_that_somebody_reads_goes_on():
    async def run():
        at = keeping()
        source = Source(frames_of("one", "two"))
        _, answer = at.kept.keep(source, "r", ANYONE)
        reading = asyncio.create_task(read(answer))
        await settle()
        at.clock.now += 1_000
        await at.kept.sweep()
        source.allow()
        assert await reading == b"".join(source.frames)

    asyncio.run(run())


def test_the_grace_begins_when_the_last_reader_leaves():
    async def run():
        at = keeping()
        source = Source(frames_of("one", "two"), ends=False)
        _, answer = at.kept.keep(source, "r", ANYONE)
        with answer.reading():
            at.clock.now += 100
        at.clock.now += 29
        await at.kept.sweep()
        assert source.closed == 0
        at.clock.now += 1
        await at.kept.sweep()
        assert source.closed == 1

    asyncio.run(run())


def test_an_ended_answer_is_kept_for_its_time_and_then_gone():
    async def run():
        at = keeping()
        source = Source(frames_of("one"))
        token, _ = at.kept.keep(source, "r", ANYONE)
        source.allow()
        await settle()
        at.clock.now += 60 - SWEEP_S - 0.01
        await at.kept.sweep()
        assert (await (await at.kept.find("r", token, ANYONE)).reached(0)).last
        assert (at.kept.working, at.kept.ended) == (0, 1)
        at.clock.now += 0.02
        await at.kept.sweep()
        assert (at.kept.ended, at.kept.bytes) == (0, 0)
        assert await problem(at.kept.find("r", token, ANYONE)) == "answer-gone"

    asyncio.run(run())


def test_what_ended_first_makes_room_and_what_is_being_made_does_not():
    async def run():
        at = keeping()
        sources = [Source(frames_of("one"), ends=number < 2) for number in range(3)]
        tokens = []
        for source in sources:
            tokens.append(at.kept.keep(source, "r", ANYONE)[0])
            source.allow()
            await settle()
            at.clock.now += 1
        tokens.append(at.kept.keep(Source(frames_of("x"), ends=False), "r", ANYONE)[0])
        assert await problem(at.kept.find("r", tokens[0], ANYONE)) == "answer-gone"
        at.kept.keep(Source(frames_of("y"), ends=False), "r", ANYONE)
        assert await problem(at.kept.find("r", tokens[1], ANYONE)) == "answer-gone"
        with pytest.raises(ProblemError) as raised:
            at.kept.make_room()
        assert raised.value.kind.slug == "overloaded"
        assert await at.kept.find("r", tokens[2], ANYONE)
        await at.kept.close()
        assert sources[2].closed == 1

    asyncio.run(run())


def test_bytes_are_bounded_and_an_answer_that_has_none_left_ends_with_an_error():
    async def run():
        at = keeping(bytes_max=1_000)
        small = Source(frames_of("x" * 400))
        old, _ = at.kept.keep(small, "r", ANYONE)
        small.allow()
        await settle()
        large = Source(frames_of("y" * 600, "z" * 600))
        _, answer = at.kept.keep(large, "r", ANYONE)
        large.allow()
        text = (await read(answer)).decode()
        assert await problem(at.kept.find("r", old, ANYONE)) == "answer-gone"
        assert text.startswith(large.frames[0].decode())
        assert text.count("event: error") == 1
        assert text.endswith("id: 2\n\n")
        assert "urn:footnote:problem:overloaded" in text
        assert large.closed == 1
        assert at.kept.bytes < 1_500

    asyncio.run(run())


def test_a_reader_of_an_answer_that_had_to_go_is_told_so_without_an_event_id():
    async def run():
        at = keeping()
        source = Source(frames_of("one", "two"))
        _, answer = at.kept.keep(source, "r", ANYONE)
        source.allow(1)
        reading = asyncio.create_task(read(answer))
        await settle()
        at.kept._drop(answer)
        text = (await reading).decode()
        assert text.startswith(source.frames[0].decode())
        assert "urn:footnote:problem:answer-gone" in text
        assert text.count("id: ") == 1
        await at.kept.close()

    asyncio.run(run())


def test_the_end_of_the_service_ends_the_work_and_tells_readers():
    async def run():
        at = keeping()
        source = Source(frames_of("one"), ends=False)
        just_begun = Source(frames_of("one"), ends=False)
        _, answer = at.kept.keep(source, "r", ANYONE)
        source.allow()
        reading = asyncio.create_task(read(answer))
        await settle()
        at.kept.keep(just_begun, "r", ANYONE)
        await at.kept.close()
        text = (await reading).decode()
        assert "urn:footnote:problem:draining" in text
        assert text.endswith("id: 2\n\n")
        assert (source.closed, just_begun.closed, at.kept.working) == (1, 1, 0)

    asyncio.run(run())


@pytest.mark.parametrize("ended", [False, True])
def test_an_answer_that_nobody_wants_any_more_costs_no_more_work_and_is_gone(ended):
    async def run():
        at = keeping()
        source = Source(frames_of("one"), ends=ended)
        token, answer = at.kept.keep(source, "r", ANYONE)
        source.allow()
        await settle()
        reading = asyncio.create_task(read(answer, after=0 if ended else 1))
        await settle()
        assert await problem(at.kept.stop("r", token + "x", ANYONE)) == "not-found"
        assert await problem(at.kept.stop("s", token, ANYONE)) == "not-found"
        assert (source.closed, at.kept.working) == (int(ended), int(not ended))
        await at.kept.stop("r", token, ANYONE)
        assert (source.closed, at.kept.working, at.kept.ended, at.kept.bytes) == (1, 0, 0, 0)
        told = await reading
        assert (b"answer-gone" in told) is not ended
        assert told.count(b"event: ") == 1
        for again in (at.kept.find, at.kept.stop):
            assert await problem(again("r", token, ANYONE)) == "answer-gone"
        await at.kept.close()

    asyncio.run(run())


def test_only_who_asked_reads_it_and_only_with_its_token():
    async def run():
        kept = keeping().kept
        source = Source(frames_of("one"))
        token, _ = kept.keep(source, "r", frozenset({"ada"}))
        other, _ = kept.keep(Source(frames_of("other")), "r", frozenset({"ada"}))
        source.allow()
        await settle()
        assert token != other
        assert (await (await kept.find("r", token, frozenset({"ada"}))).reached(0)).frames == source.frames
        for request_id, given_token, who in [
            ("r", token, ANYONE),
            ("r", token, frozenset({"ada", "bob"})),
            ("s", token, frozenset({"ada"})),
            ("r", token + "x", frozenset({"ada"})),
            ("r", "", frozenset({"ada"})),
            ("r", "\ud800", frozenset({"ada"})),
        ]:
            assert await problem(kept.find(request_id, given_token, who)) == "not-found"
        await kept.close()

    asyncio.run(run())


def test_the_future_is_no_place_to_read_from():
    async def run():
        kept = keeping().kept
        source = Source(frames_of("one", "two"))
        _, answer = kept.keep(source, "r", ANYONE)
        source.allow(1)
        await settle()
        assert not (await answer.reached(1)).last
        with pytest.raises(LookupError):
            await answer.reached(2)
        await kept.close()

    asyncio.run(run())


class Elsewhere:
    """Stands for what workers share: `up` or not."""

    def __init__(self):
        self.up = True
        self.written = {}
        self.ended = set()
        self.dropped = []
        self.unwanted = set()
        self.read_s = 0.0

    def _ask(self):
        if not self.up:
            raise AnswersUnreachable("down")

    async def write(self, key, number, frame, owner):
        self._ask()
        had = self.written.setdefault(key, [])
        if number > len(had) + 1:
            return False
        del had[number - 1 :]
        had.append(frame)
        return True

    async def end(self, key, number):
        self._ask()
        if len(self.written.get(key, [])) != number:
            return False
        self.ended.add(key)
        return True

    async def keep_alive(self, key):
        self._ask()

    async def drop(self, key):
        self._ask()
        self.dropped.append(key)

    async def stop(self, key):
        self._ask()
        self.unwanted.add(key)

    async def stopped(self, keys):
        self._ask()
        return self.unwanted.intersection(keys)

    async def read_within_s(self, key):
        self._ask()
        return self.read_s

    async def find(self, key, owner):
        self._ask()

    async def close(self):
        self._ask()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("service.http.kept._RETRY_S", 0.001)
    monkeypatch.setattr("service.http.kept._FAREWELL_S", 0.05)


def test_what_is_shared_is_written_again_after_it_was_away_or_lost(quick, caplog):
    async def run():
        elsewhere = Elsewhere()
        kept = KeptAnswers(LIMITS, Clock(), shared=elsewhere, alone=False)
        source = Source(frames_of("one", "two", "three"))
        token, answer = kept.keep(source, "r", ANYONE)
        source.allow(1)
        await settle()
        assert elsewhere.written[answer.key] == source.frames[:1]
        elsewhere.up = False
        source.allow(1)
        await asyncio.sleep(0.01)
        assert await read(answer, stop=5)  # here nothing is amiss
        assert await kept.find("r", token, ANYONE) is answer
        assert await problem(kept.find("r", "another token", ANYONE)) == "answers-unreachable"
        elsewhere.written.clear()
        elsewhere.up = True
        source.allow()
        for _ in range(100):
            await asyncio.sleep(0.005)
            if answer.key in elsewhere.ended:
                break
        assert elsewhere.written[answer.key] == source.frames
        assert len([one for one in caplog.records if "other workers" in one.getMessage()]) == 1
        elsewhere.up = False
        await kept.close()

    asyncio.run(run())


def test_a_reader_at_another_worker_keeps_the_work_going():
    async def run():
        clock, elsewhere = Clock(), Elsewhere()
        kept = KeptAnswers(LIMITS, clock, shared=elsewhere, alone=False)
        source = Source(frames_of("one"), ends=False)
        _, answer = kept.keep(source, "r", ANYONE)
        elsewhere.read_s = 20.0
        clock.now += 30
        await kept.sweep()
        assert source.closed == 0
        elsewhere.read_s = 0.0
        clock.now += 19
        await kept.sweep()
        assert source.closed == 0
        clock.now += 1
        await kept.sweep()
        assert source.closed == 1
        await settle()
        assert elsewhere.dropped == [answer.key]
        await kept.close()

    asyncio.run(run())


def test_a_word_left_by_another_worker_stops_the_work_unless_it_cannot_be_heard():
    async def run():
        elsewhere = Elsewhere()
        kept = KeptAnswers(LIMITS, Clock(), shared=elsewhere, alone=False)
        unwanted, wanted = Source(frames_of("one"), ends=False), Source(frames_of("one"), ends=False)
        _, answer = kept.keep(unwanted, "r", ANYONE)
        kept.keep(wanted, "s", ANYONE)
        await settle()
        await elsewhere.stop(answer.key)
        elsewhere.up = False
        await kept.sweep()
        assert (unwanted.closed, wanted.closed) == (0, 0)
        elsewhere.up = True
        await kept.sweep()
        await settle()
        assert (unwanted.closed, wanted.closed, kept.working) == (1, 0, 1)
        assert elsewhere.dropped == [answer.key]
        await kept.sweep()
        await kept.close()

    asyncio.run(run())


@pytest.mark.parametrize("reads", [False, True], ids=["waiting for news", "sending"])
def test_a_stream_that_is_cut_off_says_why_and_the_answer_stays(reads):
    """As at the limit of a drain: the client may read on elsewhere, and its last event id is what it was."""

    async def run():
        at = keeping()
        source = Source(frames_of("one", "two"), ends=False)
        token, answer = at.kept.keep(source, "r", ANYONE)
        source.allow(1)
        await settle()
        exchange, got, sending = Exchange("r", "http", "h", None), bytearray(), asyncio.Event()
        sending.set()

        async def send(message):
            await sending.wait()
            got.extend(message.get("body", b""))

        if reads:
            sending.clear()
        stream = KeptStream(answer, 0, exchange, ping_s=60, send_s=5)
        running = asyncio.create_task(stream({}, asyncio.Event().wait, send))
        await settle()
        exchange.cut(ProblemError("draining", "The process stops."))
        await settle()
        sending.set()
        await asyncio.wait_for(running, 2)
        assert got.startswith(source.frames[0])
        assert got.count(b"urn:footnote:problem:draining") == 1
        assert got.count(b"id: ") == 1
        assert await at.kept.find("r", token, ANYONE) is answer
        assert (source.closed, answer.readers) == (0, 0)
        await at.kept.close()

    asyncio.run(run())


def test_what_is_kept_is_counted_in_another_thread_while_it_changes():
    kept = keeping().kept
    told, over = [], threading.Event()

    def count():
        while not over.is_set():
            told.append((kept.ended, kept.bytes))

    counting = threading.Thread(target=count)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        counting.start()
        for number in range(20_000):
            kept._answers[str(number)] = KeptAnswer(str(number), "owner", lambda: 0.0)
            if number > 50:
                kept._answers.popitem(last=False)
    finally:
        over.set()
        counting.join()
        sys.setswitchinterval(before)
    assert counting.is_alive() is False
    assert len(told) > 10
