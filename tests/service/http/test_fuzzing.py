"""Every operation of the OpenAPI document, asked whatever schemathesis can think of: never a 5xx, never a status, a
header or a shape that the document does not tell.

Some 5xx are documented and right: no index (503), more load than the service carries (503), a damaged store (500), a
deadline or budget that has passed (504). None of them can come here: the index is there and whole, one request is asked
after the other, budgets are lifted, and deadlines that requests set are made a minute at least. So any 5xx fails.

What is generated from a schema alone is mostly refused (an id that no document has, both of two fields that exclude one
another). So each request is asked twice: as it was generated, and mended until it should be accepted; and an operation
that accepts nothing of all this fails.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from hypothesis import HealthCheck, settings

schemathesis = pytest.importorskip("schemathesis", reason="the API is fuzzed with schemathesis, which is missing")

from schemathesis.core.failures import FailureGroup  # noqa: E402  # after the skip
from schemathesis.specs.openapi.checks import (  # noqa: E402  # after the skip
    negative_data_rejection,
    positive_data_acceptance,
)

DOCUMENT = Path(__file__).parents[3] / "docs" / "openapi.json"
DEADLINE_MS_MIN = 60_000
DEADLINE_HEADER = "X-Request-Deadline-Ms"
QUESTION = "How long do refunds take?"
NO_CERTAIN_SUCCESS = ("{request_id}",)
"""Operations with these in their path may refuse everything: what they ask for lives for seconds only."""

QUICK = settings(max_examples=25, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(max_examples=1_000, deadline=None, suppress_health_check=list(HealthCheck))

schema = schemathesis.openapi.from_path(DOCUMENT)


class Asked:
    """A running service, real values for what it is asked, and what it answered."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.statuses: dict[str, Counter[int]] = {}
        answer = httpx.post(f"{address}/v1/answer", json={"query": QUESTION}, timeout=30).json()
        source = answer["sources"][0]
        models = httpx.get(f"{address}/v1/models", timeout=30)
        self.model = models.json()["data"][0]["id"] if models.status_code == 200 else None
        self.path = {
            "id": source["document"]["id"],
            "document_version": source["document"]["version"],
            "start": str(source["passage"]["start"]),
            "end": str(source["passage"]["end"]),
            "request_id": answer["request_id"],
        } | ({} if self.model is None else {"model": self.model})
        self.request_id = answer["request_id"]
        kept = httpx.post(
            f"{address}/v1/answer", json={"query": QUESTION, "stream": True, "resumable": True}, timeout=30
        )
        self.token = kept.headers.get("x-resume-token")  # none where answers cannot be resumed
        if self.token is not None:
            self.path["request_id"] = kept.headers["x-request-id"]

    def ask(self, case: Any) -> None:
        patient(case)
        self.check(case)
        self.check(self.mended(case))

    def check(self, case: Any) -> None:
        response = case.call(base_url=self.address)
        self.statuses.setdefault(case.operation.label, Counter())[response.status_code] += 1
        # a schema cannot say all that makes a request acceptable; that what it forbids is refused is looked at, and
        # 413, which schemathesis does not count as a refusal, is one
        excluded = [positive_data_acceptance]
        if response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            excluded.append(negative_data_rejection)
        case.validate_response(response, excluded_checks=excluded)

    def mended(self, case: Any) -> Any:
        """The same request with real values in place of what nothing here has."""
        path = {name: self.path.get(name, value) for name, value in (case.path_parameters or {}).items()}
        body = self._mended_body(case.operation, case.body) if isinstance(case.body, dict) else case.body
        headers = {"x-resume-token": self.token} if self.token is not None and "request_id" in path else None
        return case.operation.Case(path_parameters=path, headers=headers, body=body, media_type=case.media_type)

    def _mended_body(self, operation: Any, body: dict[str, Any]) -> dict[str, Any]:
        properties = fields_of(operation)
        body = {name: value for name, value in body.items() if name in properties and fits(properties[name], value)}
        for name in ("vector", "why"):
            body.pop(name, None)
        if "messages" in properties and ("query" not in properties or "messages" in body):
            parts = {"id": "m", "parts": [{"type": "text", "text": QUESTION}]}
            body["messages"] = [{"role": "user"} | (parts if "/ui" in operation.path else {"content": QUESTION})]
            body.pop("query", None)
        elif "query" in properties:
            body["query"] = QUESTION
        if "input" in properties:
            body["input"] = QUESTION
        if "model" in properties and self.model is not None:
            body["model"] = self.model
        if "request_id" in properties:
            body["request_id"] = self.request_id
        if body.get("filter") is not None:
            body["filter"] = {"lang": {"$in": ["en", None, 1]}}
        return body

    def accepted_something(self) -> None:
        for label, statuses in self.statuses.items():
            if not any(one in label for one in NO_CERTAIN_SUCCESS):
                assert any(200 <= one < 300 for one in statuses), (
                    f"{label} refused everything: {dict(statuses)}; teach Asked.mended what it wants"
                )


