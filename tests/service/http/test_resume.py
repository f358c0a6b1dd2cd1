"""GET /v1/answers/{request_id}/events: the same bytes with the same ids, for who asked and for nobody else."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading

import pytest

from service.contract import (
    FinishEvent,
    MetaEvent,
    SentenceEvent,
    SourcesEvent,
    Usage,
)

META = MetaEvent(request_id="r", generation=1, query_used="q", guardrail="verified", model="m")
SENTENCE = SentenceEvent(index=0, text="東京\n\U0001f600. ", start=0, end=6, verdict="no_claim", citations=[])
FINISH = FinishEvent(finish_reason="stop", usage=Usage(provider="p", model="m"), stages=[])
WHOLE = [META, SourcesEvent(sources=[]), SENTENCE, FINISH]
BODY = {"query": "q", "stream": True, "resumable": True}


@pytest.fixture
def scripted(monkeypatch):
    """Replaces the pipeline by events and exceptions; `.may` is waited for before each event after the first."""

    class Script:
        items = WHOLE
        closed = threading.Event()

    state = Script()
    state.may = threading.Semaphore(1_000)
    state.closed = threading.Event()

    async def answer(*_):
        try:
            for number, item in enumerate(state.items):
                while number and not state.may.acquire(blocking=False):  # noqa: ASYNC110  # the test is in another thread
                    await asyncio.sleep(0.002)
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            state.closed.set()

    monkeypatch.setattr("service.http.routes_questions.answer", answer)
    return state


def hold(scripted):
    """Nothing after the first event until it is released."""
    while scripted.may.acquire(blocking=False):
        pass


def again(client, response, last=None, **params):
    headers = {"x-resume-token": response.headers["x-resume-token"]} | ({} if last is None else {"last-event-id": last})
    return client.get(f"/v1/answers/{response.headers['x-request-id']}/events", headers=headers, params=params)


def slug(response):
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, response.json()["type"].rpartition(":")[2]


def test_every_suffix_is_byte_for_byte_that_of_the_first_stream(client, scripted):
    response = client.post("/v1/answer", json=BODY)
    blocks = [block + b"\n\n" for block in response.content.split(b"\n\n")[:-1]]
    assert [block.splitlines()[0] for block in blocks] == [
        b"event: meta",
        b"event: sources",
        b"event: sentence",
        b"event: done",
    ]
    for last in (None, "0", "1", "2", "3"):
        replay = again(client, response, last)
        assert replay.content == b"".join(blocks[int(last or 0) :])
        assert replay.headers["content-type"] == response.headers["content-type"]
        assert replay.headers["cache-control"] == "no-cache"
        assert replay.headers["x-accel-buffering"] == "no"
        assert "x-resume-token" not in replay.headers
    nothing = again(client, response, "4")
    assert (nothing.status_code, nothing.content) == (204, b"")


def test_token_and_last_event_id_may_come_in_the_query(client, scripted):
    """EventSource sets no headers of its own; the one it does set, on its own, counts."""
    response = client.post("/v1/answer", json=BODY)
    path = f"/v1/answers/{response.headers['x-request-id']}/events"
    params = {"resume_token": response.headers["x-resume-token"], "last_event_id": "2"}
    assert client.get(path, params=params).text.startswith("event: sentence\n")
    assert client.get(path, params=params, headers={"last-event-id": "3"}).text.startswith("event: done\n")


@pytest.mark.parametrize("last", ["5", "999999999999999", "", " ", "-1", "1.5", "x", "１", "9" * 5_000, "0x1"])
def test_an_event_id_of_the_future_or_of_nothing_is_422(client, scripted, last):
    response = client.post("/v1/answer", json=BODY)
    answered = again(client, response, last.encode())
    assert slug(answered) == (422, "invalid-request")
    assert answered.json()["errors"][0]["loc"] == ["header", "last-event-id"]
    if last.isascii():
        assert slug(again(client, response, last_event_id=last)) == (422, "invalid-request")


def test_a_failure_on_the_way_is_replayed_too(client, scripted):
    scripted.items = [META, RuntimeError("secret detail")]
    response = client.post("/v1/answer", json=BODY)
    assert response.text.count("event: error") == 1
    assert again(client, response, "1").content == response.content[response.content.index(b"event: error") :]


def test_what_fails_before_the_first_event_is_a_problem_and_nothing_is_kept(client, scripted):
    scripted.items = [RuntimeError("secret detail")]
    response = client.post("/v1/answer", json=BODY)
    assert slug(response) == (500, "internal")
    assert "x-resume-token" not in response.headers
    assert 'footnote_kept_answers{state="ended"} 0.0' in client.get("/metrics").text


def test_a_foreign_or_unknown_id_or_token_is_404(client, scripted, monkeypatch):
    response, other = client.post("/v1/answer", json=BODY), client.post("/v1/answer", json=BODY)
    token, path = response.headers["x-resume-token"], f"/v1/answers/{response.headers['x-request-id']}/events"
    assert slug(client.get(path)) == (404, "not-found")
    assert slug(client.get(path, headers={"x-resume-token": other.headers["x-resume-token"]})) == (404, "not-found")
    assert slug(client.get(path, headers={"x-resume-token": token + "x"})) == (404, "not-found")
    assert slug(client.get("/v1/answers/unknown/events", headers={"x-resume-token": token})) == (404, "not-found")
    assert client.get(path, headers={"x-resume-token": token}).status_code == 200
    monkeypatch.setattr("service.http.resume.principals_of", lambda _: frozenset({"eve"}))
    assert slug(client.get(path, headers={"x-resume-token": token})) == (404, "not-found")


def test_a_chosen_request_id_opens_nobody_elses_answer(client, scripted):
    """Ids are the caller's to choose, tokens are not."""
    mine = client.post("/v1/answer", json=BODY, headers={"x-request-id": "same"})
    scripted.items = [META.model_copy(update={"query_used": "another"}), *WHOLE[1:]]
    theirs = client.post("/v1/answer", json=BODY, headers={"x-request-id": "same"})
    assert mine.headers["x-request-id"] == theirs.headers["x-request-id"] == "same"
    assert again(client, mine).content == mine.content != theirs.content
    assert again(client, theirs).content == theirs.content


