"""Hours of mixed traffic at a part of the capacity: does anything grow, break or stay behind?

    python -m benchmarks.soak --minutes 60 --load 0.7 [--index INDEX]

`footnote serve` is started on an index of its own making (two generations of the corpus, vectors without a model), or
on a copy of the one that is given. First its capacity is measured, of this very mix; then requests begin at times drawn
beforehand (an open loop), `--load` of it a second: searches, answers as JSON and as streams, clients that leave in the
middle of each, documents, and requests that are wrong. Meanwhile the snapshot is swapped every few seconds for the
other generation (where there are two), and reloads are asked for.

Memory (resident, and what of it no file is behind), open files, threads, tasks and connections are looked at every
other second. Growth is the median of the last tenth less that of the tenth after the warm-up. An error is anything that
the API does not document, a stream without its end, or a connection that breaks; refusals (503) and overruns (504) are
counted apart. At the end, with nothing asked for two seconds, nothing may be under way. Exits with 1 where something is
not as it should be: memory (--growth-max; its own too from five minutes on), --shed-max, errors, what is left,
a watch that broke off.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psutil

from benchmarks.kept_connections import HOST, KeptConnections, run_on_uvloop
from evaluation.measures import percentile
from store.index import Current, IndexDirectory
from store.passages import PassageReader

LOOK_EVERY_S = 2.0
CALM_S = 2.0
OWN_MINUTES = 5.0
"""Shorter runs are still warming up by that measure."""
HELD_MORE_MAX = 10
"""Files and threads by which two medians may differ: a few requests and a swap are always under way."""
CAPACITY_S = 10.0
CONNECTIONS_MAX = 128
STREAM_S_MAX = 60.0
MIX: dict[str, float] = {
    "search": 0.50,
    "answer": 0.12,
    "stream": 0.12,
    "search, left": 0.06,
    "answer, left": 0.05,
    "stream, left": 0.05,
    "document": 0.05,
    "wrong": 0.05,
}
"""Shares of the requests."""
QUESTIONS = (
    "How do I add a unique constraint?",
    "What is a partial index?",
    "Does a check constraint accept null values?",
    "What does on delete cascade do?",
    "How are row security policies combined?",
    "Can a table inherit from several tables?",
    "How is a table partitioned by range?",
    "What is a generated column?",
    "Does the order of columns in an index matter?",
    "When can an index only scan be used?",
    "How do I cook an omelette?",
)
WRONG = (
    b"POST /v1/search HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 1\r\n\r\n{",
    b"GET /v1/documents/nowhere HTTP/1.1\r\nhost: localhost\r\n\r\n",
    b"GET /nowhere HTTP/1.1\r\nhost: elsewhere.example\r\n\r\n",
    b"nonsense\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 70_000 + b"\r\n\r\n",
)
_DOCUMENTED = frozenset({200, 400, 404, 405, 410, 413, 422, 431})


@dataclass(slots=True)
class Look:
    """What the service held at one moment."""

    at_s: float
    rss_mb: float
    own_mb: float
    files: int
    threads: int
    tasks: float = 0.0
    connections: float = 0.0


@dataclass(slots=True)
class Told:
    """What came of the requests so far."""

    took_ms: dict[str, list[float]] = field(default_factory=lambda: collections.defaultdict(list))
    refused: int = 0
    overran: int = 0
    not_sent: int = 0
    errors: collections.Counter[str] = field(default_factory=collections.Counter)
    swaps: int = 0


def post(path: str, body: dict[str, object]) -> bytes:
    """The bytes of a request."""
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(data)}"
    return f"{head}\r\n\r\n".encode() + data


class Traffic:
    """Asks the service, one request at a time or many.

    Args:
        port: where it is.
        documents: ids of some.
        seed: of what is asked when.
    """

    def __init__(self, port: int, documents: Sequence[str], seed: int) -> None:
        self.told = Told()
        self._port = port
        self._documents = documents
        self._dice = random.Random(seed)
        self._kept = KeptConnections(port, CONNECTIONS_MAX)
        self._free = asyncio.Semaphore(CONNECTIONS_MAX)

    async def one(self) -> None:
        """One request of the mix."""
        kind = self._dice.choices(list(MIX), list(MIX.values()))[0]
        began = time.perf_counter()
        try:
            done = await self._asked(kind)
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError) as error:
            self.told.errors[f"{kind}: {type(error).__name__}"] += 1
            return
        if done:
            self.told.took_ms[kind].append((time.perf_counter() - began) * 1000)

    async def _asked(self, kind: str) -> bool:
        question = {"query": self._dice.choice(QUESTIONS)}
        match kind:
            case "search" | "answer":
                return await self._plain(kind, post(f"/v1/{kind}", question))
            case "document":
                path = self._dice.choice(self._documents).replace("/", "%2F")
                return await self._plain(kind, f"GET /v1/documents/{path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
            case "stream":
                return await self._stream(post("/v1/answer", {**question, "stream": True}), leave=False)
            case "wrong":
                return await self._alone(kind, self._dice.choice(WRONG))
            case "stream, left":
                return await self._stream(post("/v1/answer", {**question, "stream": True}), leave=True)
            case _:
                return await self._left(post(f"/v1/{kind.partition(',')[0]}", question))

    async def _plain(self, kind: str, request: bytes) -> bool:
        try:
            status, _ = await self._kept.ask(request)
        except TimeoutError:
            self.told.not_sent += 1
            return False
        return self._counted(kind, status)

    def _counted(self, kind: str, status: int) -> bool:
        if status == 503:
            self.told.refused += 1
        elif status == 504:
            self.told.overran += 1
        elif status not in _DOCUMENTED or (status != 200 and kind != "wrong"):
            self.told.errors[f"{kind}: {status or 'broken connection'}"] += 1
        return status == 200 or kind == "wrong"

    async def _alone(self, kind: str, request: bytes) -> bool:
        """On a connection of its own, up to the end of the answer's head."""
        async with self._opened(request) as (reader, _):
            head = await reader.readuntil(b"\r\n\r\n")
        return self._counted(kind, int(head.split(b" ", 2)[1]))

    async def _stream(self, request: bytes, *, leave: bool) -> bool:
        async with self._opened(request) as (reader, _):
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head.split(b" ", 2)[1])
            if status != 200:
                return self._counted("stream", status)
            events = self._dice.randint(1, 4) if leave else 10**9
            async with asyncio.timeout(STREAM_S_MAX):
                while (line := await reader.readline()) and events:
                    if line.startswith(b"event: done"):
                        return True
                    if line.startswith(b"event: error"):
                        told = json.loads((await reader.readline()).removeprefix(b"data: "))
                        return self._counted("stream", told["status"])
                    events -= line.startswith(b"event:")
        if not leave:
            self.told.errors["stream: no end"] += 1
        return leave

    async def _left(self, request: bytes) -> bool:
        """Gone before the answer, most of the time."""
        async with self._opened(request):
            await asyncio.sleep(self._dice.uniform(0, 0.03))
        return True

    def _opened(self, request: bytes) -> _Opened:
        return _Opened(self._port, self._free, request)

    async def for_so_long(self, seconds: float, rate: float) -> int:
        """An open loop; how many requests began."""
        began = time.perf_counter()
        due, count = began, 0
        running: set[asyncio.Task[None]] = set()
        while (due := due + self._dice.expovariate(rate)) < began + seconds:
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            count += 1
            task = asyncio.create_task(self.one())
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.gather(*running)
        return count

    async def capacity(self, clients: int, seconds: float) -> float:
        """Requests a second that so many clients get answered who ask as soon as they were."""
        ends = time.perf_counter() + seconds

        async def client() -> None:
            while time.perf_counter() < ends:
                await self.one()

        await asyncio.gather(*(client() for _ in range(clients)))
        return sum(len(took) for took in self.told.took_ms.values()) / seconds

    async def metrics(self) -> str:
        """What /metrics says."""
        _, body = await self._kept.ask(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n")
        return body.decode()

    async def reload(self) -> None:
        """Ask for what is published."""
        status, _ = await self._kept.ask(post("/v1/index/reload", {}))
        if status != 200:
            self.told.errors[f"reload: {status}"] += 1

    def close(self) -> None:
        """Hang up."""
        self._kept.close()


class _Opened:
    """A connection of its own, with a request sent on it; closed at the end of the block."""

    def __init__(self, port: int, free: asyncio.Semaphore, request: bytes) -> None:
        self._port, self._free, self._request = port, free, request
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        await self._free.acquire()
        try:
            reader, self._writer = await asyncio.open_connection(HOST, self._port)
            self._writer.write(self._request)
        except BaseException:
            self._free.release()
            raise
        return reader, self._writer

    async def __aexit__(self, *_: object) -> None:
        self._free.release()
        if self._writer is not None:
            self._writer.close()
            with suppress(OSError):
                await self._writer.wait_closed()


def gauge(text: str, name: str) -> float:
    """The sum of a metric over its labels."""
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? ([0-9.e+-]+)$", text, flags=re.MULTILINE))


async def watch(process: psutil.Process, traffic: Traffic, looks: list[Look], began: float) -> None:
    """Look every other second, until cancelled."""
    while True:
        text = ""
        with suppress(TimeoutError):
            text = await traffic.metrics()
        memory = process.memory_info()
        looks.append(
            Look(
                time.perf_counter() - began,
                memory.rss / 1e6,
                (memory.rss - getattr(memory, "shared", 0)) / 1e6,
                process.num_fds(),
                process.num_threads(),
                gauge(text, "footnote_tasks"),
                gauge(text, "footnote_connections"),
            )
        )
        await asyncio.sleep(LOOK_EVERY_S)


async def swap(index: IndexDirectory, kept: Sequence[Current], traffic: Traffic, every_s: float) -> None:
    """Make another generation current every few seconds, and ask for it every second time, until cancelled."""
    while len(kept) > 1 and every_s > 0:
        await asyncio.sleep(every_s)
        traffic.told.swaps += 1
        await asyncio.to_thread(index.point_current_at, kept[traffic.told.swaps % len(kept)])
        if traffic.told.swaps % 2:
            await traffic.reload()


@contextmanager
def prepared(given: Path | None) -> Iterator[Path]:
    """An index that may be changed: a copy of the one that is given, or one of two generations, made here."""
    with tempfile.TemporaryDirectory() as scratch:
        index = Path(scratch) / "index"
        if given is not None:
            shutil.copytree(
                given, index, copy_function=os.link, symlinks=True, ignore=shutil.ignore_patterns("CURRENT")
            )
            shutil.copy2(given / "CURRENT", index / "CURRENT")
        else:
            from indexer.build import Request, build
            from indexer.progress import Silent
            from indexer.settings import IndexerSettings

            settings = IndexerSettings(index=index, embedding_model="hash:384", calibrate=False)
            for pattern in ("ddl-*", "[di]*"):
                asked = Request(["pages=corpus/pages"], include=[pattern])
                build(IndexDirectory(index), asked, settings, Silent())
        yield index


@contextmanager
def serving(index: Path) -> Iterator[tuple[int, psutil.Process]]:
    """The service, in a process of its own; where, and the process."""
    command = [sys.executable, "-m", "footnote", "serve", "--port", "0", "--index", str(index)]
    environment = os.environ | {"FOOTNOTE_LOG_LEVEL": "error", "FOOTNOTE_ABSTAIN_BELOW": "0"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        try:
            line = "" if server.stdout is None else server.stdout.readline()
            yield int(line.rsplit(":", 1)[1]), psutil.Process(server.pid)
        finally:
            server.terminate()


def common_documents(snapshots: Sequence[Path]) -> list[str]:
    """Ids of documents that everyone may read in each of these snapshots."""
    found: list[set[str]] = []
    for folder in snapshots:
        reader = PassageReader(folder / "passages.sqlite")
        found.append({row[0] for row in reader.connection.execute("SELECT id FROM documents WHERE access = '[]'")})
        reader.close()
    return sorted(set.intersection(*found))[:50]


async def soaked(
    index: Path, port: int, process: psutil.Process, asked: argparse.Namespace
) -> tuple[float, Told, list[Look], list[str]]:
    """(requests a second offered, what came of them, what the service held, what was left at the end)."""
    from store.files import sha256_file

    directory = IndexDirectory(index)
    kept = [Current(path.name, sha256_file(path / "manifest.json")) for path in directory.published()]
    documents = common_documents([directory.snapshots / one.name for one in kept])
    first = Traffic(port, documents, 1)
    rate = asked.rate or asked.load * await first.capacity(8, CAPACITY_S)
    first.close()
    traffic, looks, began = Traffic(port, documents, 2), list[Look](), time.perf_counter()
    beside = [
        asyncio.create_task(watch(process, traffic, looks, began)),
        asyncio.create_task(swap(directory, kept, traffic, asked.swap_every)),
    ]
    await traffic.for_so_long(asked.minutes * 60, rate)
    for one in beside:
        one.cancel()
    for ended in await asyncio.gather(*beside, return_exceptions=True):
        if not isinstance(ended, asyncio.CancelledError) and ended is not None:
            raise SystemExit(f"the soak was not watched to its end: {ended!r}")
    await asyncio.sleep(CALM_S)
    text = await traffic.metrics()
    left = [
        f"{name}: {gauge(text, name):.0f}"
        for name in ("footnote_admission_running", "footnote_admission_waiting")
        if gauge(text, name)
    ]
    traffic.close()
    return rate, traffic.told, looks, left


@dataclass(frozen=True, slots=True)
class Verdict:
    """How much more was held at the end than after the warm-up: per cent, and counts."""

    growth_percent: float
    own_growth_percent: float
    files: int
    threads: int


def compared(looks: Sequence[Look]) -> Verdict:
    """The last tenth beside the tenth after the warm-up, which is the first third but at most ten minutes."""
    ends = looks[-1].at_s
    warm = min(ends / 3, 600.0)
    early = [one for one in looks if warm <= one.at_s <= warm + ends / 10] or [looks[len(looks) // 3]]
    late = [one for one in looks if one.at_s >= 0.9 * ends]

    def grown(name: str) -> float:
        return median(getattr(one, name) for one in late) - median(getattr(one, name) for one in early)

    return Verdict(
        100 * grown("rss_mb") / median(one.rss_mb for one in early),
        100 * grown("own_mb") / median(one.own_mb for one in early),
        round(grown("files") - grown("connections")),
        round(grown("threads")),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--load", type=float, default=0.7, help="of the capacity")
    parser.add_argument("--rate", type=float, help="requests a second, instead of a part of the capacity")
    parser.add_argument("--index", type=Path, help="an index to ask, of which a copy is served")
    parser.add_argument("--swap-every", type=float, default=5.0, help="seconds; 0: never")
    parser.add_argument("--growth-max", type=float, default=2.0, help="per cent of memory after the warm-up")
    parser.add_argument("--shed-max", type=float, default=0.2, help="share of requests that may be refused or overrun")
    asked = parser.parse_args()
    with prepared(asked.index) as index, serving(index) as (port, process):
        rate, told, looks, left = run_on_uvloop(soaked(index, port, process, asked))
    print(f"{asked.minutes:g} minutes at {rate:.0f} requests a second; {told.swaps} swaps")
    for kind in MIX:
        took = told.took_ms[kind] or [float("nan")]
        count, p50, p99 = len(told.took_ms[kind]), percentile(took, 50), percentile(took, 99)
        print(f"{kind:>14}: {count:>8}  p50 {p50:8.1f} ms  p99 {p99:8.1f} ms")
    sent = sum(map(len, told.took_ms.values()))
    shed = (told.refused + told.overran + told.not_sent) / max(sent, 1)
    kinds = f"refused {told.refused}, overran {told.overran}, not sent {told.not_sent}"
    print(f"{kinds}: {shed:.1%} of {sent:,}; errors {dict(told.errors)}")
    print(f"{'minute':>8}{'rss MB':>9}{'own':>9}{'files':>7}{'threads':>9}{'tasks':>7}{'connections':>13}")
    for one in looks[:: max(len(looks) // 20, 1)]:
        print(
            f"{one.at_s / 60:8.1f}{one.rss_mb:9.1f}{one.own_mb:9.1f}{one.files:7}{one.threads:9}{one.tasks:7.0f}"
            f"{one.connections:13.0f}"
        )
    verdict = compared(looks)
    grown, own = verdict.growth_percent, verdict.own_growth_percent
    print(f"growth after the warm-up: resident {grown:+.2f} %, its own {own:+.2f} %")
    files, threads = verdict.files, verdict.threads
    print(f"files beside connections {files:+d}, threads {threads:+d}; left at the end: {left or 'nothing'}")
    more = max(files, threads) > HELD_MORE_MAX
    judged = max(grown, own) if asked.minutes >= OWN_MINUTES else grown
    wrong = judged > asked.growth_max or more or told.errors or left or shed > asked.shed_max
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
