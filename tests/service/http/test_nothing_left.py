"""What is left when a client has gone, before or after the first text, streaming or not: no task, socket or stream."""

from __future__ import annotations

import asyncio
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
