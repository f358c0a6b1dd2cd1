"""What is left when a client has gone, wherever its request is by then: no task, socket, stream, place or turn."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
import time

import psutil
import pytest
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

LEFT_WITHIN_S = 0.1


@pytest.fixture
def provider(serve):
    """A server that speaks OpenAI's API and never ends; `.pieces` come first, `.open` counts streams."""

    class Provider:
        pieces: tuple[str, ...] = ()
        open = 0

    state = Provider()
    state.began = threading.Event()

    async def completions(_request):
        async def lines():
            state.open += 1
            try:
                for piece in state.pieces:
                    choice = {"index": 0, "delta": {"content": piece}, "finish_reason": None}
                    chunk = {"id": "c", "created": 1, "model": "m", "object": "chat.completion.chunk"}
                    yield f"data: {json.dumps({**chunk, 'choices': [choice]})}\n\n"
                state.began.set()
                while True:
                    await asyncio.sleep(0.005)
                    yield ": waiting\n\n"
            finally:
                state.open -= 1

        return StreamingResponse(lines(), media_type="text/event-stream")

    state.server = serve(Starlette(routes=[Route("/v1/chat/completions", completions, methods=["POST"])]))
    return state


@pytest.fixture
def tasks(monkeypatch):
    """Tasks that answer, retrieve or call, by name of their coroutine, on any loop."""
    loops = []
    from service.http.edge import Edge

    called = Edge.__call__

    async def noting(self, scope, receive, send):
        loops[:] = [asyncio.get_running_loop()]
        await called(self, scope, receive, send)

    monkeypatch.setattr(Edge, "__call__", noting)

    def count():
        return sum(not one.done() for one in asyncio.all_tasks(loops[0])) if loops else 0

    return count


def sockets_to(port):
    return sum(bool(one.raddr) and one.raddr.port == port for one in psutil.Process().net_connections("tcp"))


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])
@pytest.mark.parametrize("pieces", [(), ("The ", "otter ")], ids=["before", "after"])
def test_nothing_is_left_after_a_tenth_of_a_second(
    app_over, shared_index, serve, provider, tasks, until, stream, pieces
):
    provider.pieces = pieces
    app = app_over(
        shared_index,
        generator="openai",
        generator_model="m",
        generator_api_key="k",
        generator_base_url=f"http://127.0.0.1:{provider.server.port}/v1",
        abstain_below=0.0,
    )
    server = serve(app)
    server.post("/v1/search", {"query": "refunds"}).read()
    server.connections.pop(0).close()
    time.sleep(0.05)
    before = tasks()
    body = json.dumps({"query": "How long do refunds take?", "stream": stream}).encode()
    head = (
        b"POST /v1/answer HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    )
    opened = server.raw(head % len(body) + body)
    assert provider.began.wait(20)
    until(lambda: provider.open == 1)
    assert sockets_to(provider.server.port) >= 1
    assert tasks() > before
    opened.close()
    time.sleep(LEFT_WITHIN_S)
    assert (tasks() - before, provider.open, app.state.service.holder._current.leases) == (0, 0, 0)
    assert sockets_to(provider.server.port) == 0


class SlowEncoder:
    """An encoder that takes a while, on a thread; `.began` has the time of each call."""

    def __init__(self, encoder, took_s):
        self._encoder = encoder
        self._took_s = took_s
        self.space = encoder.space
        self.began = []

    def encode_queries(self, texts):
        self.began.append(time.monotonic())
        time.sleep(self._took_s)
        return self._encoder.encode_queries(texts)


@pytest.fixture
def slow(app_over, shared_index, serve, tasks, until):
    """An application whose embedding takes 60 ms on one of two threads, served; and what is to be found at rest."""

    class Slow:
        def __init__(self, **settings):
            self.app = app_over(shared_index, executor_threads=2, **settings)
            self.service = self.app.state.service
            self.server = serve(self.app)
            self.server.post("/v1/search", {"query": "refunds"}).read()
            self.server.connections.pop(0).close()
            held = self.service.holder._current
            self.encoder = SlowEncoder(held.engine.encoder, 0.06)
            held.engine = dataclasses.replace(held.engine, encoder=self.encoder)
            time.sleep(0.05)
            self.before = tasks()

        def send(self, count, path="/v1/search", **more):
            body = json.dumps({"query": "How long do refunds take?", **more}).encode()
            head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            data = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
            return [self.server.raw(data) for _ in range(count)]

        def left(self):
            """(tasks, leases)."""
            return tasks() - self.before, self.service.holder._current.leases

    return Slow


@pytest.mark.parametrize(
    ("path", "more"),
    [("/v1/search", {}), ("/v1/answer", {}), ("/v1/answer", {"stream": True})],
    ids=["search", "answer", "stream"],
)
def test_searches_of_clients_that_left_are_not_begun(slow, until, path, more):
    """Twenty wait for two threads; two batches are under way when their clients go, and are the last ones."""
    running = slow()
    opened = running.send(20, path, **more)
    until(lambda: len(running.encoder.began) >= 2)
    assert running.left()[0] > 0
    for one in opened:
        one.close()
    gone = time.monotonic()
    time.sleep(LEFT_WITHIN_S)
    assert running.left() == (0, 0)
    assert len(running.encoder.began) < 10, "the others had not been begun"
    assert max(running.encoder.began) < gone + 0.06 + 0.03, "none is begun after those under way"
    both = threading.Barrier(2)
    meet = [running.service.executor.submit(both.wait, 5) for _ in range(2)]
    assert sorted(one.result(5) for one in meet) == [0, 1], "both threads are free"


@pytest.mark.parametrize("path", ["/v1/search", "/v1/answer"])
def test_who_leaves_the_queue_leaves_no_turn_behind(slow, until, path):
    """One place, five wait for it; they go, and the place is free for who comes then."""
    running = slow(search_concurrency_max=1, answer_concurrency_max=1, admission_wait_ms=60_000)
    opened = running.send(6, path)
    kind = path.rpartition("/")[2]

    def figure(name):
        text = running.server.get("/metrics")
        return float(text.partition(f'footnote_admission_{name}{{pool="{kind}"}} ')[2].partition("\n")[0])

    until(lambda: running.encoder.began)
    assert figure("waiting") >= 1
    for one in opened:
        one.close()
    time.sleep(LEFT_WITHIN_S)
    assert running.left() == (0, 0)
    assert (figure("running"), figure("waiting")) == (0, 0)
    assert running.server.post("/v1/search", {"query": "refunds"}).status == 200