def test_the_oldest_makes_room_and_is_gone(client_over, shared_index, scripted):
    client = client_over(shared_index, resume_answers_max=2)
    answers = [client.post("/v1/answer", json=BODY) for _ in range(3)]
    assert slug(again(client, answers[0])) == (410, "answer-gone")
    assert [again(client, one).content == one.content for one in answers[1:]] == [True, True]
    told = client.get("/metrics").text
    assert 'footnote_kept_answers{state="ended"} 2.0' in told
    assert 'footnote_kept_answers{state="working"} 0.0' in told
    assert f"footnote_kept_answer_bytes {float(len(answers[1].content) + len(answers[2].content))}" in told


@pytest.mark.parametrize("stream", [{}, {"stream": False}])
def test_only_a_stream_can_be_resumed(client, scripted, stream):
    response = client.post("/v1/answer", json={"query": "q", "resumable": True, **stream})
    assert slug(response) == (422, "invalid-request")
    assert response.json()["errors"][0]["loc"] == ["resumable"]


def test_workers_that_share_nothing_say_so(client_over, shared_index, scripted):
    client = client_over(shared_index, workers=2)
    response = client.post("/v1/answer", json=BODY)
    assert slug(response) == (409, "not-resumable")
    assert "redis_url" in response.json()["detail"]
    assert slug(client.get("/v1/answers/r/events", headers={"x-resume-token": "t"})) == (409, "not-resumable")
    assert client.post("/v1/answer", json={"query": "q", "stream": True}).status_code == 200


