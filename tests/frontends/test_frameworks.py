"""LangChain's ChatOpenAI and LlamaIndex's OpenAILike, in an environment of their own."""

from __future__ import annotations

import pytest

from .conftest import ANSWER, QUESTION

WAYS = ["whole", "streamed", "asynchronous"]


@pytest.mark.parametrize("way", WAYS)
def test_langchain_reads_text_finish_reason_and_usage(frameworks, way):
    found = frameworks("langchain", way, QUESTION)
    assert (found["text"], found["finish_reason"]) == (ANSWER, "stop")
    assert found["usage"]["total_tokens"] == 60


@pytest.mark.parametrize("way", WAYS)
def test_langchain_reads_annotations_of_responses(frameworks, served, way):
    found = frameworks("langchain", way, QUESTION, responses=True)
    assert found["text"] == ANSWER
    assert found["usage"]["total_tokens"] == 60
    assert [one["title"] for one in found["annotations"]] == ["Returns", "Shipping"]
    assert all(one["url"].startswith(f"{served.address}/s/") for one in found["annotations"])


def test_langchain_reads_links_where_it_reads_no_annotations(frameworks, served):
    body = {"rag": {"citation_style": "markdown"}}
    found = frameworks("langchain", "streamed", QUESTION, body=body)
    assert found["text"].count(f"]({served.address}/s/") == 3


@pytest.mark.parametrize("way", WAYS)
def test_llamaindex_reads_text_and_hands_on_the_rest(frameworks, way):
    found = frameworks("llamaindex", way, QUESTION)
    assert (found["text"], found["finish_reason"], found["verdict"]) == (ANSWER, "stop", "partial")
    if way == "whole":
        assert [one["url_citation"]["title"] for one in found["annotations"]] == ["Returns", "Shipping"]
        assert found["usage"] == 60


@pytest.mark.parametrize("framework", ["langchain", "llamaindex"])
@pytest.mark.parametrize("way", WAYS)
def test_an_unknown_model_is_the_clients_own_error(frameworks, framework, way):
    error = frameworks(framework, way, QUESTION, model="gpt-4o")["error"]
    assert error["code"] == "model_not_found"
    assert "NotFoundError" in error["kinds"]


@pytest.mark.parametrize("framework", ["langchain", "llamaindex"])
def test_an_empty_question_is_the_clients_own_error(frameworks, framework):
    error = frameworks(framework, "streamed", " ")["error"]
    assert error["code"] == "invalid_request"
    assert "BadRequestError" in error["kinds"]


@pytest.mark.parametrize("framework", ["langchain", "llamaindex"])
def test_a_stream_that_breaks_is_the_clients_own_error(frameworks, breaking, framework):
    error = frameworks(framework, "streamed", QUESTION)["error"]
    assert "APIError" in error["kinds"]
    assert "under this request id" in error["message"]


@pytest.mark.parametrize("framework", ["langchain", "llamaindex"])
def test_a_client_that_leaves_ends_the_call_of_the_chat_model(frameworks, served, framework):
    found = frameworks(framework, "left", "What stalls a refund?")
    assert found["text"].startswith("Refunds take 14 days")
    served.calls_end()
