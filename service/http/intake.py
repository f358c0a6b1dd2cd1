"""What all bodies that are still arriving may hold together."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.problems import ProblemError

ARRIVING_BYTES_MAX = 64_000_000
"""Held of bodies that are not whole yet, in all: one client's slow body costs little, ten thousand of them do not."""


class Intake:
    """ASGI middleware: a request whose body would take too much beside the others' is refused while it arrives.

    Args:
        bytes_max: of all bodies that are not whole.
    """

    def __init__(self, app: ASGIApp, bytes_max: int = ARRIVING_BYTES_MAX) -> None:
        self._app = app
        self._bytes_max = bytes_max
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        mine = 0

        async def counted() -> Message:
            nonlocal mine
            message = await receive()
            if message["type"] != "http.request" or not message.get("more_body", False):
                self._held, mine = self._held - mine, 0
                return message
            size = len(message.get("body", b""))
            if self._held + size > self._bytes_max:
                raise ProblemError("overloaded", "Too many large bodies are arriving. Ask again in a few seconds.")
            mine += size
            self._held += size
            return message

        try:
            await self._app(scope, counted, send)
        finally:
            self._held -= mine
