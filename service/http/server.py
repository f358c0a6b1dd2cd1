"""One serving process: a uvicorn server that, told to end, drains first."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from service.http.connection import Connection
from service.http.drain import Drain
from service.http.kept import KeptAnswers
from service.settings import ServiceSettings

_TICK_S = 0.02
_SETTLE_S = 1.0
"""A connection that was accepted last may take so long to send its request."""
_FLUSH_S = 1
"""And what was cut off so long to be read."""
ENDING_S = 10.0
"""Beyond grace period and limit the end takes a few seconds; a process that is still there after so many hangs."""


class DrainingServer(uvicorn.Server):
    """Serves until SIGTERM or SIGINT, then in this order: not ready, though everything is still answered, for a grace
    period (not after SIGINT, which comes from a person); nothing new is accepted; what runs is waited for; what is left
    is cut off. A second signal ends the process at once.

    Args:
        app: made by create_app.
        settings: the grace period and the limit.
        started: called once requests are answered.
        stopping: called when the first signal comes; in a signal handler.
    """

    def __init__(
        self,
        app: FastAPI,
        settings: ServiceSettings,
        *,
        started: Callable[[], None],
        stopping: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                log_level="warning",
                timeout_graceful_shutdown=_FLUSH_S,
                access_log=False,
                proxy_headers=False,  # the application itself decides whom to believe (trusted_proxies)
                lifespan="on",
                http=Connection,
                ws="none",
            )
        )
        self._drain: Drain = app.state.drain
        self._kept: KeptAnswers = app.state.kept
        self._grace_s = settings.drain_grace_ms / 1000
        self._limit_s = settings.drain_limit_ms / 1000
        self._tell_started = started
        self._tell_stopping = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the index and begin to listen."""
        await super().startup(sockets=sockets)
        if self.started:
            self._tell_started()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  # the signature of handlers
        """Begin to drain; told a second time, end at once."""
        if self.should_exit:
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        if sig == signal.SIGINT:
            self._grace_s = 0.0
        self._drain.begin()
        self.should_exit = True
        self._tell_stopping()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then close what is left."""
        await asyncio.sleep(self._grace_s)
        for server in self.servers:
            server.close()
        for one in sockets or []:
            one.close()
        connections = self.server_state.connections
        await _until(lambda: all(getattr(one, "cycle", one) is not None for one in connections), _SETTLE_S)
        for connection in list(connections):
            connection.shutdown()  # idle ones are closed, others after their response
        await _until(lambda: not (connections or self._drain.running or self._kept.followed), self._limit_s)
        self._drain.expire()
        await super().shutdown(sockets)


async def _until(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:  # noqa: ASYNC110  # uvicorn's connections tell nobody of their end
        await asyncio.sleep(_TICK_S)


def settle() -> None:
    """Keep the event loop's waits short from now on; collect garbage again, if that was left off for the start.

    A full collection looks at every object there is: with all that importing made some 50 ms, in which nothing is
    answered. What is there now stays, so it is looked at no more. And a thread that wants to go on while another
    computes asks for it after a millisecond, not five: the loop asks after each call that may have waited.
    """
    gc.enable()
    gc.collect()
    gc.freeze()
    gc.collect()  # of nothing: from here on it takes little to make a full collection due, and little time to do it,
    gc.set_threshold(2_000, 10, 10)  # so that what a cancelled request's traceback holds, a snapshot say, goes soon
    sys.setswitchinterval(0.001)


def leave(code: int = 0, *, patience_s: float = 1.0) -> None:
    """End the process; threads that hang in work nobody waits for any more are not waited for either."""
    end = time.monotonic() + patience_s
    others = [one for one in threading.enumerate() if one is not threading.main_thread() and not one.daemon]
    for one in others:
        one.join(max(end - time.monotonic(), 0))
    if any(one.is_alive() for one in others):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
