"""The parent of several workers: starts them, passes signals on, replaces who dies, gives up where none can live."""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

log = logging.getLogger("footnote.serve")

_TOLD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_SIGNALS = {*_TOLD, signal.SIGCHLD}
_TICK_S = 0.2
_BACKOFF_S = 0.25  # after the first failed start; twice as much after each further one in a row
_BACKOFF_S_MAX = 30.0
START_S_MAX = 300.0
"""A worker that does not serve after so long is taken to hang."""
FAILED_STARTS_MAX = 4
"""Starts that may fail in a row while no worker serves, before this is given up."""


@dataclass(slots=True, eq=False)
class Worker:
    """A worker process.

    Args:
        process: it.
        status: where it tells that it serves; closed, and -1, once that is known.
        serves: whether it told.
        told_at: when it was told to end, if it was; monotonic seconds.
        began: when it was started; likewise.
    """

    process: subprocess.Popen[bytes]
    status: int
    serves: bool = False
    told_at: float | None = None
    began: float = field(default_factory=time.monotonic)

    @property
    def told_to_end(self) -> bool:
        """Whether it was."""
        return self.told_at is not None

    def tell(self, sig: int) -> None:
        """Pass a signal on."""
        self.told_at = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(sig)

    def look(self, drains_s_max: float) -> None:
        """Read what it told; one that hangs, at its start or at its end, is killed."""
        late = self.told_at is not None and time.monotonic() - self.told_at > drains_s_max
        if late and self.process.poll() is None:
            log.error("worker %d was told to end %.0f s ago and is killed", self.process.pid, drains_s_max)
            self.process.kill()
        if self.status >= 0 and select.select([self.status], [], [], 0)[0]:
            self.serves = bool(os.read(self.status, 1))
            self.close()
        if not self.serves and time.monotonic() - self.began > START_S_MAX and self.process.poll() is None:
            self.process.kill()

    def close(self) -> None:
        """Release what belongs to it."""
        if self.status >= 0:
            os.close(self.status)
            self.status = -1


@dataclass(slots=True, eq=False)
class _Slot:
    """A place for a worker, and the one that is to take it over (while all are replaced)."""

    worker: Worker | None = None
    next_start: float = 0.0
    successor: Worker | None = None


