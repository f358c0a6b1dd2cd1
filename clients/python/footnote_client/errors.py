"""What can go wrong, as one tree.

FootnoteError
    ConnectionFailed        the service was not reached, or the connection broke
        TimedOut            it took longer than the client's own timeout
        StreamBroken        a stream ended before its terminal event and could not be resumed
    ProblemError            the service says what is wrong (RFC 9457)
        InvalidRequest      400, 405, 408, 413, 415, 422, 431: the request
        Refused             401, 403: who asks, or from where
        NotFound            404
        Conflict            409: not as this service is set up
        Gone                410: it was there once
        Unavailable         503: not now; `retry_after_s` says when
            Overloaded      ... since more is asked than can be answered
        DeadlineExceeded    504: not in the time that was given
        ServerError         everything else
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

from footnote_client.types import FieldError, Problem

_PREFIX = "urn:footnote:problem:"


class FootnoteError(Exception):
    """Anything that goes wrong."""


class ConnectionFailed(FootnoteError):
    """The service was not reached, or the connection broke."""


class TimedOut(ConnectionFailed):
    """It took longer than the client's own timeout."""


class StreamBroken(ConnectionFailed):
    """A stream ended before its terminal event and could not be resumed."""


class ProblemError(FootnoteError):
    """The service says what is wrong.

    Args:
        problem: the problem object.
        retry_after_s: seconds after which asking again makes sense, where the service says so.
    """

    def __init__(self, problem: Problem, retry_after_s: float | None = None) -> None:
        super().__init__(f"{problem['title']}: {problem['detail']} (request {problem['request_id']})")
        self.problem = problem
        self.retry_after_s = retry_after_s

    @property
    def slug(self) -> str:
        """The stable name of this kind of problem: the last part of its `type`."""
        return self.problem["type"].removeprefix(_PREFIX)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.problem["status"]

    @property
    def request_id(self) -> str:
        """Under which the service's log has it."""
        return self.problem["request_id"]

    @property
    def errors(self) -> list[FieldError]:
        """For an invalid request: each part that is wrong."""
        return self.problem.get("errors", [])


class InvalidRequest(ProblemError):
    """The request cannot be done as asked."""


class Refused(ProblemError):
    """Who asks, or from where, is not let in."""


class NotFound(ProblemError):
    """There is nothing, for who asks."""


class Conflict(ProblemError):
    """Not as this service is set up."""


class Gone(ProblemError):
    """It was there once."""


class Unavailable(ProblemError):
    """Not now."""


class Overloaded(Unavailable):
    """More is asked than can be answered in time."""


class DeadlineExceeded(ProblemError):
    """Not in the time that was given."""


class ServerError(ProblemError):
    """The service failed."""


_OF_STATUS: Mapping[int, type[ProblemError]] = {
    400: InvalidRequest,
    401: Refused,
    403: Refused,
    404: NotFound,
    405: InvalidRequest,
    408: InvalidRequest,
    409: Conflict,
    410: Gone,
    413: InvalidRequest,
    415: InvalidRequest,
    422: InvalidRequest,
    431: InvalidRequest,
    503: Unavailable,
    504: DeadlineExceeded,
}


def error_of(problem: Problem, retry_after: str | None = None) -> ProblemError:
    """The typed error of a problem object."""
    kind = _OF_STATUS.get(problem["status"], ServerError)
    if problem["type"] == _PREFIX + "overloaded":
        kind = Overloaded
    return kind(problem, _seconds(retry_after))


def error_of_response(status: int, headers: Mapping[str, str], body: bytes) -> ProblemError:
    """The typed error of a response that is none of the service's own too, such as a proxy's page."""
    try:
        given: Any = json.loads(body)
    except ValueError:
        given = None
    problem: dict[str, Any] = {
        "type": "about:blank",
        "title": f"HTTP {status}",
        "detail": "The response is no problem object.",
        "request_id": headers.get("x-request-id", ""),
    }
    if isinstance(given, dict):
        problem |= {name: value for name, value in given.items() if value is not None}
    problem["status"] = status
    return error_of(cast("Problem", problem), headers.get("retry-after"))


def _seconds(given: str | None) -> float | None:
    """Of a Retry-After header: seconds, or a date."""
    if given is None:
        return None
    if given.strip().isdecimal():
        return float(given)
    try:
        at = parsedate_to_datetime(given)
    except ValueError:
        return None
    now = datetime.now(UTC)
    return max((at if at.tzinfo else at.replace(tzinfo=now.tzinfo)).timestamp() - now.timestamp(), 0.0)
