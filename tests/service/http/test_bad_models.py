"""Chat models that misbehave, over a real socket in OpenAI's wire format: one terminal event, what was verified, a
typed reason, and the key in no event and no log.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytest.importorskip("openai")

KEY = "sk-secret-key-0123456789"
TRUE = "Refunds take 14 days [1]. "
LIE = "Refunds take 99 days [1]. "
PART = "Refunds take 14 days"  # true as it stands; the sentence may have gone on otherwise
QUESTION = "How long do refunds take?"


def chunk(text=None, *, finish=None, **delta):
    """One event of a stream of completions."""
    content = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": {**content, **delta}, "finish_reason": finish}
    made = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(made)}\n\n".encode()


def counts(tokens):
    """An event that tells what was used."""
    usage = {"prompt_tokens": tokens, "completion_tokens": tokens, "total_tokens": 0}
    return f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n".encode()


DONE = b"data: [DONE]\n\n"
STOP = chunk(finish="stop") + DONE


class Model:
    """What the server answers: a status with headers, then pieces of a body; a number is seconds to wait."""

    def __init__(self, *pieces, status=200, headers=None, cut=False):
        self.pieces, self.status, self.headers, self.cut = pieces, status, headers or {}, cut
        self.keys = []


@pytest.fixture
def serving():
    """Serves a Model on a real socket; gives its base URL."""
    servers = []

    def serve(model):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.rfile.read(int(self.headers["content-length"]))
                model.keys.append(self.headers["authorization"])
                self.send_response(model.status)
                for name, value in {"content-type": "text/event-stream", **model.headers}.items():
                    self.send_header(name, value)
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                for piece in model.pieces:
                    if isinstance(piece, bytes):
                        try:
                            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                            self.wfile.flush()
                        except OSError:
                            return
                    else:
                        time.sleep(piece)
                if model.cut:
                    self.close_connection = True
                    return
                self.wfile.write(b"0\r\n\r\n")

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/v1"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def ask(client_over, shared_index, serving, sse, caplog):
    """Asks for a stream of a service whose model is the given one; checks what holds of every stream."""

    def asked(model, **settings):
        caplog.set_level(logging.DEBUG)
        client = client_over(
            shared_index,
            generator="openai",
            generator_model="m",
            generator_api_key=KEY,
            generator_base_url=serving(model),
            abstain_below=0,
            **settings,
        )
        response = client.post("/v1/answer", json={"query": QUESTION, "stream": True})
        events = sse(response.text)
        names = [one.name for one in events]
        assert (names.count("done") + names.count("error"), names[-1]) == (1, "done")
        assert model.keys[0] == f"Bearer {KEY}"
        ours = "\n".join(one.getMessage() for one in caplog.records if one.name.startswith("footnote"))
        assert KEY not in response.text
        assert KEY not in caplog.text
        assert "99 days" not in ours
        done = events[-1].data
        shown = "".join(one.data["text"] for one in events if one.name == "sentence")
        assert shown == done["answer"]
        assert "99 days" not in "".join(json.dumps(one.data) for one in events if one.name != "sources")
        return done

    return asked


CALL = {"index": 0, "id": "t", "type": "function", "function": {"name": "rm", "arguments": "{}"}}
WRONG_KEY = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}}).encode()
LATER = {"retry-after": "7"}
OVERLOADED = b'data: {"error": {"message": "overloaded"}}\n\n'

STANDS_IN = [
    ("nothing", Model(STOP), "wrote nothing"),
    ("not even an end", Model(DONE), "bad_response"),
    ("blank", Model(chunk(" \n "), STOP), "wrote nothing"),
    ("a tool call", Model(chunk(tool_calls=[CALL]), chunk(finish="tool_calls"), DONE), "wrote nothing"),
    ("a refusal", Model(chunk(refusal="I will not."), chunk(finish="stop"), DONE), "wrote nothing"),
    ("HTML", Model(b"<html>busy</html>", headers={"content-type": "text/html"}), "bad_response"),
    ("garbage", Model(b"data: {not json}\n\n"), "bad_response"),
    ("invalid UTF-8", Model(b"data: \xff\xfe\n\n"), "bad_response"),
    ("a limit", Model(b"{}", status=429, headers=LATER), "rate_limited (HTTP 429)"),
    ("a wrong key", Model(WRONG_KEY, status=401), "not_authorised (HTTP 401)"),
    ("no such model", Model(b"{}", status=404), "refused_request (HTTP 404)"),
    ("a failure", Model(b"oops", status=500), "server_error (HTTP 500)"),
    ("closed at once", Model(cut=True), "unreachable"),
    ("a list for a text", Model(chunk([1])), "bad_response"),
    ("a number for a text", Model(chunk(7)), "bad_response"),
    ("no choices at all", Model(b'data: {"choices": null}\n\n', STOP), "wrote nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "told"), [one[1:] for one in STANDS_IN], ids=[one[0] for one in STANDS_IN])
def test_a_model_that_writes_nothing_is_stood_in_for_and_why_is_told(ask, model, told):
    done = ask(model)
    assert (done["finish_reason"], done["verdict"], done["usage"]["model"]) == ("stop", "grounded", "extractive")
    assert "14 days" in done["answer"]
    assert [one for one in done["degraded"] if told in one]
    assert len(model.keys) == 1


ENDS = [
    ("a refusal after a sentence", Model(chunk(TRUE), chunk(refusal="No."), STOP), "provider_error"),
    ("a refusal in one", Model(chunk(TRUE + PART), chunk(refusal="No."), STOP), "provider_error"),
    ("a cut at the length limit", Model(chunk(TRUE), chunk("Refunds take"), chunk(finish="length"), DONE), "length"),
    ("a filter", Model(chunk(TRUE), chunk(finish="content_filter"), DONE), "provider_error"),
    ("a filter in a sentence", Model(chunk(TRUE + PART), chunk(finish="content_filter"), DONE), "provider_error"),
    ("a stall within a sentence", Model(chunk(TRUE), chunk("Refunds take 99"), 1.5), "provider_error"),
    ("a connection cut within a sentence", Model(chunk(TRUE), chunk("Refunds take 99"), cut=True), "provider_error"),
    ("a stream that just stops", Model(chunk(TRUE), chunk("Refunds take 99 days")), "provider_error"),
    ("garbage after a sentence", Model(chunk(TRUE), chunk("Write to "), b"data: {broken\n\n"), "provider_error"),
    ("bytes that are no UTF-8", Model(chunk(TRUE), chunk("Write to "), 0.1, b"data: \xff\n\n"), "provider_error"),
    ("an error event after three sentences", Model(chunk(TRUE * 3), chunk("Then "), OVERLOADED), "provider_error"),
    ("an error event right after a sentence", Model(chunk(TRUE), OVERLOADED), "provider_error"),
    ("a cut right after a sentence", Model(chunk(TRUE), chunk(finish="length"), DONE), "length"),
    ("counts that are none", Model(chunk(TRUE), counts("many"), counts(-5), counts(10**30), STOP), "stop"),
    ("a tool call after a sentence", Model(chunk(TRUE), chunk(finish="tool_calls"), DONE), "provider_error"),
    ("a tool call in one", Model(chunk(TRUE + PART), chunk(finish="function_call"), DONE), "provider_error"),
    ("a lone surrogate", Model(chunk(TRUE + "Fish \ud800 swim. "), STOP), "stop"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "reason"), [one[1:] for one in ENDS], ids=[one[0] for one in ENDS])
def test_what_was_verified_stays_and_why_it_ended_is_told(ask, model, reason):
    done = ask(model, generator_between_ms=300)
    assert (done["finish_reason"], done["usage"]["provider"]) == (reason, "openai")
    assert done["verdict"] in ("grounded", "partial")
    assert done["answer"].startswith("Refunds take 14 days [1].")
    assert not done["answer"].replace("Refunds take 14 days [1].", "").strip()
    assert reason == "stop" or done["degraded"]


def test_an_endless_sentence_is_withheld_piece_by_piece_and_ends_with_the_deadline(ask):
    endless = Model(chunk(TRUE), *[chunk("and the refund takes 99 more days " * 40) for _ in range(20)], 3.0)
    began = time.monotonic()
    done = ask(endless, budgets=True, answer_budget_ms=1_500, generator_between_ms=60_000)
    assert time.monotonic() - began < 6
    assert (done["finish_reason"], done["verdict"]) == ("deadline", "partial")
    assert {one["reason"] for one in done["withheld"]} == {"too_long"}
    assert done["answer"].strip() == "Refunds take 14 days [1]."


def test_a_model_that_writes_without_end_is_read_as_far_as_its_tokens_reach(ask):
    began = time.monotonic()
    done = ask(Model(chunk(TRUE + "and so on " * 300_000), STOP), generator_tokens_max=100)
    assert time.monotonic() - began < 6
    assert (done["finish_reason"], done["verdict"]) == ("length", "partial")
    assert done["answer"].strip() == "Refunds take 14 days [1]."


def test_a_whole_answer_of_lies_shows_none_of_them(ask):
    done = ask(Model(chunk(LIE * 3), STOP))
    assert done["verdict"] == "abstained"
    assert [one["reason"] for one in done["withheld"]] == ["not_supported"] * 3
