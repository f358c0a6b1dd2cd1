"""Every problem of the service is a typed error; so is what a proxy says in its place."""

from __future__ import annotations

import json
from email.utils import format_datetime

import pytest
from footnote_client import errors

from service.http.problems import KINDS

EXPECTED = {
    400: errors.InvalidRequest,
    401: errors.Refused,
    403: errors.Refused,
    404: errors.NotFound,
    405: errors.InvalidRequest,
    408: errors.InvalidRequest,
    409: errors.Conflict,
    410: errors.Gone,
    413: errors.InvalidRequest,
    415: errors.InvalidRequest,
    422: errors.InvalidRequest,
    431: errors.InvalidRequest,
    429: errors.ServerError,
    500: errors.ServerError,
    502: errors.ServerError,
    503: errors.Unavailable,
    504: errors.DeadlineExceeded,
    507: errors.ServerError,
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.slug)
def test_a_problem_becomes_the_error_of_its_status_and_keeps_its_name(kind):
    problem = {"type": kind.type, "title": kind.title, "status": kind.status, "detail": "d", "request_id": "r"}
    error = errors.error_of(problem, "3")
    assert type(error) is (errors.Overloaded if kind.slug == "overloaded" else EXPECTED[kind.status])
    assert isinstance(error, errors.FootnoteError)
    assert (error.slug, error.status, error.request_id, error.retry_after_s) == (kind.slug, kind.status, "r", 3.0)


def test_the_tree_in_the_docstring_is_the_tree():
    named = [line.split()[0] for line in errors.__doc__.splitlines()[2:] if line.strip()]
    kinds = [one.__name__ for one in vars(errors).values() if isinstance(one, type) and issubclass(one, Exception)]
    assert named == kinds


@pytest.mark.parametrize(
    ("given", "least", "most"),
    [("7", 7, 7), ("", None, None), ("soon", None, None), ("date", 50, 61), ("past", 0, 0)],
)
def test_retry_after_is_seconds_or_a_date(given, least, most):
    from datetime import UTC, datetime, timedelta

    now = datetime.now(UTC)
    given = {"date": format_datetime(now + timedelta(seconds=60)), "past": format_datetime(now - timedelta(1))}.get(
        given, given
    )
    after = errors.error_of_response(503, {"retry-after": given}, b"{}").retry_after_s
    assert after is None if least is None else least <= after <= most


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"", b"[1]", b'"x"', b"\xff", b'{"detail": null}'])
def test_what_is_no_problem_object_is_an_error_all_the_same(body):
    error = errors.error_of_response(502, {"x-request-id": "edge"}, body)
    assert (type(error), error.status, error.request_id) == (errors.ServerError, 502, "edge")
    assert "502" in str(error)


def test_a_problem_object_of_another_status_than_the_response_counts_by_the_response():
    body = json.dumps({"type": "x", "title": "t", "status": 200, "detail": "d", "request_id": "r"}).encode()
    assert isinstance(errors.error_of_response(404, {}, body), errors.NotFound)
