"""POST /v1/answer as JSON and as a stream: the same answer, checked quotes, one terminal event on every path."""

from __future__ import annotations

import asyncio

import pytest

from service.budget import StageOverrun
from service.contract import (
    AnswerResponse,
    DegradedEvent,
    FinishEvent,
    MetaEvent,
    SentenceEvent,
    SourcesEvent,
    Usage,
    WithheldEvent,
    fold,
)

META = MetaEvent(request_id="r", generation=1, query_used="q", guardrail="verified", model="m")
SOURCES = SourcesEvent(sources=[])
SENTENCE = SentenceEvent(index=0, text="One\nline. ", start=0, end=10, verdict="no_claim", citations=[])
WITHHELD = WithheldEvent(index=1, reason="not_supported", chars=9)
DEGRADED = DegradedEvent(message="rerank: 1 of 2 candidates scored")
FINISH = FinishEvent(finish_reason="stop", usage=Usage(provider="p", model="m"), stages=[])
WHOLE = [META, SOURCES, SENTENCE, WITHHELD, DEGRADED, FINISH]


@pytest.fixture
def scripted(monkeypatch):
    """Replaces the pipeline by a list of events, exceptions (raised) and numbers (seconds to wait)."""

    def script(*items):
        async def answer(*_):
            for item in items:
                if isinstance(item, float):
                    await asyncio.sleep(item)
                elif isinstance(item, Exception):
                    raise item
                else:
                    yield item

        monkeypatch.setattr("service.http.routes_questions.answer", answer)

    return script


def ask(client, **body):
    return client.post("/v1/answer", json=body)


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({}, []),
        ({"query": "a", "messages": [{"role": "user", "content": "a"}]}, []),
        ({"query": " "}, ["query"]),
        ({"query": "x" * 64_001}, ["query"]),
        ({"messages": []}, ["messages"]),
        ({"messages": [{"role": "tool", "content": "a"}]}, ["messages", 0, "role"]),
        ({"messages": [{"role": "user"}]}, ["messages", 0, "content"]),
        ({"messages": [{"role": "user", "content": " "}]}, ["messages", 0, "content"]),
        ({"messages": [{"role": "user", "content": "a", "name": "b"}]}, ["messages", 0, "name"]),
        (
            {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
            ["messages", 1, "role"],
        ),
        ({"messages": [{"role": "user", "content": "x" * 64_001}]}, ["messages"]),
        ({"query": "a", "stream": "true"}, ["stream"]),
        ({"query": "a", "guardrail": "off"}, ["guardrail"]),
        ({"query": "a", "explain": True}, ["explain"]),
    ],
    ids=lambda value: str(value)[:60],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_wrong_field_is_a_422_problem_before_any_stream(client, body, loc, stream):
    response = ask(client, **({"stream": stream} | body))
    problem = response.json()
    assert (response.status_code, problem["type"]) == (422, "urn:footnote:problem:invalid-request")
    assert response.headers["content-type"] == "application/problem+json"
    assert loc in [one["loc"] for one in problem["errors"]]


def test_an_answer_has_a_supported_sentence_whose_quote_is_an_exact_slice(client_over, shared_index):
    client = client_over(shared_index, abstain_below=0)
    response = AnswerResponse.model_validate_json(ask(client, query="How long do refunds take?").text)
    assert response.verdict == "grounded"
    assert "14 days" in response.answer
    for citation in response.citations:
        document = client.get(f"/v1/documents/{citation.document_id}", params={"version": citation.document_version})
        assert document.json()["text"][citation.source_start : citation.source_end] == citation.quote


def test_a_question_that_nothing_answers_is_abstained_from(client):
    response = ask(client, query="Which comet did Halley compute the orbit of?").json()
    assert (response["verdict"], response["finish_reason"]) == ("abstained", "abstained")
    assert response["abstention"]["reason"]


def test_a_conversation_is_answered_for_its_last_turn(client):
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "How long do refunds take?"},
        {"role": "assistant", "content": "14 days."},
        {"role": "user", "content": "And where do I write to?"},
    ]
    used = ask(client, messages=messages).json()["query_used"]
    assert used == "And where do I write to? (long refunds take)"


