"""Log lines: whole, of one piece, and with nothing in them that is nobody's business."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import warnings

import pytest

from service.http.log import handler_of, trace_id_of
from service.settings import ServiceSettings

KEY = "sk-canary-5f2e91"
QUERY = "How long do refunds take for zebra-canary-7781?"
REPLY = {"pieces": ["Refunds take 14 days [1]."]}


@pytest.fixture
def logged(monkeypatch, shared_index, caplog):
    """Sets up a log; returns its stream. Everything there is goes in, debug lines too."""
    caplog.set_level(logging.DEBUG, "uvicorn.error")  # a server of another test may have set it up for itself
    monkeypatch.setattr(logging.getLogger("uvicorn"), "propagate", True)
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}-environment")
    root, added = logging.getLogger(), []
    level = root.level

    def begin(**settings):
        stream = io.StringIO()
        given = {"index": shared_index, "admin_token": f"{KEY}-admin", "generator_api_key": f"{KEY}-own", **settings}
        added.append(handler_of(ServiceSettings(**given), stream))
        root.addHandler(added[-1])
        root.setLevel(logging.DEBUG)
        logging.getLogger("footnote").setLevel(logging.DEBUG)
        return stream

    yield begin
    for one in added:
        root.removeHandler(one)
    root.setLevel(level)
    logging.getLogger("footnote").setLevel(logging.NOTSET)


def lines(stream: io.StringIO) -> list[dict]:
    return [json.loads(one) for one in stream.getvalue().splitlines()]


def test_a_request_is_one_object_with_what_became_of_it(client_over, shared_index, logged):
    client = client_over(shared_index, abstain_below=0)
    stream = logged(log_format="json")
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"x-request-id": "mine", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    client.post("/v1/answer", json={"query": QUERY, "rerank": True}, headers=headers)

    (line,) = (one for one in lines(stream) if one.get("route") == "/v1/answer")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert (line["level"], line["logger"], line["request_id"], line["trace_id"]) == (
        "info",
        "footnote.http",
        "mine",
        trace,
    )
    assert (line["method"], line["status"], line["verdict"], line["finish_reason"]) == ("POST", 200, "grounded", "stop")
    assert {"lexical", "dense", "evidence", "generate"} <= set(line["stages"])
    assert (line["degraded"], line["generation"], line["client_gone"]) == (["rerank"], 1, False)
    assert line["ms"] > 0
    assert "query" not in line


def everything(client_over, shared_index, tmp_path, monkeypatch, **settings):
    """What may go wrong, with the query and the key in it."""
    script = tmp_path / "script.jsonl"
    script.write_text(json.dumps(REPLY) + "\n" + json.dumps({"pieces": [], "error": "server_error"}) + "\n")
    client = client_over(
        shared_index,
        generator="scripted",
        generator_script=script,
        abstain_below=0,
        admin_token=f"{KEY}-admin",
        **settings,
    )
    client.post("/v1/search", json={"query": QUERY})
    for stream in (False, True):
        client.post("/v1/answer", json={"query": QUERY, "stream": stream})
    client.post("/v1/search", json={"query": QUERY, "mode": QUERY})
    client.post("/v1/search", json={"query": QUERY, "filter": {"$" + QUERY: 1}})
    client.post("/v1/search", content=f"not json {QUERY}", headers={"content-type": "application/json"})
    client.get(f"/v1/documents/{QUERY}")
    client.get(f"/{QUERY}?q={QUERY}", headers={"x-request-id": QUERY, "authorization": f"Bearer {KEY}-admin"})
    client.post("/v1/index/reload", headers={"authorization": f"Bearer {KEY}-admin-wrong"})

    def fails(*_, **__):
        raise RuntimeError(f"cannot embed {QUERY} with {KEY}-own\n2026-01-01 INFO forged")

    with client.app.state.service.holder.lease() as engine:
        monkeypatch.setattr(type(engine.snapshot), "lexical", fails)
        monkeypatch.setattr(type(engine.snapshot), "dense", fails)
    client.post("/v1/search", json={"query": QUERY})
    client.post("/v1/answer", json={"query": QUERY})
    monkeypatch.setattr("service.http.routes_questions.search", fails)
    assert client.post("/v1/search", json={"query": QUERY}).status_code == 500

    async def never_retrieved():
        async def task():
            raise RuntimeError(QUERY)

        running = asyncio.create_task(task())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        del running

    asyncio.run(never_retrieved(), debug=False)
    logging.getLogger("openai").debug("Request options: %s", QUERY)
    logging.getLogger("uvicorn.error").warning("key %s", f"{KEY}-environment")


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_key_and_no_query_can_appear(client_over, shared_index, tmp_path, monkeypatch, logged, form):
    stream = logged(log_format=form)
    everything(client_over, shared_index, tmp_path, monkeypatch)
    text = stream.getvalue()

    assert "failed unexpectedly" in text
    assert "RuntimeError" in text
    assert "fails" in text  # the frame is there
    assert "never retrieved" in text
    for word in (KEY, "zebra", "canary-7781", "refunds"):
        assert word not in text.lower(), next(line for line in text.lower().splitlines() if word in line)


@pytest.mark.parametrize("form", ["json", "text"])
def test_queries_are_logged_where_that_is_asked_for_and_keys_even_then_not(
    client_over, shared_index, tmp_path, monkeypatch, logged, form
):
    stream = logged(log_format=form, log_queries=True)
    everything(client_over, shared_index, tmp_path, monkeypatch, log_queries=True)
    text = stream.getvalue()

    assert QUERY in text
    assert "cannot embed" in text
    assert KEY not in text
    if form == "json":
        found = [one for one in lines(stream) if one.get("query") == QUERY]
        assert {one["route"] for one in found} == {"/v1/search", "/v1/answer"}


FORGERY = "x\n2026-11-28 12:00:00,000 INFO footnote.http POST /v1/search 200\r\n\x1b[2J\x85\u2028{}"


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_line_can_be_forged(logged, form):
    stream = logged(log_format=form, log_queries=True)
    logging.getLogger("footnote.http").warning("said %s", FORGERY)
    logging.getLogger("footnote.http").warning("said", extra={"footnote": {"query": FORGERY}})
    try:
        raise ValueError(FORGERY)
    except ValueError:
        logging.getLogger("footnote.http").exception("failed")
    text = stream.getvalue()

    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]", text)
    begun = [line for line in text.splitlines() if not line.startswith("  | ")]
    assert len(begun) == 3
    if form == "json":
        assert [json.loads(line)["logger"] for line in text.splitlines()] == ["footnote.http"] * 3
        assert json.loads(text.splitlines()[1])["query"] == FORGERY


def test_uvicorns_lines_and_warnings_are_objects_too(logged):
    stream = logged(log_format="json")
    logging.getLogger("uvicorn.error").error("Exception in ASGI application\n")
    logging.captureWarnings(capture=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = logging._showwarning  # what captureWarnings puts there, whoever stands in the way
            warnings.warn("careful", UserWarning, stacklevel=1)
    finally:
        logging.captureWarnings(capture=False)

    found = {one["logger"]: one["message"] for one in lines(stream)}
    assert found["uvicorn.error"] == "Exception in ASGI application"
    assert "UserWarning: careful" in found["py.warnings"]


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "nonsense",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        "00-4BF9-1-1",
        f"00-{'a' * 32}-00f067aa0ba902b7-01\nx",
    ],
)
def test_what_is_no_traceparent_names_no_trace(given):
    assert trace_id_of(given) is None
