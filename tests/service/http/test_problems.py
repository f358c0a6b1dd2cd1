"""Every error has its problem; none tells more than it should."""

from __future__ import annotations

import importlib
import pkgutil
import re

import pytest

import service
import store
from service.budget import StageOverrun
from service.http.problems import KINDS, OF_ERRORS, Problem, kind_of, problem_of
from store.errors import FootnoteError, IndexMissing


def subclasses(cls: type) -> set[type]:
    return {cls}.union(*(subclasses(one) for one in cls.__subclasses__()))


def test_every_error_of_the_tree_has_a_mapping():
    for room in (store, service):
        for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    ours = {one for one in subclasses(FootnoteError) if one.__module__.partition(".")[0] in ("store", "service")}
    assert len(ours) > 9
    for error in ours - {FootnoteError}:
        assert set(error.__mro__) & OF_ERRORS.keys(), f"{error.__name__} has no problem in service/http/problems.py"
    assert StageOverrun in OF_ERRORS


def test_kinds_are_distinct_stable_and_have_error_statuses():
    for slug, kind in KINDS.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", slug)
        assert kind.type == f"urn:footnote:problem:{slug}"
        assert 400 <= kind.status < 600
    assert len({kind.title for kind in KINDS.values()}) == len(KINDS)


def test_an_error_that_nobody_foresaw_tells_nothing_of_itself():
    problem = problem_of(ValueError("password=hunter2"), "r-1")
    assert (problem.status, problem.type, problem.request_id) == (500, KINDS["internal"].type, "r-1")
    assert "hunter2" not in problem.model_dump_json()


def test_a_foreseen_error_says_what_to_do():
    problem = problem_of(IndexMissing("there is none.", fix="Make one."), "r")
    assert (problem.status, problem.detail) == (503, "there is none. Make one.")


def test_the_nearest_class_decides():
    class Newer(IndexMissing):
        pass

    assert kind_of(Newer("x")) is KINDS["index-missing"]


def check_problem(response, status: int, slug: str) -> None:
    problem = Problem.model_validate(response.json())
    assert (response.status_code, problem.status, problem.type) == (status, status, KINDS[slug].type)
    assert response.headers["content-type"] == "application/problem+json"
    assert problem.request_id == response.headers["x-request-id"]


def test_an_unknown_path_is_a_problem(client):
    check_problem(client.get("/nope"), 404, "not-found")


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_no_page_that_loads_scripts_from_elsewhere_is_served(client, path):
    check_problem(client.get(path), 404, "not-found")


def test_a_wrong_method_is_a_problem_that_names_the_right_one(client):
    response = client.get("/v1/search")
    check_problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "POST"


def test_an_unforeseen_error_is_a_500_problem_and_its_trace_is_logged(client, monkeypatch, caplog):
    async def breaks(*_):
        raise RuntimeError("hunter2")

    monkeypatch.setattr("service.http.routes_questions.search", breaks)
    response = client.post("/v1/search", json={"query": "my private question"})
    check_problem(response, 500, "internal")
    assert "hunter2" not in response.text
    (record,) = [one for one in caplog.records if one.levelname == "ERROR"]
    assert response.headers["x-request-id"] in record.getMessage()
    assert "hunter2" in caplog.text
    assert "my private question" not in caplog.text
