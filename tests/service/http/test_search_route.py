"""POST /v1/search: what it gives, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from indexer.build import Request, build
from indexer.progress import Silent
from indexer.settings import IndexerSettings
from service.contract import SearchResponse
from store.errors import LegUnavailable
from store.index import IndexDirectory


def short(value) -> str:
    return str(value)[:40]


def search(client, **body):
    return client.post("/v1/search", json={"query": "refunds"} | body)


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({"query": ""}, ["query"]),
        ({"query": " \n\t\0 "}, ["query"]),
        ({"query": 3}, ["query"]),
        ({"query": None}, ["query"]),
        ({"query": "x" * 64_001}, ["query"]),
        ({"query": "ü" * 32_001}, ["query"]),
        ({"top_k": 0}, ["top_k"]),
        ({"top_k": -1}, ["top_k"]),
        ({"top_k": 1_001}, ["top_k"]),
        ({"top_k": 1_000_000}, ["top_k"]),
        ({"top_k": "10"}, ["top_k"]),
        ({"top_k": 1.5}, ["top_k"]),
        ({"top_k": True}, ["top_k"]),
        ({"mode": "semantic"}, ["mode"]),
        ({"rerank": "yes"}, ["rerank"]),
        ({"explain": 1}, ["explain"]),
        ({"deadline_ms": 0}, ["deadline_ms"]),
        ({"deadline_ms": -5}, ["deadline_ms"]),
        ({"filter": []}, ["filter"]),
        ({"vector": [0.0] * 3}, ["vector"]),
        ({"vector": [0.0] * 64}, ["vector"]),
        ({"vector": ["a"] * 64}, ["vector", 0]),
        ({"vector": []}, ["vector"]),
        ({"limit": 3}, ["limit"]),
    ],
    ids=short,
)
def test_a_wrong_field_is_named_in_a_422_problem(client, body, loc):
    response = search(client, **body)
    problem = response.json()
    assert (response.status_code, problem["type"]) == (422, "urn:footnote:problem:invalid-request")
    assert loc in [one["loc"] for one in problem["errors"]]


def test_a_missing_query_is_named(client):
    response = client.post("/v1/search", json={})
    assert response.status_code == 422
    assert response.json()["errors"] == [{"loc": ["query"], "msg": "Field required"}]


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        ({"year": {"$gte": {}}}, "$gte"),
        ({"year": {"$near": 1}}, "$near"),
        ({"$nor": []}, "$nor"),
        ({"$and": {}}, "$and"),
        ({"lang": {"$in": "en"}}, "$in"),
        ({"$not": {"$not": {"$not": {"$not": {"$not": {"$not": {"$not": {"$not": {"a": 1}}}}}}}}}, "nested"),
        ({"year": 10**400}, "too large"),
    ],
    ids=short,
)
def test_a_bad_filter_is_a_422_that_names_what_is_wrong(client, raw, named):
    response = search(client, filter=raw)
    assert (response.status_code, response.json()["type"]) == (422, "urn:footnote:problem:invalid-filter")
    assert named in response.json()["detail"]


def test_a_number_that_json_does_not_know_is_refused(client):
    for field in ('"deadline_ms": NaN', '"vector": [Infinity]', '"filter": {"year": NaN}', '"top_k": NaN'):
        response = client.post(
            "/v1/search", content=f'{{"query": "a", {field}}}', headers={"content-type": "application/json"}
        )
        assert response.status_code == 422, field


def test_results_are_ranked_and_match_the_contract(client):
    response = search(client, query="how long do refunds take")
    found = SearchResponse.model_validate_json(response.text)
    assert found.results[0].document.id == "docs/refunds.md"
    assert [one.rank for one in found.results] == list(range(1, len(found.results) + 1))
    assert [one.score for one in found.results] == sorted((one.score for one in found.results), reverse=True)
    assert found.request_id == response.headers["x-request-id"]


def test_what_others_only_may_read_is_never_found(client):
    response = search(client, query="secret plan Nightingale", top_k=1000)
    assert response.json()["results"]
    assert "secret" not in response.text.replace("secret plan Nightingale", "").lower()


def test_top_k_bounds_the_results_and_has_a_default_that_can_be_set(client_over, shared_index):
    client = client_over(shared_index, top_k=2)
    assert len(search(client).json()["results"]) == 2
    assert len(search(client, top_k=1).json()["results"]) == 1
    assert len(search(client, top_k=1000).json()["results"]) == 4


def test_a_filter_holds_in_every_mode(client):
    for mode in ("hybrid", "dense", "lexical"):
        found = search(client, query="elephants sleep refunds", mode=mode, filter={"tags": {"$in": ["y", "z"]}}).json()
        assert [one["document"]["id"] for one in found["results"]] == ["linked page"]


def test_a_callers_vector_takes_the_place_of_the_encoder(client):
    plain = search(client, mode="dense").json()
    asked = search(client, mode="dense", vector=[0.5] * 64).json()
    doubled = search(client, mode="dense", vector=[1e30] * 64).json()
    assert "embed" in [one["name"] for one in plain["stages"]]
    assert "embed" not in [one["name"] for one in asked["stages"]]
    assert asked["results"] == doubled["results"], "only the direction counts in a space of unit vectors"
    assert all(abs(one["scores"]["dense"]) <= 1.0001 for one in doubled["results"])


def test_explain_tells_how_scores_come_about_only_when_asked(client):
    assert search(client).json()["explain"] is None
    assert search(client, explain=True).json()["explain"]["mode"] == "hybrid"


def test_a_nul_and_escapes_of_half_a_character_are_never_a_500(client):
    headers = {"content-type": "application/json"}
    assert client.post("/v1/search", content=b'{"query": "re\\u0000funds"}', headers=headers).status_code == 200
    for body in (b'{"query": "\\ud800"}', b'{"query": "\xff"}', b'{"query": "a", "filter": {"\\udfff": 1}}'):
        response = client.post("/v1/search", content=body, headers=headers)
        assert (response.status_code, response.json()["type"]) == (400, "urn:footnote:problem:invalid-json")
    assert search(client, filter={"a\0b": "c\0d"}).status_code == 200


def test_an_explicit_mode_whose_leg_fails_is_a_504(client, monkeypatch):
    async def fails(*_):
        raise LegUnavailable("dense", "no encoder")

    monkeypatch.setattr("service.http.routes_questions.search", fails)
    response = search(client, mode="dense")
    assert (response.status_code, response.json()["type"]) == (504, "urn:footnote:problem:leg-unavailable")


@pytest.mark.parametrize(
    ("given", "header"), [({"deadline_ms": 0.0001}, None), ({}, "0.0001"), ({"deadline_ms": 60_000}, "0.0001")]
)
def test_the_smaller_of_both_deadlines_holds(client, given, header):
    headers = {} if header is None else {"X-Request-Deadline-Ms": header}
    response = client.post("/v1/search", json={"query": "refunds", "mode": "lexical"} | given, headers=headers)
    assert (response.status_code, response.json()["type"]) == (504, "urn:footnote:problem:stage-overrun")


@pytest.mark.parametrize("header", ["0", "-1", "soon", "NaN", "inf", "1e3", "1_000", "0.0"])
def test_a_deadline_header_that_is_no_number_above_0_is_refused(client, header):
    response = client.post("/v1/search", json={"query": "a"}, headers={"X-Request-Deadline-Ms": header})
    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"] == ["header", "x-request-deadline-ms"]


def test_an_index_whose_model_nobody_named_takes_vectors_and_refuses_to_guess(client_over, tmp_path):
    (tmp_path / "docs.jsonl").write_text('{"id": "a", "text": "otter"}\n{"id": "b", "text": "heron"}\n')
    np.save(tmp_path / "rows.npy", np.eye(2, dtype=np.float32))
    request = Request([str(tmp_path / "docs.jsonl")], vectors=tmp_path / "rows.npy")
    build(IndexDirectory(tmp_path / "index"), request, IndexerSettings(), Silent())
    client = client_over(tmp_path / "index")

    given = search(client, query="otter", mode="dense", vector=[0.1, 0.9], top_k=1)
    refused = search(client, query="otter", mode="dense")
    hybrid = search(client, query="otter")

    assert [one["document"]["id"] for one in given.json()["results"]] == ["b"]
    assert (refused.status_code, refused.json()["detail"]) == (
        504,
        "the dense leg is not available: the index admits no query encoder; send a vector.",
    )
    assert hybrid.status_code == 200
    assert [one["document"]["id"] for one in hybrid.json()["results"]] == ["a"]
    assert hybrid.json()["degraded"] == [
        "dense: the dense leg is not available: the index admits no query encoder; send a vector; the other leg alone"
    ]
