"""The OpenAPI document is committed, true, and whole; docs/http-api.md names all there is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from service.contract import AnswerResponse, SearchResponse
from service.http.exchange import OPENAI_PATHS
from service.http.openapi import written
from service.http.problems import KINDS, openai_status

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture
def document(client) -> dict:
    return client.get("/openapi.json").json()


def test_the_committed_document_is_the_one_that_is_served(client, document):
    """If this fails: python -m service.http.openapi docs/openapi.json"""
    committed = (DOCS / "openapi.json").read_text(encoding="utf-8")
    assert json.loads(committed) == document
    assert committed == written(client.app)


def test_every_reference_leads_somewhere(document):
    for name in re.findall(r"#/components/schemas/(\w+)", json.dumps(document)):
        assert name in document["components"]["schemas"]


def test_every_route_documents_its_answers_and_its_problems(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            answers = operation["responses"]
            assert {"200", "204"}.intersection(answers)
            for status, answer in answers.items():
                if status == "204":
                    assert "content" not in answer
                elif status != "200":
                    shape = "application/json" if path.startswith(OPENAI_PATHS) else "application/problem+json"
                    assert list(answer["content"]) == [shape], (path, method, status)
            assert re.fullmatch(r"[a-z_]+", operation["operationId"])


def test_the_stream_and_its_events_are_documented(document):
    content = document["paths"]["/v1/answer"]["post"]["responses"]["200"]["content"]
    events = content["text/event-stream"]["schema"]["x-events"]
    assert set(events) == {"meta", "sources", "sentence", "withheld", "degraded", "done", "error"}
    each = content["text/event-stream"]["itemSchema"]["oneOf"]
    assert {one["properties"]["event"]["const"] for one in each} == set(events)
    assert "type" not in document["components"]["schemas"]["MetaEvent"]["properties"]
    assert set(content) == {"application/json", "text/event-stream"}


def test_documented_problems_are_known_kinds_with_their_status(document):
    for path, methods in document["paths"].items():
        status_of = openai_status if path.startswith(OPENAI_PATHS) else int
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                for slug in re.findall(r"([a-z-]+): ", answer["description"]):
                    assert status_of(KINDS[slug].status) == int(status)


@pytest.fixture
def page() -> str:
    return (DOCS / "http-api.md").read_text(encoding="utf-8")


def test_the_page_names_every_route(document, page):
    for path, methods in document["paths"].items():
        for method in methods:
            assert f"`{method.upper()} {path}`" in page


def test_the_page_lists_every_problem_with_its_status(page):
    for slug, kind in KINDS.items():
        assert re.search(rf"^\| `{slug}` \| {kind.status} \|", page, re.MULTILINE), slug


def test_the_page_names_every_request_and_response_field(document, page):
    for name in ("SearchRequest", "AnswerRequest", "SearchResponse", "AnswerResponse", "Citation", "IndexResponse"):
        for field in document["components"]["schemas"][name]["properties"]:
            assert re.search(rf"[`\"]{field}[`\"]", page), f"{name}.{field}"


def test_the_pages_examples_match_the_contract(page):
    examples = [json.loads(one) for one in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    assert any(is_valid(SearchResponse, one) for one in examples)
    assert any(is_valid(AnswerResponse, one) for one in examples)


def is_valid(model, value) -> bool:
    try:
        model.model_validate(value)
    except ValueError:
        return False
    return True
