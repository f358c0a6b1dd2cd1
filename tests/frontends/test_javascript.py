"""The AI SDK's clients: `openai()` (responses), `openai.chat()`, openai-compatible, and what `useChat` is made of."""

from __future__ import annotations

import json

import pytest

from .conftest import ANSWER, QUESTION


def check_sources(sources: list, address: str) -> None:
    assert [(one["sourceType"], one["title"]) for one in sources] == [("url", "Returns"), ("url", "Shipping")]
    assert all(one["url"].startswith(f"{address}/s/") for one in sources)


@pytest.mark.parametrize("model", ["responses", "chat", "compatible"])
@pytest.mark.parametrize("kind", ["whole", "streamed"])
def test_text_sources_finish_reason_and_usage(node, served, kind, model):
    found = node("clients.mjs", f"{kind}:{model}", QUESTION)
    assert (found["text"], found["finishReason"]) == (ANSWER, "stop")
    assert (found["usage"]["inputTokens"], found["usage"]["outputTokens"]) == (40, 20)
    if model == "compatible":
        assert found["sources"] == []  # it reads no annotations
    else:
        check_sources(found["sources"], served.address)


def test_markdown_links_reach_a_client_that_reads_no_annotations(node, served):
    options = json.dumps({"body": {"rag": {"citation_style": "markdown"}}})
    found = node("clients.mjs", "streamed:compatible", QUESTION, options)
    assert found["text"].count(f"[[1]]({served.address}/s/") == 2
    assert found["text"].count(f"[[2]]({served.address}/s/") == 1


@pytest.mark.parametrize("model", ["responses", "chat", "compatible"])
def test_an_answer_cut_short_is_of_length(node, model):
    assert node("clients.mjs", f"streamed:{model}", "What fails about refunds?")["finishReason"] == "length"


@pytest.mark.parametrize("model", ["responses", "chat", "compatible"])
@pytest.mark.parametrize("kind", ["whole", "streamed"])
def test_an_unknown_model_is_the_clients_own_error(node, kind, model):
    found = node("clients.mjs", f"{kind}:{model}", QUESTION, json.dumps({"model": "gpt-4o"}))
    assert found["error"]["status"] == 404
    assert "'gpt-4o' does not exist" in found["error"]["message"]


@pytest.mark.parametrize("model", ["responses", "chat", "compatible"])
def test_a_stream_that_breaks_is_the_clients_own_error(node, breaking, model):
    found = node("clients.mjs", f"streamed:{model}", QUESTION)
    assert "under this request id" in found["error"]["message"]
    assert found["finishReason"] == "error"
    assert found["text"].startswith("Refunds take 14 days")


@pytest.mark.parametrize("model", ["responses", "chat", "compatible"])
def test_a_client_that_leaves_ends_the_call_of_the_chat_model(node, served, model):
    found = node("clients.mjs", f"streamed:{model}", "What stalls a refund?", json.dumps({"abort": True}))
    assert "abort" in found["types"]
    served.calls_end()


def test_use_chat_makes_a_message_of_text_sources_citations_and_verdict(node, served):
    found = node("clients.mjs", "useChat", QUESTION)
    assert found.get("error") is None
    parts = found["message"]["parts"]
    assert "".join(one["text"] for one in parts if one["type"] == "text") == ANSWER
    sources = [one for one in parts if one["type"] == "source-url"]
    assert [(one["sourceId"], one["title"]) for one in sources] == [("source-1", "Returns"), ("source-2", "Shipping")]
    assert all(one["url"].startswith(f"{served.address}/s/") for one in sources)
    assert sources[1]["providerMetadata"]["footnote"]["quote"] == "A parcel may weigh 20 kg."
    citations = [one["data"] for one in parts if one["type"] == "data-citation"]
    assert [one["marker"] for one in citations] == [1, 2, 1]
    assert [ANSWER[one["marker_start"] : one["marker_end"]] for one in citations] == ["[1]", "[2]", "[1]"]
    [withheld] = [one["data"] for one in parts if one["type"] == "data-withheld"]
    assert withheld["reason"] == "not_supported"
    [verdict] = [one["data"] for one in parts if one["type"] == "data-verdict"]
    assert (verdict["verdict"], verdict["usage"]["completion_tokens"]) == ("partial", 20)
    assert [one for one in parts if one["type"] == "data-status"] == []  # transient
    assert found["chunks"][-1] == {"type": "finish", "finishReason": "stop"}


def test_every_frame_is_what_the_sdks_schema_knows(node):
    found = node("clients.mjs", "schema", QUESTION)
    assert (found["wrong"], found["version"]) == ([], "v1")
    assert found["count"] > 15


def test_use_chat_raises_what_is_wrong_with_a_request(node):
    empty = json.dumps({"messages": [{"id": "u1", "role": "user", "parts": [{"type": "text", "text": " "}]}]})
    assert "must not be empty" in node("clients.mjs", "useChat", QUESTION, empty)["error"]


def test_use_chat_raises_what_breaks(node, breaking):
    found = node("clients.mjs", "useChat", QUESTION)
    assert found["error"].startswith("Something went wrong here")
    assert found["chunks"][-1]["type"] == "error"
    assert found["message"]["parts"][1]["text"].startswith("Refunds take 14 days")


def test_use_chat_can_ask_anew(node):
    messages = [
        {"id": "u1", "role": "user", "parts": [{"type": "text", "text": QUESTION}]},
        {"id": "a1", "role": "assistant", "parts": [{"type": "step-start"}, {"type": "text", "text": "No."}]},
    ]
    options = json.dumps({"messages": messages, "trigger": "regenerate-message"})
    assert ANSWER in json.dumps(node("clients.mjs", "useChat", QUESTION, options)["message"])


def test_use_chat_that_stops_ends_the_call_of_the_chat_model(node, served):
    found = node("clients.mjs", "useChat", "What stalls a refund?", json.dumps({"abort": True}))
    assert any(one["type"] == "text-delta" for one in found["chunks"])
    served.calls_end()
