"""POST /mcp: the Model Context Protocol over streamable HTTP, one request at a time and no sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from service.http.exchange import exchange_of
from service.http.questions import read_body
from service.http.sse import until_gone
from service.mcp.tools import Tools

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

SEND_S = 60.0
"""A client that takes no bytes for so long counts as gone."""


def is_installed() -> bool:
    """Whether the extra `mcp` is installed; nothing is imported to find out."""
    try:
        return bool(version("mcp"))
    except PackageNotFoundError:
        return False


class McpRoute:
    """Hands requests to the SDK, which is imported when the first one comes.

    Args:
        tools: what is offered.
        bytes_max: largest body.
    """

    def __init__(self, tools: Tools, bytes_max: int) -> None:
        self._tools = tools
        self._bytes_max = bytes_max
        self._starting = asyncio.Lock()
        self._manager: StreamableHTTPSessionManager | None = None
        self._running: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()

    async def mcp(self, request: Request) -> Response:
        """The Model Context Protocol (streamable HTTP, stateless)."""
        body = await read_body(request, self._bytes_max)
        return _Handed(await self._started(), body)

    async def close(self) -> None:
        """End what was begun."""
        self._ending.set()
        if self._running is not None:
            await self._running

    async def _started(self) -> StreamableHTTPSessionManager:
        async with self._starting:
            if self._manager is None:
                make = await asyncio.to_thread(_load)
                manager = make(self._tools, self._bytes_max)
                begun = asyncio.Event()
                self._running = asyncio.create_task(self._run(manager, begun))
                await begun.wait()
                self._manager = manager
            return self._manager

    async def _run(self, manager: StreamableHTTPSessionManager, begun: asyncio.Event) -> None:
        """In a task of its own: what the SDK begins and ends must be one task's."""
        async with manager.run():
            begun.set()
            await self._ending.wait()


def _load() -> Callable[[Tools, int], StreamableHTTPSessionManager]:
    """Half a second of imports, which only those pay who use it."""
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    from service.mcp.server import make_server

    def make(tools: Tools, bytes_max: int) -> StreamableHTTPSessionManager:
        return StreamableHTTPSessionManager(make_server(tools), stateless=True, max_request_body_size=bytes_max)

    return make


class _Handed(Response):
    """A response that the SDK makes; the work behind it is stopped when the client leaves."""

    def __init__(self, manager: StreamableHTTPSessionManager, body: bytes) -> None:
        self.status_code = HTTPStatus.OK
        self.background = None
        self.init_headers()
        self._manager = manager
        self._body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the SDK answer."""
        given = told = False

        async def read_again() -> Message:
            nonlocal given
            if not given:
                given = True
                return {"type": "http.request", "body": self._body, "more_body": False}
            await asyncio.Event().wait()  # whether the client leaves is watched below
            raise AssertionError

        async def send_in_time(message: Message) -> None:
            nonlocal told
            told = told or bool(message.get("body"))
            async with asyncio.timeout(SEND_S):
                await send(message)

        with suppress(ClientDisconnect, OSError):
            await until_gone(receive, self._manager.handle_request(scope, read_again, send_in_time))
            return
        exchange_of(scope).gone = not told  # some clients leave as soon as they have read what they asked for
