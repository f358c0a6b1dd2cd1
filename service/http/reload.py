"""Noticing new snapshots: each worker looks at CURRENT by itself, so a publish or a rollback reaches all of them, and
at the calibration of what it names, which comes after a publish.
"""

from __future__ import annotations

import asyncio
import logging
import time

from service.wiring import Service, Stamp
from store.errors import FootnoteError
from store.index import Current

log = logging.getLogger("footnote.http")

Seen = tuple[Current, Stamp | None]

_RETRY_S_MIN = 1.0
_RETRY_S_MAX = 60.0


class Watcher:
    """Opens what CURRENT names whenever that, or its calibration, changes.

    What cannot be opened is tried again after a time that doubles up to a minute, or at once when CURRENT changes;
    meanwhile the snapshot that was open goes on serving, or, where none was, the newest kept one that verifies.

    Args:
        service: is told to reload.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._tried: Seen | str | None = "nothing yet"
        self._retry_s = 0.0
        self._retry_at = 0.0

    async def run(self) -> None:
        """Look at CURRENT every `reload_poll_ms`, until cancelled."""
        while True:
            await asyncio.sleep(self._service.settings.reload_poll_ms / 1000)
            await self.look()
            await self._service.caches.tidy()

    async def look(self) -> None:
        """Reload if CURRENT or its calibration changed, or a retry is due. What goes wrong is logged, not raised."""
        found = await asyncio.to_thread(self._read)
        due = self._retry_s > 0 and time.monotonic() >= self._retry_at
        if found == self._tried and not due:
            return
        if found != self._tried:
            self._tried, self._retry_s = found, 0.0
        service, loop = self._service, asyncio.get_running_loop()
        try:
            reloaded = await loop.run_in_executor(service.reloading, service.reload)
        except Exception as error:  # the watcher outlives whatever it meets
            self._retry_s = min(max(self._retry_s * 2, _RETRY_S_MIN), _RETRY_S_MAX)
            self._retry_at = time.monotonic() + self._retry_s
            expected = isinstance(error, FootnoteError | OSError)
            log.warning("the index cannot be opened: %s", error, exc_info=None if expected else error)
            if expected and not service.holder.ready:
                try:
                    await loop.run_in_executor(service.reloading, service.fall_back)
                except Exception as worse:  # as above
                    log.warning("no kept snapshot can be opened either: %s", worse, exc_info=worse)
            return
        self._retry_s = 0.0
        if reloaded:
            log.info("generation %s is served", service.holder.generation)

    def _read(self) -> Seen | str | None:
        """What CURRENT says and which calibration that has, or what is wrong with it."""
        try:
            current = self._service.index.current()
            return None if current is None else (current, self._service.calibration_stamp(current))
        except (FootnoteError, OSError) as error:
            return str(error)