@dataclass(slots=True)
class Supervisor:
    """Keeps so many workers alive on one socket until told to end.

    Args:
        listener: what they share; each has its own copy, so that a worker that drains takes nothing from the others.
        count: of workers.
        drains_s_max: who was told to end and has not after so long is killed.
        environment: of each.
        serving: called when every worker serves for the first time.
        stopping: called when told to end.
        ended_at_once: called when told a second time, before the process ends where it stands.
        died: called for each worker that ended with its process id and whether it was told to.
    """

    listener: socket.socket
    count: int
    drains_s_max: float
    environment: Mapping[str, str]
    serving: Callable[[], None] = lambda: None
    stopping: Callable[[], None] = lambda: None
    ended_at_once: Callable[[], None] = lambda: None
    died: Callable[[int, bool], None] = lambda _, __: None
    _slots: list[_Slot] = field(default_factory=list)
    _leaving: list[Worker] = field(default_factory=list)
    _replacing: list[_Slot] = field(default_factory=list)
    _failed_starts: int = 0
    _ending: bool = False
    _parent_ends: tuple[int, int] = (-1, -1)
    _caught: deque[int] = field(default_factory=deque)

    def run(self) -> int:
        """Until told to end, or nothing can be done any more; the exit code."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        # Threads that libraries began before take a signal, and its default ends the process, whenever this one is not
        # waiting for it.
        before = {sig: signal.signal(sig, lambda number, _: self._caught.append(number)) for sig in _TOLD}
        self._parent_ends = os.pipe()
        self._slots = [_Slot() for _ in range(self.count)]
        all_served = False
        try:
            while True:
                self._look_after()
                if not all_served and self._whole():
                    all_served = True
                    self.serving()
                if self._ending and not self._workers():
                    return 0
                if self._failed_starts >= FAILED_STARTS_MAX and not any(one.serves for one in self._workers()):
                    log.error(
                        "%d starts of workers in a row failed, and none serves: giving up. What went wrong is above.",
                        self._failed_starts,
                    )
                    return 1
                found = signal.sigtimedwait(_SIGNALS, _TICK_S)
                if found is not None:
                    self._caught.append(found.si_signo)
                while self._caught:
                    self._signalled(self._caught.popleft())
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)
            self._kill_all()
            for fd in self._parent_ends:
                os.close(fd)

    def _signalled(self, sig: int) -> None:
        if sig in (signal.SIGTERM, signal.SIGINT):
            if self._ending:
                self._kill_all()
                self.ended_at_once()
                signal.signal(sig, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
                signal.raise_signal(sig)
            self._ending = True
            self._replacing.clear()
            for slot in self._slots:  # who was to take over a place leaves as whoever has one does
                if slot.successor is not None:
                    self._leaving.append(slot.successor)
                    slot.successor = None
            self.stopping()
            for one in self._workers():
                if not one.told_to_end:
                    one.tell(sig)
        elif sig == signal.SIGHUP and not self._ending and not self._replacing:
            log.warning("told to replace the workers, one by one")
            self._replacing = list(self._slots)

    def _workers(self) -> list[Worker]:
        standing = [one for slot in self._slots for one in (slot.worker, slot.successor) if one is not None]
        return standing + self._leaving

    def _whole(self) -> bool:
        return all(one.worker is not None and one.worker.serves for one in self._slots)

    def _look_after(self) -> None:
        for one in self._workers():
            one.look(self.drains_s_max)
        for one in [one for one in self._leaving if one.process.poll() is not None]:
            self._leaving.remove(one)
            self._buried(one)
        for slot in self._slots:
            if slot.worker is not None and slot.worker.process.poll() is not None:
                self._lost(slot, slot.worker)
            if slot.worker is None and not self._ending and time.monotonic() >= slot.next_start:
                slot.worker = self._start()
        if self._whole():
            self._failed_starts = 0
        if self._replacing and not self._ending:
            self._replace(self._replacing[0])

    def _lost(self, slot: _Slot, worker: Worker) -> None:
        """A worker ended: bury it, and see when there may be another."""
        slot.worker = None
        self._buried(worker)
        if self._ending:
            return
        wait_s = 0.0
        if not worker.serves:
            self._failed_starts += 1
            wait_s = min(_BACKOFF_S * 2 ** (self._failed_starts - 1), _BACKOFF_S_MAX)
        slot.next_start = time.monotonic() + wait_s
        log.warning(
            "worker %d %s (%s); another one is started%s",
            worker.process.pid,
            "ended" if worker.serves else "did not start",
            _how(worker.process.returncode),
            f" in {wait_s:.2g} s" if wait_s else "",
        )

    def _replace(self, slot: _Slot) -> None:
        """One step of replacing a slot's worker: the new one serves before the old one is told to end."""
        old, new = slot.worker, slot.successor
        if new is None:
            slot.successor = self._start()
        elif new.process.poll() is not None:
            self._buried(new)
            slot.successor = None
            self._replacing.clear()
            log.error("a new worker did not start (%s): the old ones stay", _how(new.process.returncode))
        elif new.serves:
            slot.worker, slot.successor = new, None
            if old is not None:
                old.tell(signal.SIGTERM)
                self._leaving.append(old)
            self._replacing.remove(slot)

    def _start(self) -> Worker:
        status_read, status_write = os.pipe()
        listener_fd = self.listener.fileno()
        parent_fd = self._parent_ends[0]
        command = [sys.executable, "-P", "-m", "service.http.worker", *map(str, (listener_fd, parent_fd, status_write))]
        path = os.pathsep.join(one or os.curdir for one in sys.path)
        process = subprocess.Popen(  # noqa: S603  # ourselves
            command,
            env={**self.environment, "PYTHONPATH": path},
            pass_fds=(listener_fd, parent_fd, status_write),
            process_group=0,  # Ctrl-C comes to the parent, which passes it on once
        )
        os.close(status_write)
        return Worker(process, status_read)

    def _buried(self, worker: Worker) -> None:
        worker.close()
        self.died(worker.process.pid, worker.told_to_end)

    def _kill_all(self) -> None:
        for one in self._workers():
            if one.process.poll() is None:
                one.process.kill()
            one.process.wait()
            one.close()


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
