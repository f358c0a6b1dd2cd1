"""Two workers and a real Redis on loopback: what one makes the other reads on, and Redis may go away."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack

import footnote_processes as processes
import pytest

from service.contract import FinishEvent, MetaEvent, SentenceEvent, SourcesEvent, Usage

META = MetaEvent(request_id="r", generation=1, query_used="q", guardrail="verified", model="m")
SENTENCE = SentenceEvent(index=0, text="東京\n\U0001f600. ", start=0, end=6, verdict="no_claim", citations=[])
FINISH = FinishEvent(finish_reason="stop", usage=Usage(provider="p", model="m"), stages=[])
WHOLE = [META, SourcesEvent(sources=[]), SENTENCE, FINISH]
BODY = {"query": "q", "stream": True, "resumable": True}


class RedisServer:
    def __init__(self, folder):
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.folder = folder
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
        )
        end = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert time.monotonic() < end
            time.sleep(0.02)

    def stop(self):
        self.process.kill()
        self.process.wait(10)

    def command(self, *words):
        with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            connection.sendall((" ".join(words) + "\r\n").encode())
            return connection.recv(100_000)


@pytest.fixture
def redis_server(tmp_path):
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is missing")
    server = RedisServer(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def gate(monkeypatch):
    """The pipeline goes up to event `.upto`."""

    class Gate:
        upto = 1

    state = Gate()

    async def answer(*_):
        for number, item in enumerate(WHOLE, 1):
            while number > state.upto:  # noqa: ASYNC110  # the test is in another thread
                await asyncio.sleep(0.002)
            yield item

    monkeypatch.setattr("service.http.routes_questions.answer", answer)
    return state


@pytest.fixture
def workers(app_over, shared_index, serve, redis_server):
    """Two workers of one service, each on a port of its own."""
    settings = {"workers": 2, "redis_url": redis_server.url, "resume_grace_ms": 3_000}
    return [serve(app_over(shared_index, ping_s=0.2, **settings)) for _ in range(2)]


def read_at(server, response, last=0, token=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    server.connections.append(connection)
    headers = {"x-resume-token": token or response.getheader("x-resume-token"), "last-event-id": str(last)}
    connection.request("GET", f"/v1/answers/{response.getheader('x-request-id')}/events", headers=headers)
    answered = connection.getresponse()
    server.connections.append(answered)
    return answered


def event(response):
    """The next event, pings left out."""
    lines = []
    while (line := response.readline()) != b"":
        if line == b"\n":
            if lines:
                break
        elif not line.startswith(b":"):
            lines.append(line)
    return b"".join(lines)


def rest(response):
    """All that is left, without pings: a busy machine has some."""
    return response.read().replace(b": ping\n\n", b"")


def found(server, response, last=0):
    """A reader at the other worker, once what was written is there."""
    end = time.monotonic() + 5
    while (answered := read_at(server, response, last)).status == 404 and time.monotonic() < end:
        time.sleep(0.01)
    return answered


def test_another_worker_replays_and_follows_live_byte_for_byte(workers, gate):
    response = workers[0].post("/v1/answer", BODY)
    first = event(response)
    reader = found(workers[1], response)
    assert (reader.status, reader.getheader("content-type")) == (200, "text/event-stream; charset=utf-8")
    assert event(reader) == first
    gate.upto = 3
    assert [event(reader)[:15] for _ in range(2)] == [b"event: sources\n", b"event: sentence"]
    gate.upto = 4
    done = event(reader)
    assert done.startswith(b"event: done\n")
    assert rest(reader) == b""
    here, there = (rest(read_at(one, response)) for one in workers)
    assert here == there
    assert there.startswith(first)
    assert there.endswith(done + b"\n")
    assert rest(read_at(workers[1], response, 3)) == done + b"\n"
    assert read_at(workers[1], response, 4).status == 204
    assert read_at(workers[1], response, 5).status == 422
    assert read_at(workers[1], response, token="other").status == 404


@pytest.mark.slow
def test_work_goes_on_while_only_another_workers_client_reads(workers, gate):
    response = workers[0].post("/v1/answer", BODY)
    event(response)
    reader = found(workers[1], response, 1)
    for one in (response, *workers[0].connections):
        one.close()
    time.sleep(4)  # longer than the grace
    gate.upto = 4
    assert event(reader).startswith(b"event: sources\n")
    assert reader.read().count(b"event: done\n") == 1


@pytest.mark.slow
def test_work_that_nobody_reads_is_gone_at_every_worker(workers, gate, redis_server):
    response = workers[0].post("/v1/answer", BODY)
    event(response)
    waiting = found(workers[1], response)
    event(waiting)
    workers[1].connections[-2].close(), waiting.close()
    for one in (response, *workers[0].connections):
        one.close()
    time.sleep(3.5)
    end = time.monotonic() + 5
    while read_at(workers[0], response).status == 200 and time.monotonic() < end:
        time.sleep(0.2)
    assert [read_at(one, response).status for one in workers] == [410, 410]
    assert b"footnote:answer" in redis_server.command("KEYS", "*")  # that it was there, for an hour


def test_another_worker_s_answer_is_stopped_within_a_second(workers, gate, redis_server):
    response = workers[0].post("/v1/answer", BODY)
    event(response)
    reader = found(workers[1], response, 1)
    assert reader.status == 200
    connection = http.client.HTTPConnection("127.0.0.1", workers[1].port, timeout=10)
    workers[1].connections.append(connection)
    path, token = f"/v1/answers/{response.getheader('x-request-id')}", response.getheader("x-resume-token")
    connection.request("DELETE", path, headers={"x-resume-token": token})
    answered = connection.getresponse()
    assert (answered.status, answered.read()) == (204, b"")
    began = time.monotonic()
    assert response.read().count(b"answer-gone") >= 1, "the first reader is told, and so the work is over"
    assert time.monotonic() - began < 3
    assert reader.read().count(b"answer-gone") >= 1
    assert [read_at(one, response).status for one in workers] == [410, 410]
    redis_server.stop()
    connection.request("DELETE", path, headers={"x-resume-token": "another"})
    refused = connection.getresponse()
    assert (refused.status, refused.getheader("retry-after") is not None) == (503, True)


def test_redis_going_away_ends_a_foreign_reader_with_one_error_and_leaves_the_rest_alone(workers, gate, redis_server):
    response = workers[0].post("/v1/answer", BODY)
    event(response)
    reader = found(workers[1], response, 1)
    time.sleep(0.05)
    redis_server.stop()
    told = reader.read()
    assert told.count(b"event: error\n") == 1
    assert b"answers-unreachable" in told
    assert b"id: " not in told
    refused = read_at(workers[1], response, 1)
    assert refused.status == 503
    assert refused.getheader("retry-after")
    other = workers[1].post("/v1/answer", BODY)
    assert other.status == 200
    redis_server.start()  # and it knows nothing any more
    gate.upto = 4
    assert response.read().count(b"event: done\n") == 1
    end = time.monotonic() + 10
    while (again := read_at(workers[1], response, 1)).status != 200 and time.monotonic() < end:
        time.sleep(0.05)
    assert rest(again) == rest(read_at(workers[0], response, 1))


def test_a_worker_that_dies_is_found_out(redis_server, monkeypatch):
    """Its answers expire, and who reads them is told."""
    from service.adapters import redis_answers
    from service.adapters.answer_log import AnswerGone

    monkeypatch.setattr(redis_answers, "ALIVE_S", 0.3)

    async def run():
        shared = redis_answers.open_redis_answers(redis_server.url, grace_s=30, kept_s=60)
        assert await shared.write("k", 1, b"one", "owner")
        found = await shared.find("k", "owner")
        assert (await found.after(0)).frames == [b"one"]
        with pytest.raises(AnswerGone):
            await asyncio.wait_for(found.after(1), 5)
        with pytest.raises(AnswerGone):
            await shared.find("k", "owner")
        assert not await shared.write("k", 2, b"two", "owner")
        await shared.close()

    asyncio.run(run())


def test_what_was_written_twice_is_there_once(redis_server):
    from service.adapters.redis_answers import BATCH_MAX, open_redis_answers

    async def run():
        shared = open_redis_answers(redis_server.url, grace_s=30, kept_s=60)
        frames = [b"%d" % number for number in range(BATCH_MAX + 10)]
        for number, one in enumerate(frames, 1):
            assert await shared.write("k", number, one, "owner")
            assert await shared.write("k", number, one, "owner") or number == 1
        assert await shared.end("k", len(frames))
        assert await shared.end("k", len(frames))
        found = await shared.find("k", "owner")
        got, last = [], False
        while not last:
            batch = await found.after(len(got))
            got += batch.frames
            last = batch.last
        assert got == frames
        assert await shared.find("k", "another") is None
        assert await shared.find("unknown", "owner") is None
        await shared.close()

    asyncio.run(run())


@pytest.mark.parametrize("url", ["nonsense", "http://127.0.0.1", "redis://127.0.0.1:port"])
def test_an_address_that_is_none_is_said_at_the_start(app_over, shared_index, url):
    from store.errors import UsageError

    with pytest.raises(UsageError, match="redis_url"):
        app_over(shared_index, redis_url=url)


def test_worker_processes_are_handed_the_address_and_not_its_stars(monkeypatch, shared_index):
    from pydantic import SecretStr

    from service.http.serve import _to_environment
    from service.settings import ServiceSettings

    monkeypatch.setattr("os.environ", {})
    url = "redis://:word@127.0.0.1:6379/0"
    settings = ServiceSettings(index=shared_index, workers=2, redis_url=url, generator_api_key="key")
    assert "word" not in repr(settings)
    _to_environment(settings)
    import os

    assert os.environ["FOOTNOTE_REDIS_URL"] == url
    assert os.environ["FOOTNOTE_GENERATOR_API_KEY"] == "key"
    assert isinstance(settings.redis_url, SecretStr)


def test_a_connection_that_just_broke_is_one_that_cannot_be_asked():
    """uvloop has an error of its own for writing to it."""
    from service.adapters.answer_log import AnswersUnreachable
    from service.adapters.redis_answers import RedisAnswers

    class Broken:
        async def pexpire(self, *_):
            raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")

    with pytest.raises(AnswersUnreachable, match="closed"):
        asyncio.run(RedisAnswers(Broken(), grace_s=1, kept_s=1).keep_alive("k"))


def test_a_worker_that_is_told_to_end_finishes_what_is_read_at_another_one(shared_index, tmp_path, redis_server):
    script = tmp_path / "script.jsonl"
    script.write_text(json.dumps({"pieces": ["Refunds take 14 days [1].\n"] * 3, "delay_ms": 700}) + "\n")
    model = {"generator": "scripted", "generator_script": script, "abstain_below": 0, "budgets": "false"}
    settings = {**model, "generator_between_ms": 60_000, "redis_url": redis_server.url, "drain_grace_ms": 0}
    with ExitStack() as stack:
        one, other = (stack.enter_context(processes.serving(shared_index, cwd=tmp_path, **settings)) for _ in range(2))
        response = one.stream({"query": "How long do refunds take?", "resumable": True})
        event(response)
        path = f"/v1/answers/{response.getheader('x-request-id')}/events"
        token = {"x-resume-token": response.getheader("x-resume-token")}
        end = time.monotonic() + 5
        while True:
            reading = other.kept()
            reading.request("GET", path, headers=token)
            reader = reading.getresponse()
            if reader.status == 200 or time.monotonic() > end:
                break
        other.open.append(reader)
        for mine in (response, one.open[0]):
            mine.close()  # the client goes on at the other worker
        one.tell(processes.TERM)
        read = reader.read()
        assert read.count(b"event: done\n") == 1, read[-300:]
        assert one.ended(20) == 0