def test_the_stream_is_the_json_answer_in_events(client_over, shared_index, sse):
    client = client_over(shared_index, abstain_below=0)
    body = {"query": "How long do refunds take?"}
    whole = ask(client, **body).json()
    response = ask(client, **body, stream=True)
    events = sse(response.text)
    assert [one.name for one in events] == ["meta", "sources", "sentence", "done"]
    done = events[-1].data
    assert events[0].data["request_id"] == response.headers["x-request-id"] == done["request_id"]
    assert "".join(one.data["text"] for one in events if one.name == "sentence") == done["answer"]
    assert events[1].data["sources"] == done["sources"]
    for changing in ("request_id", "stages"):
        whole.pop(changing), done.pop(changing)
    assert whole == done


def test_the_stream_says_what_it_is_and_numbers_its_events(client, sse, scripted):
    scripted(*WHOLE)
    response = ask(client, query="q", stream=True)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    assert "content-encoding" not in response.headers
    events = sse(response.text)
    assert [one.name for one in events] == ["meta", "sources", "sentence", "withheld", "degraded", "done"]
    assert [one.id for one in events] == [1, 2, 3, 4, 5, 6]
    assert all("type" not in one.data for one in events)
    assert AnswerResponse.model_validate(events[-1].data) == fold(WHOLE)


@pytest.mark.parametrize(
    ("items", "status"),
    [
        ((META, RuntimeError("secret detail")), 500),
        ((META, SOURCES, StageOverrun("lexical", 5)), 504),
        ((META, SOURCES, SENTENCE, RuntimeError("secret detail")), 500),
        ((META, SOURCES), 500),
        ((SOURCES, FINISH), 500),
    ],
)
def test_a_pipeline_that_breaks_ends_the_stream_with_one_error_event(client, sse, scripted, items, status):
    scripted(*items)
    response = ask(client, query="q", stream=True)
    names = [one.name for one in sse(response.text)]
    assert (names.count("error"), names.count("done"), names[-1]) == (1, 0, "error")
    problem = sse(response.text)[-1].data
    assert problem["status"] == status
    assert problem["request_id"] == response.headers["x-request-id"]
    assert "secret" not in response.text
    assert "Traceback" not in response.text


@pytest.mark.parametrize("stream", [False, True])
def test_what_breaks_before_the_first_event_is_a_problem_and_not_a_stream(client, scripted, stream):
    scripted(RuntimeError("secret detail"))
    response = ask(client, query="q", stream=stream)
    assert (response.status_code, response.json()["type"]) == (500, "urn:footnote:problem:internal")
    assert "secret" not in response.text


def test_a_broken_pipeline_is_a_problem_in_json(client, scripted):
    scripted(META, StageOverrun("lexical", 5))
    response = ask(client, query="q")
    assert (response.status_code, response.json()["detail"]) == (504, "lexical did not end within 5 ms")


def test_a_silent_stream_is_kept_alive_by_comments(app_over, shared_index, scripted):
    from starlette.testclient import TestClient

    scripted(META, 0.6, SOURCES, FINISH)
    with TestClient(app_over(shared_index, ping_s=0.04)) as client:
        text = ask(client, query="q", stream=True).text
    assert text.count(": ping\n\n") >= 3
    assert text.index("event: meta") < text.index(": ping") < text.index("event: sources")


def test_the_service_promises_a_comment_at_least_every_15_s():
    from service.http.app import PING_S

    assert PING_S <= 15


@pytest.mark.parametrize("stream", [False, True])
def test_without_an_index_there_is_a_503_problem_and_no_stream(client_over, tmp_path, stream):
    response = ask(client_over(tmp_path / "none"), query="q", stream=stream)
    assert (response.status_code, response.json()["type"]) == (503, "urn:footnote:problem:index-missing")
    assert response.headers["retry-after"]


def test_every_lease_ends_with_its_request(client, scripted):
    """A snapshot that a request forgot to let go could never be closed."""
    held = client.app.state.service.holder._current
    for items in (WHOLE, (RuntimeError(),), (META, RuntimeError())):
        for stream in (False, True):
            scripted(*items)
            ask(client, query="q", stream=stream)
            assert held.leases == 0
    ask(client, query=" ")
    assert held.leases == 0
