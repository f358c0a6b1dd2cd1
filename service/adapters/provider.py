"""What chat models of every provider need: limits, a key, and failures in our words."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from importlib.util import find_spec

from service.adapters.generator import FailureReason, GeneratorFailed
from service.adapters.priced import Price
from store.errors import UsageError

NO_LIMIT_MS = 24 * 3_600_000.0
"""Stands for no limit where a call must have one."""


def require(package: str, *, of: str) -> None:
    """Raises UsageError where a provider's package is not installed."""
    if find_spec(package) is None:
        raise UsageError(
            f"generator is {of}, but the package {package} is not installed.", fix="Install footnote[llm]."
        )


def key_of(provider: str, given: str | None, variable: str) -> str:
    """The key that is set, else the environment's. Raises UsageError where there is none."""
    key = given or os.environ.get(variable)
    if not key:
        raise UsageError(
            f"generator is {provider}, but no key is set.",
            fix=f"Set FOOTNOTE_GENERATOR_API_KEY or {variable}; for a server that asks for none, set it to any word.",
        )
    return key


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one call.

    Args:
        first_text_ms: until the first text.
        between_ms: between two pieces.
        tokens_max: that may be written.
        prices: by model.
        connect_ms: until there is a connection.
        total_ms: for all of it.
    """

    first_text_ms: float
    between_ms: float
    tokens_max: int
    prices: Mapping[str, Price] = field(default_factory=dict)
    connect_ms: float = NO_LIMIT_MS
    total_ms: float = NO_LIMIT_MS


_OF_STATUS: Mapping[int, FailureReason] = {
    401: "not_authorised",
    403: "not_authorised",
    408: "timeout",
    429: "rate_limited",
}


_UNREACHABLE = re.compile(r"Connect|Network|Protocol|ReadError|WriteError|CloseError")


def as_failure(provider: str, error: Exception) -> GeneratorFailed:
    """What an error of a provider's package, or of the connection below it, means. Known by status and name, since
    both packages name theirs alike and pass on what their HTTP library throws in the middle of a stream.
    """
    if isinstance(error, GeneratorFailed):
        return error
    status, response = getattr(error, "status_code", None), getattr(error, "response", None)
    name = type(error).__name__
    if isinstance(status, int):
        reason = _OF_STATUS.get(status) or ("server_error" if status >= 500 else "refused_request")
        headers = getattr(response, "headers", {})
        return GeneratorFailed(provider, reason, status=status, retry_after_s=_seconds(headers.get("retry-after")))
    if isinstance(error, TimeoutError) or "Timeout" in name:
        connecting = "ConnectTimeout" in (name, type(error.__cause__).__name__)
        return GeneratorFailed(provider, "connect_timeout" if connecting else "timeout")
    return GeneratorFailed(provider, "unreachable" if _UNREACHABLE.search(name) else "bad_response")


def _seconds(value: str | None) -> float | None:
    """What Retry-After says: seconds, or a date (RFC 9110, section 10.2.3)."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None