def fields_of(operation: Any) -> dict[str, Any]:
    """The properties of an operation's JSON body, by name."""
    document = operation.schema.raw_schema
    body = document["paths"][operation.path][operation.method].get("requestBody", {})
    reference = body.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref", "")
    return document["components"]["schemas"].get(reference.rpartition("/")[2], {}).get("properties", {})


def fits(rule: dict[str, Any], value: Any) -> bool:
    """Whether a value is allowed by a property's schema, as far as simple ones go."""
    if value is None:
        return {"type": "null"} in rule.get("anyOf", ())
    if "enum" in rule:
        return value in rule["enum"]
    return True


def patient(case: Any) -> None:
    """A deadline that nothing here misses, where the request has a valid one: an expired one is a 504, and rightly."""
    bodies = [case.body, case.body.get("rag")] if isinstance(case.body, dict) else []
    for body in bodies:
        asked = body.get("deadline_ms") if isinstance(body, dict) else None
        if isinstance(asked, int | float) and 0 < asked < DEADLINE_MS_MIN:
            body["deadline_ms"] = DEADLINE_MS_MIN
    header = (case.headers or {}).get(DEADLINE_HEADER)
    if header is not None and header.strip().replace(".", "", 1).isdecimal() and float(header) < DEADLINE_MS_MIN:
        case.headers[DEADLINE_HEADER] = str(DEADLINE_MS_MIN)


@pytest.fixture
def asked(app_over, shared_index, serve):
    asked = Asked(f"http://127.0.0.1:{serve(app_over(shared_index)).port}")
    yield asked
    print(json.dumps({label: dict(sorted(found.items())) for label, found in asked.statuses.items()}))
    asked.accepted_something()


@pytest.mark.parametrize("wrong", ["nothing", "a 5xx", "an undocumented status", "an event's shape"])
def test_what_is_wrong_is_found(asked, wrong, monkeypatch):
    """The control: what the tests below would pass over, they could not find."""
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    if wrong == "a 5xx":
        monkeypatch.setattr("service.http.routes_questions.answer", None)
    if wrong == "an undocumented status":
        del document["paths"]["/v1/answer"]["post"]["responses"]["422"]
    if wrong == "an event's shape":
        document["components"]["schemas"]["SentenceEvent"]["properties"]["index"] = {"type": "string"}
    operation = schemathesis.openapi.from_dict(document)["/v1/answer"]["POST"]
    body = {"query": "" if wrong == "an undocumented status" else QUESTION, "stream": wrong != "a 5xx"}
    found = contextlib.nullcontext() if wrong == "nothing" else pytest.raises(FailureGroup)
    with found:
        asked.check(operation.Case(body=body, media_type="application/json"))
    asked.statuses.clear()


@pytest.mark.slow
@schema.parametrize()
@QUICK
def test_no_request_gets_a_5xx_or_what_is_not_documented(case, asked):
    asked.ask(case)


@pytest.mark.nightly
@schema.parametrize()
@LONG
def test_no_request_out_of_a_thousand_does(case, asked):
    asked.ask(case)
