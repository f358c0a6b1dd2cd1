"""Which hosts, origins and proxies are believed, and what every response carries."""

from __future__ import annotations

import pytest

from service.http.security import without_port
from store.errors import UsageError

QUESTION = {"query": "refunds"}


def kind(response) -> str:
    return response.json()["type"].removeprefix("urn:footnote:problem:")


@pytest.mark.parametrize(
    "host", ["evil.example", "testserver.evil.example", "evil.example:8000", "", "a b", "127.0.0.2"]
)
def test_a_foreign_host_is_refused(client, host):
    response = client.get("/v1/index", headers={"host": host})
    assert (response.status_code, kind(response)) == (400, "bad-host")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9999", "127.0.0.1:1", "[::1]:8000", "[::1]"])
def test_own_hosts_are_served_on_any_port(client, host):
    assert client.get("/v1/index", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_are_answered_under_any_host(client, path):
    assert client.get(path, headers={"host": "10.1.2.3:8000"}).status_code == 200


def test_the_public_urls_host_is_served_and_links_are_made_with_it(client_over, shared_index):
    client = client_over(shared_index, public_url="https://answers.example.org/footnote/")
    response = client.get("/", headers={"host": "answers.example.org"})
    assert response.status_code == 200
    assert "https://answers.example.org/footnote/v1/answer" in response.text


def test_any_host_can_be_allowed_but_not_one_that_is_none(client_over, shared_index):
    client = client_over(shared_index, allowed_hosts=["*"])
    assert client.get("/", headers={"host": "any.example"}).status_code == 200
    for host in ("a;rm -rf", "<b>", "a'b"):
        assert kind(client.get("/", headers={"host": host})) == "bad-host"


@pytest.mark.parametrize("path", ["/v1/search", "/v1/answer", "/v1/index/reload"])
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://testserver.evil.example", "http://"])
def test_another_sites_page_cannot_send_requests(client, path, origin):
    response = client.post(path, json=QUESTION, headers={"origin": origin})
    assert (response.status_code, kind(response)) == (403, "forbidden-origin")


@pytest.mark.parametrize("origin", [None, "http://testserver", "https://testserver"])
def test_the_services_own_pages_and_programs_can(client, origin):
    headers = {} if origin is None else {"origin": origin}
    assert client.post("/v1/search", json=QUESTION, headers=headers).status_code == 200


def test_no_origin_may_read_answers_unless_it_is_allowed(client):
    response = client.get("/v1/index", headers={"origin": "https://app.example"})
    assert "access-control-allow-origin" not in response.headers
    preflight = {"origin": "https://app.example", "access-control-request-method": "POST"}
    assert client.options("/v1/search", headers=preflight).status_code == 405


def test_an_allowed_origin_may_ask_and_read_and_no_other(client_over, shared_index):
    client = client_over(shared_index, allowed_origins=["https://app.example"])
    origin = {"origin": "https://app.example"}
    preflight = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    allowed = client.options("/v1/answer", headers=origin | preflight)
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, "https://app.example")
    stops = {"access-control-request-method": "DELETE", "access-control-request-headers": "x-resume-token"}
    assert client.options("/v1/answers/one", headers=origin | stops).status_code == 200
    response = client.post("/v1/search", json=QUESTION, headers=origin)
    assert (response.status_code, response.headers["access-control-allow-origin"]) == (200, "https://app.example")
    refused = client.post("/v1/search", json={}, headers=origin)
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (422, "https://app.example")
    other = {"origin": "https://other.example"}
    assert client.post("/v1/search", json=QUESTION, headers=other).status_code == 403
    assert "access-control-allow-origin" not in client.options("/v1/answer", headers=other | preflight).headers


def test_an_error_that_nobody_foresaw_can_be_read_by_an_allowed_origin(client_over, shared_index, monkeypatch):
    monkeypatch.setattr("service.http.routes_questions.search", None)
    client = client_over(shared_index, allowed_origins=["https://app.example"])
    response = client.post("/v1/search", json=QUESTION, headers={"origin": "https://app.example"})
    assert (response.status_code, response.headers["access-control-allow-origin"]) == (500, "https://app.example")


FORWARDED = {"x-forwarded-proto": "https", "x-forwarded-host": "testserver:444", "x-forwarded-for": "9.9.9.9, 8.8.8.8"}


def test_forwarded_headers_are_ignored_from_strangers(client):
    response = client.get("/", headers=FORWARDED)
    assert "http://testserver/v1/answer" in response.text


@pytest.mark.parametrize("trusted", ["10.0.0.0/8", "10.1.2.3", "*"])
def test_forwarded_headers_are_believed_from_trusted_proxies(app_over, shared_index, trusted):
    from starlette.testclient import TestClient

    app = app_over(shared_index, trusted_proxies=[trusted])
    with TestClient(app, client=("10.1.2.3", 5)) as client:
        assert "https://testserver:444/v1/answer" in client.get("/", headers=FORWARDED).text
        refused = client.get("/", headers=FORWARDED | {"x-forwarded-host": "evil.example"})
        assert kind(refused) == "bad-host"
    if trusted != "*":
        with TestClient(app_over(shared_index, trusted_proxies=[trusted]), client=("11.1.2.3", 5)) as client:
            assert "http://testserver/v1/answer" in client.get("/", headers=FORWARDED).text


def test_a_proxy_that_is_no_address_is_refused_when_the_service_is_made(app_over, shared_index):
    with pytest.raises(UsageError, match="trusted_proxies"):
        app_over(shared_index, trusted_proxies=["proxy.internal"])


@pytest.mark.parametrize("path", ["/healthz", "/", "/nope", "/v1/index", "/metrics"])
def test_every_response_has_a_request_id_and_is_not_sniffed(client, path):
    first, second = client.get(path), client.get(path)
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert first.headers["x-content-type-options"] == "nosniff"
    assert first.headers["referrer-policy"] == "no-referrer"


def test_a_callers_request_id_is_kept_if_it_is_harmless(client):
    assert client.get("/nope", headers={"x-request-id": "abc-1.2_X"}).json()["request_id"] == "abc-1.2_X"
    for bad in ("", "a b", "a" * 65, "a/b", "ü".encode()):
        assert client.get("/healthz", headers={"x-request-id": bad}).headers["x-request-id"].isalnum()


@pytest.mark.parametrize(
    ("host", "name"), [("A.b:80", "a.b"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("a", "a"), ("", "")]
)
def test_a_host_is_compared_without_its_port(host, name):
    assert without_port(host) == name
