"""Bodies that are too large, of another type, or not JSON."""

from __future__ import annotations

import json

import pytest

JSON = {"content-type": "application/json"}
ROUTES = ["/v1/search", "/v1/answer"]


def kind(response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, response.json()["type"].removeprefix("urn:footnote:problem:")


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nul",
        b'{"query": "a"} {}',
        b"{'query': 'a'}",
        b'{"query": "a",}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"query": "a", "filter": ' + b'{"$not":' * 5_000 + b"1" + b"}" * 5_001,
        b'{"top_k": 1' + b"0" * 5_000 + b"}",
    ],
    ids=lambda body: repr(body[:20]),
)
def test_what_is_not_json_is_a_400(client, route, body):
    assert kind(client.post(route, content=body, headers=JSON)) == (400, "invalid-json")


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("body", [b"[]", b'"a"', b"3", b"null"])
def test_json_that_is_no_object_is_a_422(client, route, body):
    assert kind(client.post(route, content=body, headers=JSON)) == (422, "invalid-request")


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "json"]
)
def test_a_body_that_does_not_say_it_is_json_is_a_415(client, route, content_type):
    headers = {} if content_type is None else {"content-type": content_type}
    assert kind(client.post(route, content=b'{"query": "a"}', headers=headers)) == (415, "unsupported-media-type")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", "application/x+json"])
def test_json_types_with_parameters_or_suffix_are_taken(client, content_type):
    response = client.post("/v1/search", content=b'{"query": "a"}', headers={"content-type": content_type})
    assert response.status_code == 200


@pytest.mark.parametrize("route", ROUTES)
def test_a_body_above_1_mb_is_a_413_declared_or_not(client, route):
    body = json.dumps({"query": "a" * 1_000_000}).encode()
    assert kind(client.post(route, content=body, headers=JSON)) == (413, "body-too-large")

    pieces = (b" " * 100_000 for _ in range(11))
    assert kind(client.post(route, content=pieces, headers=JSON)) == (413, "body-too-large")


def test_a_body_just_below_the_limit_is_read_and_its_100_kb_query_refused(client):
    body = json.dumps({"query": "a"}).encode().ljust(1_000_000)
    assert client.post("/v1/search", content=body, headers=JSON).status_code == 200
    response = client.post("/v1/search", json={"query": "a" * 100_000})
    assert kind(response) == (422, "invalid-request")
    assert "64000 bytes" in response.json()["detail"]


def test_a_body_of_more_mistakes_than_can_be_looked_at_is_refused_by_their_number(client):
    refused = client.post("/v1/search", json={"query": "a", **{f"unknown{number}": 1 for number in range(20_000)}})
    assert refused.status_code == 422
    assert refused.json()["detail"] == "The body is wrong in 20,000 places, too many to name."


def test_a_long_body_of_mistakes_lists_only_the_first(client):
    response = client.post("/v1/search", json={f"unknown{number}": 1 for number in range(1_000)})
    assert len(response.json()["errors"]) == 20


def test_an_endless_chunked_body_is_refused_while_it_comes(app_over, shared_index, serve):
    """The client never ends its body; it is answered all the same."""
    head = b"POST /v1/search HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    opened = serve(app_over(shared_index)).raw(head + b"transfer-encoding: chunked\r\n\r\n")
    for _ in range(11):
        opened.sendall(b"186a0\r\n" + b" " * 100_000 + b"\r\n")
    received = b""
    while b"urn:footnote:problem:body-too-large" not in received:
        piece = opened.recv(65_536)
        assert piece
        received += piece
    assert received.startswith(b"HTTP/1.1 413")


def test_a_client_that_sends_far_too_much_can_still_read_why_not(app_over, shared_index, serve):
    response = serve(app_over(shared_index)).post("/v1/search", {"query": "a" * 20_000_000})
    assert response.status == 413
    assert json.loads(response.read())["title"] == "The body is too large"