def test_stopping_needs_the_token_and_no_foreign_page_can(client, scripted):
    response = client.post("/v1/answer", json=BODY)
    path = f"/v1/answers/{response.headers['x-request-id']}"
    token = {"x-resume-token": response.headers["x-resume-token"]}
    assert slug(client.delete(path)) == (404, "not-found")
    assert slug(client.delete("/v1/answers/unknown", headers=token)) == (404, "not-found")
    assert slug(client.delete(path, headers=token | {"origin": "https://evil.example"})) == (403, "forbidden-origin")
    assert again(client, response).status_code == 200
    stopped = client.delete(path, params={"resume_token": token["x-resume-token"]})
    assert (stopped.status_code, stopped.content) == (204, b"")
    assert slug(client.delete(path, headers=token)) == slug(again(client, response)) == (410, "answer-gone")


def test_stopping_ends_the_work_at_once(app_over, shared_index, serve, scripted, until):
    hold(scripted)
    app = app_over(shared_index)
    server = serve(app)
    response = server.post("/v1/answer", BODY)
    assert response.readline() == b"event: meta\n"
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    server.connections.append(connection)
    headers = {"x-resume-token": response.getheader("x-resume-token")}
    connection.request("DELETE", f"/v1/answers/{response.getheader('x-request-id')}", headers=headers)
    assert connection.getresponse().status == 204
    assert scripted.closed.is_set()
    assert app.state.service.holder._current.leases == 0
    assert response.read().count(b"answer-gone") >= 1


def test_an_ordinary_stream_is_not_kept(client, scripted):
    response = client.post("/v1/answer", json={"query": "q", "stream": True})
    assert "x-resume-token" not in response.headers
    assert slug(client.get(f"/v1/answers/{response.headers['x-request-id']}/events")) == (404, "not-found")
    assert 'footnote_kept_answers{state="ended"} 0.0' in client.get("/metrics").text


def leave(server):
    for one in server.connections:
        one.close()
    server.connections.clear()


def read_again(server, response, last):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    server.connections.append(connection)
    headers = {"x-resume-token": response.getheader("x-resume-token"), "last-event-id": str(last)}
    connection.request("GET", f"/v1/answers/{response.getheader('x-request-id')}/events", headers=headers)
    answered = connection.getresponse()
    server.connections.append(answered)
    return answered


def event(response):
    """The next event's lines, as they come."""
    lines = []
    while (line := response.readline()) not in (b"\n", b""):
        lines.append(line)
    return b"".join(lines)


def test_work_goes_on_after_a_disconnect_and_a_reader_comes_back_during_it(
    app_over, shared_index, serve, scripted, until
):
    app = app_over(shared_index)
    holder = app.state.service.holder
    server = serve(app)
    hold(scripted)
    response = server.post("/v1/answer", BODY)
    assert event(response).startswith(b"event: meta\n")
    leave(server)
    scripted.may.release()
    tabs = [read_again(server, response, 1) for _ in range(2)]
    assert [event(tab)[:14] for tab in tabs] == [b"event: sources"] * 2
    assert (holder._current.leases, scripted.closed.is_set()) == (1, False)
    leave(server)
    for _ in WHOLE:
        scripted.may.release()
    assert scripted.closed.wait(5)
    until(lambda: holder._current.leases == 0)
    rest = read_again(server, response, 2).read()
    assert rest.startswith(b"event: sentence\n")
    assert rest.count(b"event: done\n") == 1


def test_the_place_of_a_resumable_answer_is_taken_until_the_work_ends(app_over, shared_index, serve, scripted, until):
    app = app_over(shared_index, answer_concurrency_max=1, admission_queue_max=0)
    server = serve(app)
    hold(scripted)
    event(server.post("/v1/answer", BODY))
    leave(server)
    refused = server.post("/v1/answer", {"query": "q"})
    assert (refused.status, json.load(refused)["type"]) == (503, "urn:footnote:problem:overloaded")
    for _ in WHOLE * 2:
        scripted.may.release()
    until(lambda: server.post("/v1/answer", {"query": "q"}).status == 200)


def test_the_service_stops_while_a_resumable_answer_is_being_made(app_over, shared_index, serve, scripted):
    hold(scripted)
    server = serve(app_over(shared_index))
    event(server.post("/v1/answer", BODY))
    leave(server)
    assert not scripted.closed.is_set()
    server.stop()
    assert scripted.closed.is_set()
