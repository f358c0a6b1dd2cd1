"""Totals over several workers: each counts in files that all read, so that nothing is lost with one that is killed."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import Metric
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Where prometheus_client keeps counts in files; read when it is imported."""
DEATHS = "footnote_worker_deaths"
DEATHS_HELP = "Workers that ended without being told to"

_LOG = logging.getLogger("footnote.http")
_LOOK_S = 1.0
_MODES = {
    "footnote_ready": "livemin",
    "footnote_snapshot_generation": "livemin",
    "footnote_snapshot_fallback": "livemax",
    "process_start_time_seconds": "livemin",
    "process_max_fds": "livemin",
}
"""How gauges of several workers become one; others are added up."""
_MEMORY = "/dev/shm"  # noqa: S108  # a folder of our own is made there


class Folder:
    """The files of all workers, as their parent keeps them."""

    def __init__(self) -> None:
        in_memory = os.access(_MEMORY, os.W_OK)
        self.path = Path(tempfile.mkdtemp(prefix="footnote-metrics-", dir=_MEMORY if in_memory else None))
        (self.path / "lock").touch()

    def buried(self, pid: int, *, told_to_end: bool) -> None:
        """A worker has ended: its gauges go, its counts are added to those of all that ended before it."""
        with _locked(self.path, fcntl.LOCK_EX):
            mark_process_dead(pid, str(self.path))  # type: ignore[no-untyped-call]  # prometheus_client's own
            for kind in ("counter", "histogram"):
                self._add_up(kind, self.path / f"{kind}_{pid}.db")
            if not told_to_end:
                name = f"{DEATHS}_total"
                self._add("counter", {mmap_key(DEATHS, name, [], [], DEATHS_HELP): 1.0})

    def remove(self) -> None:
        """Nobody counts any more."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _add_up(self, kind: str, file: Path) -> None:
        if file.exists():
            found = MmapedDict.read_all_values_from_file(str(file))  # type: ignore[no-untyped-call]  # as above
            self._add(kind, {key: value for key, value, *_ in found})
            file.unlink()

    def _add(self, kind: str, values: dict[str, float]) -> None:
        ended = MmapedDict(str(self.path / f"{kind}_0.db"))  # type: ignore[no-untyped-call]  # as above
        try:
            for key, value in values.items():
                ended.write_value(key, ended.read_value(key)[0] + value, 0.0)  # type: ignore[no-untyped-call]  # as above
        finally:
            ended.close()  # type: ignore[no-untyped-call]  # as above


class Shared:
    """A worker's side: puts what is read when asked beside its own counts, and shows everybody's.

    Args:
        path: the folder.
        collectors: what is read when asked; noted every second, and whenever this worker is asked.
    """

    def __init__(self, path: Path, collectors: Sequence[Collector]) -> None:
        self._path = path
        self._collectors = collectors
        self._guard = threading.Lock()
        self._noted: dict[str, Gauge | Counter] = {}
        self._last: dict[tuple[str, tuple[str, ...]], float] = {}

    @staticmethod
    def of_environment(collectors: Sequence[Collector]) -> Shared | None:
        """None where this process counts for itself."""
        path = os.environ.get(VARIABLE)
        return None if path is None else Shared(Path(path), collectors)

    async def run(self) -> None:
        """Note what is read every second, until cancelled; one last time then. Failures are logged, not raised."""
        try:
            while True:
                await asyncio.to_thread(self._note_all)
                await asyncio.sleep(_LOOK_S)
        finally:
            self._note_all()

    def _note_all(self) -> None:
        try:
            self.note()
        except Exception as error:  # noqa: BLE001  # whatever a collector raises, the next second is another one
            _LOG.warning("what this worker counts could not be noted", exc_info=error)

    def note(self) -> None:
        """Put what the collectors tell now where all workers read it. Blocking."""
        with self._guard:
            for one in self._collectors:
                for family in one.collect():
                    self._note(family)

    def _note(self, family: Metric) -> None:
        for sample in family.samples:
            noted = self._noted.get(family.name)
            if noted is None:
                noted = self._noted[family.name] = _like(family, list(sample.labels))
            child = noted.labels(**sample.labels) if sample.labels else noted
            if isinstance(child, Gauge):
                child.set(sample.value)
            elif sample.name.endswith("_total"):
                key = (sample.name, tuple(sample.labels.values()))
                child.inc(sample.value - self._last.get(key, 0.0))
                self._last[key] = sample.value

    def render(self) -> bytes:
        """The totals over all workers, those that ended included. Blocking."""
        self.note()
        registry = CollectorRegistry()
        with _locked(self._path, fcntl.LOCK_SH):
            MultiProcessCollector(registry, str(self._path))  # type: ignore[no-untyped-call]  # as above
            return generate_latest(registry)


def _like(family: Metric, labels: Sequence[str]) -> Gauge | Counter:
    if family.type == "counter":
        return Counter(family.name, family.documentation, labels, registry=None)
    mode = _MODES.get(family.name, "livesum")
    return Gauge(family.name, family.documentation, labels, registry=None, multiprocess_mode=mode)  # type: ignore[arg-type]  # one of its words


@contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    with (path / "lock").open("rb") as file:
        fcntl.flock(file, how)
        yield
