"""A client that goes away, on a real socket: the work behind it stops and the snapshot is let go."""

from __future__ import annotations

import asyncio
import threading

import pytest

from service.contract import MetaEvent

META = MetaEvent(request_id="r", generation=1, query_used="q", guardrail="verified", model="m")


@pytest.fixture
def endless(monkeypatch):
    """A pipeline that says meta and then works until it is closed; `.began` and `.closed` tell."""

    class Endless:
        began = threading.Event()
        closed = threading.Event()
        floods = False

    state = Endless()
    state.began, state.closed = threading.Event(), threading.Event()

    async def answer(*_):
        try:
            yield META
            state.began.set()
            while state.floods:
                yield META.model_copy(update={"query_used": "x" * 100_000})
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)  # closing may take awaiting of its own
            state.closed.set()

    monkeypatch.setattr("service.http.routes_questions.answer", answer)
    return state


@pytest.mark.parametrize("floods", [False, True])
def test_a_client_that_leaves_a_stream_stops_the_work_at_once(
    app_over, shared_index, serve, endless, until, floods, caplog
):
    endless.floods = floods
    app = app_over(shared_index)
    caplog.set_level("INFO", "footnote.http")
    held = app.state.service.holder
    server = serve(app)
    response = server.post("/v1/answer", {"query": "q", "stream": True})
    assert response.readline() == b"event: meta\n"
    assert endless.began.wait(5)
    assert held._current.leases == 1
    for one in server.connections:
        one.close()
    assert endless.closed.wait(5)
    until(lambda: held._current.leases == 0)
    until(lambda: any("client gone" in record.getMessage() for record in caplog.records))
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_client_that_leaves_a_json_answer_stops_the_work_at_once_and_is_nobodys_error(
    app_over, shared_index, serve, endless, until, caplog
):
    app = app_over(shared_index)
    caplog.set_level("INFO", "footnote.http")
    server = serve(app)
    body = b'{"query": "q"}'
    head = (
        b"POST /v1/answer HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    )
    server.raw(head % len(body) + body)
    assert endless.began.wait(5)
    server.connections[0].close()
    assert endless.closed.wait(5)
    until(lambda: app.state.service.holder._current.leases == 0)
    until(lambda: any("client gone" in record.getMessage() for record in caplog.records))
    (line,) = [record.getMessage() for record in caplog.records if "client gone" in record.getMessage()]
    assert line.startswith("POST /v1/answer 499 ")


def test_a_client_that_leaves_with_more_requests_waiting_stops_the_one_that_runs(
    app_over, shared_index, serve, endless, until
):
    """uvicorn alone tells only the last one."""
    app = app_over(shared_index)
    body = b'{"query": "q"}'
    head = (
        b"POST /v1/answer HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    )
    opened = serve(app).raw((head % len(body) + body) * 3)
    assert endless.began.wait(5)
    opened.close()
    assert endless.closed.wait(5)
    until(lambda: app.state.service.holder._current.leases == 0)


def test_events_arrive_while_the_answer_is_still_being_made(app_over, shared_index, serve, endless):
    response = serve(app_over(shared_index, ping_s=0.05)).post("/v1/answer", {"query": "q", "stream": True})
    assert response.getheader("transfer-encoding") == "chunked"
    lines = [response.readline() for _ in range(6)]
    assert lines[0] == b"event: meta\n"
    assert lines[2:] == [b"id: 1\n", b"\n", b": ping\n", b"\n"]
    assert not endless.closed.is_set()


def test_a_client_that_takes_no_bytes_is_let_go(endless, monkeypatch):
    """Were it waited for, it could hold an old snapshot open for as long as it likes."""
    from service.http.exchange import Exchange
    from service.http.sse import EventStream, Pump

    released = threading.Event()

    async def run():
        endless.floods = True
        from service.http.routes_questions import answer

        pump = Pump(answer())
        exchange = Exchange("r", "http", "h", None)
        stream = EventStream(
            await pump.next(), pump, exchange, finished=None, release=released.set, ping_s=10, send_s=0.05
        )
        sent = 0

        async def send(message):
            nonlocal sent
            sent += 1
            if sent > 3:
                await asyncio.sleep(60)

        async def receive():
            await asyncio.sleep(60)

        await asyncio.wait_for(stream({}, receive, send), 5)
        assert exchange.gone

    asyncio.run(run())
    assert released.is_set()
    assert endless.closed.is_set()
