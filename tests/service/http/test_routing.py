"""Routes: what takes the request and nothing else is handed it; the rest is FastAPI's."""

from __future__ import annotations

import pytest
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse
from starlette.testclient import TestClient

from service.http.app import create_app
from service.http.routing import PlainRoute
from service.settings import ServiceSettings
from service.wiring import Service


@pytest.fixture
def client():
    app = FastAPI()
    app.router.route_class = PlainRoute

    async def plain(request: Request):
        return JSONResponse([request.query_params["a"], "fastapi_inner_astack" in request.scope], status_code=201)

    async def solved(name: str, size: int = 3):
        return JSONResponse([name, size])

    app.add_api_route("/plain", plain, response_model=None, responses={201: {"description": "made"}})
    app.add_api_route("/solved/{name}", solved, response_model=None)
    return TestClient(app)


def test_either_kind_answers_and_is_in_the_document(client):
    assert client.get("/plain", params={"a": "b"}).json() == ["b", True]
    assert client.get("/plain", params={"a": "b"}).status_code == 201
    assert client.post("/plain").status_code == 405
    assert client.get("/solved/x", params={"size": 4}).json() == ["x", 4]
    assert client.get("/solved/x", params={"size": "much"}).status_code == 422
    paths = client.get("/openapi.json").json()["paths"]
    assert "201" in paths["/plain"]["get"]["responses"]
    assert [one["name"] for one in paths["/solved/{name}"]["get"]["parameters"]] == ["name", "size"]


def test_nothing_is_solved_for_a_question(tmp_path):
    service = Service(ServiceSettings(index=tmp_path))
    routes = {one.path: one for one in create_app(service).routes if isinstance(one, PlainRoute)}
    assert {"/v1/search", "/v1/answer", "/v1/chat/completions", "/healthz", "/v1/models/{model}"} <= routes.keys()
    assert routes["/v1/search"].get_route_handler() == routes["/v1/search"].endpoint
    assert routes["/v1/models/{model}"].get_route_handler() != routes["/v1/models/{model}"].endpoint
    service.close()
