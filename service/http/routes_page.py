"""GET / and GET /page/{build}/{file}: the page that people ask on, and the files it is made of (`service/page/`)."""

from __future__ import annotations

import hashlib
from html import escape
from importlib.resources import files
from string import Template

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from service.http.exchange import public_base
from service.http.passage_page import example_command, state_of
from service.http.problems import ProblemError
from service.wiring import Service

MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".txt": "text/plain"}
"""Of the files that are served; what ends otherwise is not."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types dompurify"
)
"""No script or style but the page's own files, no request that leaves the origin, no text that becomes markup but by
the one policy of the library that cleans it."""

_FOR_EVER = "public, max-age=31536000, immutable"
_FEEDBACK = "/v1/feedback"
_RESUME = "/v1/answers/{request_id}/events"


class PageRoutes:
    """The page, read once.

    Args:
        service: whose state the page tells.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        folder = files("service") / "page"
        self._page = Template((folder / "index.html").read_text(encoding="utf-8"))
        self._files: dict[str, tuple[bytes, str]] = {}
        for place, prefix in ((folder, ""), (folder / "vendor", "vendor/")):
            for file in place.iterdir():
                media_type = MEDIA_TYPES.get("." + file.name.rpartition(".")[2])
                if media_type is not None and file.is_file():
                    self._files[prefix + file.name] = (file.read_bytes(), media_type)
        digest = hashlib.sha256()
        for name, (data, _) in sorted(self._files.items()):
            digest.update(f"{name}\0{len(data)}\0".encode() + data)
        self._build = digest.hexdigest()[:16]

    async def home(self, request: Request) -> Response:
        """The page. Its addresses are relative, so that it works behind a path prefix too."""
        service = self._service
        generation, error = service.holder.generation, service.degraded or service.last_error
        html = self._page.substitute(
            build=self._build,
            state=escape(state_of(generation, error)),
            troubled=str(generation is None or error is not None).lower(),
            command=escape(example_command(public_base(request, service.settings)), quote=False),
            feedback=str(_has(request.app.routes, _FEEDBACK) and not _cannot_be_rated(service)).lower(),
            resumable=str(_has(request.app.routes, _RESUME)).lower(),
            guardrail=service.settings.guardrail,
            example=escape(service.settings.example_question or ""),
        )
        return Response(
            html, media_type="text/html", headers={"content-security-policy": POLICY, "cache-control": "no-cache"}
        )

    async def file(self, build: str, name: str) -> Response:
        """One of the page's files. Under another build's name, while workers are exchanged, it is not kept."""
        found = self._files.get(name)
        if found is None:
            raise ProblemError("not-found", "The page has no such file.")
        data, media_type = found
        caching = _FOR_EVER if build == self._build else "no-store"
        return Response(data, media_type=media_type, headers={"cache-control": caching})


def _has(routes: list[BaseRoute], path: str) -> bool:
    return any(getattr(route, "path", None) == path for route in routes)


def _cannot_be_rated(service: Service) -> bool:
    return service.ratings is not None and service.ratings.trouble is not None
