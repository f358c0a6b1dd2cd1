"""A client that goes away, with a provider behind the service: the provider sees its stream closed."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route


@pytest.fixture
def provider(serve):
    """A server that speaks OpenAI's API and writes without end; `.began` and `.closed` tell."""

    class Provider:
        began, closed = threading.Event(), threading.Event()
        pieces = ("The ", "otter ")

    state = Provider()
    state.began, state.closed = threading.Event(), threading.Event()

    async def completions(_request):
        async def lines():
            try:
                for piece in state.pieces:
                    choice = {"index": 0, "delta": {"content": piece}, "finish_reason": None}
                    chunk = {"id": "c", "created": 1, "model": "m", "object": "chat.completion.chunk"}
                    yield f"data: {json.dumps({**chunk, 'choices': [choice]})}\n\n"
                state.began.set()
                while True:
                    await asyncio.sleep(0.02)
                    yield ": waiting\n\n"
            finally:
                state.closed.set()

        return StreamingResponse(lines(), media_type="text/event-stream")

    state.server = serve(Starlette(routes=[Route("/v1/chat/completions", completions, methods=["POST"])]))
    return state


@pytest.fixture
def footnote(app_over, shared_index, serve, provider):
    """Footnote, whose answers that provider writes."""
    return serve(
        app_over(
            shared_index,
            generator="openai",
            generator_model="m",
            generator_api_key="k",
            generator_base_url=f"http://127.0.0.1:{provider.server.port}/v1",
            abstain_below=0.0,
        )
    )


def test_leaving_a_stream_closes_the_providers(footnote, provider):
    response = footnote.post("/v1/answer", {"query": "How long do refunds take?", "stream": True})
    assert response.readline() == b"event: meta\n"
    assert provider.began.wait(10)
    assert not provider.closed.is_set()
    for one in footnote.connections:
        one.close()
    assert provider.closed.wait(5)


def test_leaving_a_json_answer_closes_the_providers(footnote, provider):
    body = b'{"query": "How long do refunds take?"}'
    head = (
        b"POST /v1/answer HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    )
    footnote.raw(head % len(body) + body)
    assert provider.began.wait(10)
    footnote.connections[0].close()
    assert provider.closed.wait(5)


def test_leaving_while_a_question_is_rewritten_closes_the_providers(footnote, provider):
    messages = [
        {"role": "user", "content": "Who sends refunds?"},
        {"role": "assistant", "content": "The help desk."},
        {"role": "user", "content": "And when?"},
        {"role": "assistant", "content": "Soon."},
        {"role": "user", "content": "Why them?"},
    ]
    body = json.dumps({"messages": messages, "stream": True}).encode()
    head = (
        b"POST /v1/answer HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    )
    footnote.raw(head % len(body) + body)
    assert provider.began.wait(10)
    footnote.connections[0].close()
    assert provider.closed.wait(5)
