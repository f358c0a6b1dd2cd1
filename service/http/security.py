"""Who may talk to the service from where: Host and Origin checks, and which proxies are believed."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.http.exchange import exchange_of
from service.http.problems import ProblemError, problem_response
from service.settings import ServiceSettings

_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_PROBES = frozenset({"/healthz", "/readyz"})
"""Asked by orchestrators under whatever address they like; they tell nothing."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What the client called: scheme, host with its port, and its own address."""

    scheme: str
    host: str
    client: str | None


class TrustedProxies:
    """The addresses whose X-Forwarded-* headers are believed.

    Args:
        addresses: IP addresses, networks ("10.0.0.0/8") or "*". Anything else raises ValueError.
    """

    def __init__(self, addresses: Iterable[str]) -> None:
        given = list(addresses)
        self._all = "*" in given
        self._networks = [ipaddress.ip_network(one, strict=False) for one in given if one != "*"]

    def __contains__(self, address: str | None) -> bool:
        if self._all:
            return True
        if address is None or not self._networks:
            return False
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)

    def arrival(self, scope: Scope, headers: Headers) -> Arrival:
        """What the client called, after the headers of believed proxies; of several values the nearest one counts."""
        peer = scope.get("client")
        address = None if peer is None else str(peer[0])
        scheme, host = str(scope.get("scheme", "http")), headers.get("host", "")
        if address not in self:
            return Arrival(scheme, host, address)
        forwarded = _last(headers.get("x-forwarded-proto", "")).lower()
        if forwarded in ("http", "https"):
            scheme = forwarded
        host = _last(headers.get("x-forwarded-host", "")) or host
        chain = [part.strip() for part in headers.get("x-forwarded-for", "").split(",") if part.strip()]
        untrusted = (part for part in reversed(chain) if self._all or part not in self)
        return Arrival(scheme, host, next(untrusted, address))


class Guard:
    """ASGI middleware: refuses foreign Host headers, and state-changing requests from foreign origins.

    The Host check stops DNS rebinding, the Origin check stops other sites' pages from sending requests.
    """

    def __init__(self, app: ASGIApp, settings: ServiceSettings) -> None:
        self._app = app
        public = urlsplit(settings.public_url) if settings.public_url else None
        self._hosts = {without_port(host) for host in settings.allowed_hosts}
        self._origins = {origin.lower().rstrip("/") for origin in settings.allowed_origins}
        if public is not None:
            self._hosts.add(without_port(public.netloc))
            self._origins.add(f"{public.scheme}://{public.netloc}".lower())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with a problem."""
        if scope["type"] == "http":
            refusal = self._refusal(scope)
            if refusal is not None:
                await problem_response(refusal, exchange_of(scope))(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> ProblemError | None:
        host = exchange_of(scope).host.lower()
        known = "*" in self._hosts or without_port(host) in self._hosts or scope["path"] in _PROBES
        if not known or not _HOST.fullmatch(host):
            return ProblemError(
                "bad-host",
                f"The Host {host[:100]!r} is not served. Add it to FOOTNOTE_ALLOWED_HOSTS, or set FOOTNOTE_PUBLIC_URL.",
            )
        if scope["method"] in _SAFE_METHODS:
            return None
        origin = Headers(scope=scope).get("origin")
        if origin is None or "*" in self._origins or origin.lower() in self._origins:
            return None
        if origin.lower().partition("://")[2] == host:
            return None
        return ProblemError(
            "forbidden-origin", f"The Origin {origin[:100]!r} is not allowed. Add it to FOOTNOTE_ALLOWED_ORIGINS."
        )


def without_port(host: str) -> str:
    """A host in lower case without its port; an IPv6 address keeps its brackets."""
    host = host.strip().lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def _last(value: str) -> str:
    return value.rpartition(",")[2].strip()
