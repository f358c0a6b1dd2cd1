"""`footnote mcp`: the tools over stdin and stdout, for a client that starts this program itself."""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import suppress

from service.http.admission import open_pools
from service.http.metrics import Metrics
from service.http.reload import Watcher
from service.mcp.tools import Tools
from service.settings import ServiceSettings
from service.wiring import Service


def run(settings: ServiceSettings) -> None:
    """Serve until the client closes stdin. Nothing but protocol is written to stdout; the log goes to stderr.

    An index that is missing is told by each call, and opened once it is there.
    """
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("footnote").setLevel(settings.log_level.upper())
    service = Service(settings)
    try:
        asyncio.run(_serve(service))
    finally:
        service.close()


async def _serve(service: Service) -> None:
    from mcp.server.stdio import stdio_server

    from service.mcp.server import make_server

    pools = open_pools(service.settings, with_chat_model=bool(service.tails))
    tools = Tools(
        service,
        Metrics(service.holder),
        pools,
        lambda *_: None,  # nobody could rate it: there is no route to do it at
        with_source_pages=service.settings.public_url is not None,
    )
    server = make_server(tools)
    watcher = Watcher(service)
    await watcher.look()
    watching = asyncio.create_task(watcher.run())
    try:
        async with stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
