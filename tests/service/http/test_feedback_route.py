"""POST /v1/feedback: whose answers can be rated, what is refused, and what becomes of it where nothing can be kept."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing

import pytest

from service.http.problems import ProblemError
from service.ratings import read_ratings


@pytest.fixture
def file(tmp_path):
    return tmp_path / "feedback.sqlite"


@pytest.fixture
def client(client_over, shared_index, file):
    return client_over(shared_index, feedback=file, abstain_below=0.0)


def answer(client, **more):
    return client.post("/v1/answer", json={"query": "How long do refunds take?"} | more)


def rate(client, **body):
    return client.post("/v1/feedback", json=body)


def slug(response):
    return response.json()["type"].rpartition(":")[2]


def test_an_answer_can_be_rated_by_its_request_id(client, file):
    given = answer(client).json()
    response = rate(client, request_id=given["request_id"], rating="up", comment=" Good\r\nso. ")
    assert response.status_code == 200
    assert response.json() | {"rated": ""} == {
        "request_id": given["request_id"],
        "sentence_index": None,
        "rating": "up",
        "comment": "Good\nso.",
        "rated": "",
    }
    (kept,) = read_ratings(file)
    assert kept.answer.generation == given["generation"]
    assert [one.passage_id for one in kept.answer.sources] == [one["passage"]["id"] for one in given["sources"]]
    assert [one.verdict for one in kept.answer.sentences] == [one["verdict"] for one in given["sentences"]]


def test_a_streamed_answer_and_a_conversation_can_be_rated_at_once(client, file, sse):
    turns = [{"role": "user", "content": "Refunds?"}, {"role": "assistant", "content": "Yes."}]
    asked = {"query": None, "messages": [*turns, {"role": "user", "content": "How long do they take?"}]}
    done = sse(answer(client, stream=True, **asked).text)[-1].data
    assert rate(client, request_id=done["request_id"], rating="down", sentence_index=0).status_code == 200
    (kept,) = read_ratings(file)
    assert kept.answer.question == "How long do they take?"
    assert kept.answer.query_used == done["query_used"]
    assert kept.sentence_index == 0


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"request_id": "unheard-of", "rating": "up"}, 404, "answer-unknown"),
        ({"request_id": "x" * 65, "rating": "up"}, 422, "invalid-request"),
        ({"request_id": "", "rating": "up"}, 422, "invalid-request"),
        ({"request_id": "r"}, 422, "invalid-request"),
        ({"request_id": "r", "rating": "sideways"}, 422, "invalid-request"),
        ({"request_id": "r", "rating": "up", "comment": "x" * 2_001}, 422, "invalid-request"),
        ({"request_id": "r", "rating": "up", "sentence_index": -1}, 422, "invalid-request"),
        ({"request_id": "r", "rating": "up", "query": "mine"}, 422, "invalid-request"),
    ],
)
def test_what_cannot_be_kept_is_refused(client, file, body, status, kind):
    response = rate(client, **body)
    assert (response.status_code, slug(response)) == (status, kind)
    assert read_ratings(file) == []


def test_a_sentence_that_there_is_not_cannot_be_rated(client):
    response = rate(client, request_id=answer(client).json()["request_id"], rating="up", sentence_index=99)
    assert (response.status_code, response.json()["detail"]) == (422, "The answer has no sentence 99.")


def test_searches_and_answers_that_failed_cannot_be_rated(client):
    search = client.post("/v1/search", json={"query": "refunds"}).json()
    assert slug(rate(client, request_id=search["request_id"], rating="up")) == "answer-unknown"


def test_another_worker_takes_the_rating(client, client_over, shared_index, file):
    given = answer(client).json()
    client.app.state.service.ratings.look()  # after the write that the answer began
    other = client_over(shared_index, feedback=file)
    assert rate(other, request_id=given["request_id"], rating="up").status_code == 200


def test_where_nothing_can_be_written_answers_go_on_the_page_does_not_ask_and_a_rating_is_a_507(
    client_over, shared_index, tmp_path
):
    """As beside an index on a read-only mount."""
    (tmp_path / "file").write_text("")
    client = client_over(shared_index, feedback=tmp_path / "file" / "f.sqlite", abstain_below=0.0)
    given = answer(client)
    assert given.status_code == 200
    response = rate(client, request_id=given.json()["request_id"], rating="up")
    assert (response.status_code, slug(response)) == (507, "feedback-unwritable")
    assert "FOOTNOTE_FEEDBACK" in response.json()["detail"]
    assert str(tmp_path) not in response.text
    assert 'data-feedback="false"' in client.get("/").text


def test_with_feedback_none_there_is_no_route_and_no_file(client_over, own_index):
    client = client_over(own_index.folder, feedback="none")
    given = answer(client).json()
    assert rate(client, request_id=given["request_id"], rating="up").status_code == 404
    assert 'data-feedback="false"' in client.get("/").text
    assert list(own_index.folder.parent.glob("*.sqlite*")) == []


def test_by_default_the_file_is_beside_the_index_and_nothing_is_put_into_it(client_over, own_index):
    before = sorted(own_index.folder.rglob("*"))
    client = client_over(own_index.folder)
    rate(client, request_id=answer(client).json()["request_id"], rating="up")
    assert len(read_ratings(own_index.folder.parent / "index-feedback.sqlite")) == 1
    assert sorted(own_index.folder.rglob("*")) == before


def test_where_too_many_wait_for_the_file_more_are_refused(client, monkeypatch):
    given = answer(client).json()
    monkeypatch.setattr("service.ratings.WAITING_MAX", 0)
    response = rate(client, request_id=given["request_id"], rating="up")
    assert (response.status_code, slug(response)) == (503, "overloaded")
    assert response.headers["retry-after"]


def test_neither_question_nor_comment_is_logged(client, caplog):
    caplog.set_level("DEBUG")
    given = answer(client, query="How long do refunds take in Zanzibar?").json()
    rate(client, request_id=given["request_id"], rating="up", comment="Xylophone")
    assert "Zanzibar" not in caplog.text
    assert "Xylophone" not in caplog.text


def test_an_answer_given_as_a_tool_can_be_rated(client, file):
    pytest.importorskip("mcp", reason="the extra `mcp` is not installed")
    call = {"name": "answer", "arguments": {"query": "How long do refunds take?"}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    headers = {"accept": "application/json, text/event-stream", "x-request-id": "by-a-tool"}
    assert client.post("/mcp", json=message, headers=headers).status_code == 200
    assert rate(client, request_id="by-a-tool", rating="up").status_code == 200
    assert [one.answer.question for one in read_ratings(file)] == ["How long do refunds take?"]


def test_a_request_that_ends_early_is_not_remembered(client_over, shared_index, file, monkeypatch):
    async def broken(*_):
        await asyncio.sleep(0)
        raise ProblemError("overloaded", "no")
        yield

    monkeypatch.setattr("service.http.routes_questions.answer", broken)
    client = client_over(shared_index, feedback=file)
    failed = client.post("/v1/answer", json={"query": "q"}, headers={"x-request-id": "gone"})
    assert failed.status_code == 503
    assert slug(rate(client, request_id="gone", rating="up")) == "answer-unknown"


def test_an_answer_that_another_worker_is_still_writing_is_waited_for(client, client_over, shared_index, file):
    given = answer(client).json()["request_id"]
    client.app.state.service.ratings.look()
    kept = _taken_out(file, given)
    other = client_over(shared_index, feedback=file)
    threading.Timer(0.3, _put_back, (file, kept)).start()
    assert rate(other, request_id=given, rating="up").status_code == 200


def _taken_out(file, request_id):
    with closing(sqlite3.connect(file, timeout=10)) as opened:
        row = opened.execute("SELECT * FROM answers WHERE request_id = ?", (request_id,)).fetchone()
        opened.execute("DELETE FROM answers")
        opened.commit()
    return row


def _put_back(file, row):
    with closing(sqlite3.connect(file, timeout=10)) as opened:
        opened.execute("INSERT INTO answers VALUES (?, ?, ?)", row)
        opened.commit()
