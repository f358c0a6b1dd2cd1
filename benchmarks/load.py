"""What `POST /v1/search` does under load: percentiles and goodput against offered load, and where the time goes.

    python -m benchmarks.load ../shared/data/scifact [--seconds 10] [--loads 0.3,0.7,1,3,10] [--plot FOLDER]

First the capacity: `--clients` that each ask as soon as they were answered. Then open loops: requests begin at times
drawn beforehand (Poisson), whether or not earlier ones were answered, and their latency counts from when they were to
begin, so that a service that stalls cannot slow down its own measuring. Offered loads are multiples of the capacity.
Goodput is what was answered with 200 within `--slo-ms`. At most `--connections` are open, all to this machine; a
request that finds none free for a second counts as not sent. /healthz is asked all the while, some twenty times a
second, as the control. The generator runs beside the service on the same cores; how much of them it took is told.
Machines drift by a fifth within minutes, so the capacity is measured again after each load, once the service has calmed
down, and a load's share of the peak is that of the larger of the two beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.charts import Line, bar_chart, line_chart
from benchmarks.kept_connections import KeptConnections, run_on_uvloop
from evaluation.measures import percentile
from evaluation.run import index_of
from evaluation.sets import read_set
from evaluation.settings import EvaluationSettings
from indexer.progress import Lines
from indexer.settings import IndexerSettings

LOADS = "0.3,0.5,0.7,0.9,1,1.5,3,10"
REFUSED_WAIT_S = 0.1
"""Before a client of the closed loop asks again where nobody was answered meanwhile: refusals are not its measure."""
PROBE_EVERY_S = 0.04
CALM_S = 2.0
"""After a load, and again of the closed loop before it counts: how soon the service recovers is another measure."""


@dataclass(slots=True)
class Seen:
    """What came back in one stretch of time.

    Args:
        seconds: how long requests were begun for.
        offered: how many were to begin.
        accepted_ms, rejected_ms, probes_ms: milliseconds, from when each was to begin.
        statuses: by HTTP status; 0 where the connection broke, -1 where none was free.
        degraded: answers with something left out.
        stages_ms: what the service says each stage took.
        answers: what was answered with 200 and is yet to be read.
        own_cores: how much of a core this process took meanwhile, and the service did not have.
    """

    seconds: float
    offered: int = 0
    accepted_ms: list[float] = field(default_factory=list)
    rejected_ms: list[float] = field(default_factory=list)
    probes_ms: list[float] = field(default_factory=list)
    statuses: collections.Counter[int] = field(default_factory=collections.Counter)
    degraded: int = 0
    stages_ms: dict[str, list[float]] = field(default_factory=lambda: collections.defaultdict(list))
    answers: list[bytes] = field(default_factory=list)
    own_cores: float = 0.0

    def read(self) -> Seen:
        """Itself, the answers read and let go: not while anything is measured."""
        for answer in self.answers:
            told = json.loads(answer)
            self.degraded += bool(told["degraded"])
            for stage in told["stages"]:
                self.stages_ms[stage["name"]].append(stage["took_ms"])
        self.answers.clear()
        return self

    def goodput(self, slo_ms: float) -> float:
        """Requests a second that were answered in time."""
        return sum(took <= slo_ms for took in self.accepted_ms) / self.seconds


@dataclass(frozen=True, slots=True)
class Measured:
    """What a whole run saw.

    Args:
        alone: one client.
        peaks: all clients, before, between and after the offered loads.
        offered: each of these.
        capacity: requests a second that the first peak answered, which the loads are multiples of.
    """

    alone: Seen
    peaks: list[Seen]
    offered: list[Seen]
    capacity: float

    def peak_beside(self, number: int, slo_ms: float) -> float:
        """The goodput that this offered load's is a share of: the larger of the peaks before and after it."""
        return max(seen.goodput(slo_ms) for seen in self.peaks[number : number + 2])


def request_for(text: str) -> bytes:
    """The bytes of one search."""
    body = json.dumps({"query": text, "mode": "hybrid"}).encode()
    return (
        b"POST /v1/search HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
        % (
            len(body),
            body,
        )
    )


PROBE = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"


async def one(connections: KeptConnections, request: bytes, due: float, seen: Seen) -> None:
    """Ask once, and note what came of it."""
    try:
        status, body = await connections.ask(request)
    except TimeoutError:
        seen.statuses[-1] += 1
        return
    took_ms = (time.perf_counter() - due) * 1000
    seen.statuses[status] += 1
    if status == 200:
        seen.accepted_ms.append(took_ms)
        seen.answers.append(body)
    elif status:
        seen.rejected_ms.append(took_ms)


async def closed_loop(connections: KeptConnections, requests: Sequence[bytes], clients: int, seconds: float) -> Seen:
    """So many clients, each asking as soon as it was answered."""
    seen = Seen(seconds)
    ends = time.perf_counter() + seconds

    async def client(number: int) -> None:
        at = number
        while (now := time.perf_counter()) < ends:
            seen.offered += 1
            answered = len(seen.accepted_ms)
            await one(connections, requests[at % len(requests)], now, seen)
            if len(seen.accepted_ms) == answered:
                await asyncio.sleep(REFUSED_WAIT_S)
            at += clients

    await asyncio.gather(*(client(number) for number in range(clients)))
    return seen


async def open_loop(
    connections: KeptConnections, requests: Sequence[bytes], rate: float, seconds: float, dice: random.Random
) -> Seen:
    """Requests at times drawn beforehand, `rate` a second."""
    seen = Seen(seconds)
    began = time.perf_counter()
    due = began
    running: set[asyncio.Task[None]] = set()
    while (due := due + dice.expovariate(rate)) < began + seconds:
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        seen.offered += 1
        task = asyncio.create_task(one(connections, dice.choice(requests), due, seen))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    return seen


async def probed(port: int, work: asyncio.Task[Seen]) -> Seen:
    """The work's outcome, and how long /healthz took all the while."""
    connections = KeptConnections(port, 4)
    took: list[float] = []
    began, own = time.perf_counter(), time.process_time()
    while not work.done():
        asked = time.perf_counter()
        with suppress(TimeoutError):
            await connections.ask(PROBE)
            took.append((time.perf_counter() - asked) * 1000)
        await asyncio.sleep(PROBE_EVERY_S)
    connections.close()
    seen = work.result()
    seen.probes_ms = took
    seen.own_cores = (time.process_time() - own) / (time.perf_counter() - began)
    return seen


async def measure(port: int, texts: Sequence[str], loads: Sequence[float], given: argparse.Namespace) -> Measured:
    """One client, all of them, and each offered load with all of them again after it."""
    requests = [request_for(text) for text in texts]
    connections = KeptConnections(port, given.connections)

    async def closed(clients: int) -> Seen:
        await closed_loop(connections, requests, clients, CALM_S)
        working = closed_loop(connections, requests, clients, given.seconds)
        return (await probed(port, asyncio.create_task(working))).read()

    alone, peaks, offered = await closed(1), [await closed(given.clients)], []
    capacity = len(peaks[0].accepted_ms) / given.seconds
    for load in loads:
        working = open_loop(connections, requests, load * capacity, given.seconds, random.Random(7))
        offered.append((await probed(port, asyncio.create_task(working))).read())
        await asyncio.sleep(CALM_S)  # what is left over is not the next one's
        peaks.append(await closed(given.clients))
    connections.close()
    return Measured(alone, peaks, offered, capacity)


NO_CACHES = {
    "FOOTNOTE_VECTOR_CACHE_ENTRIES": "0",
    "FOOTNOTE_CACHE_SEARCHES": "false",
    "FOOTNOTE_CACHE_ANSWERS": "none",
}
"""What a measured service is told: every question is worked on."""


@contextmanager
def serving(index: Path) -> Iterator[int]:
    """The service on an index, in a process of its own; its port."""
    command = [sys.executable, "-m", "footnote", "serve", "--port", "0", "--index", str(index)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | NO_CACHES) as server:
        try:
            line = "" if server.stdout is None else server.stdout.readline()
            yield int(line.rsplit(":", 1)[1])
        finally:
            server.terminate()


def row(name: str, seen: Seen, slo_ms: float, peak: float) -> str:
    """A line of the table; `peak` is the goodput that this one's is told as a share of."""
    accepted, share = seen.accepted_ms or [float("nan")], seen.goodput(slo_ms) / max(peak, 1e-9)
    rejected = f"{percentile(seen.rejected_ms, 99):9.1f}" if seen.rejected_ms else f"{'':>9}"
    told = ", ".join(f"{count} x {status}" for status, count in sorted(seen.statuses.items()) if status != 200)
    return (
        f"{name:>22}{len(seen.accepted_ms) / seen.seconds:>9.1f}{seen.goodput(slo_ms):>9.1f}"
        f"{share:>9.2f}{percentile(accepted, 50):>9.1f}{percentile(accepted, 99):>9.1f}"
        f"{rejected}{percentile(seen.probes_ms, 99):>10.1f}{seen.degraded:>10}{seen.own_cores:>11.2f}  {told}"
    )


def plot(folder: Path, loads: Sequence[float], measured: Measured, slo_ms: float) -> None:
    """Three pictures: percentiles and goodput against offered load, and the stages of the saturated service."""
    capacity = measured.capacity
    found = [(load * capacity, seen) for load, seen in zip(loads, measured.offered, strict=True)]
    folder.mkdir(parents=True, exist_ok=True)
    offered, upright = "offered, requests a second", (capacity, "capacity")
    percentiles = [
        Line(
            f"p{share} of accepted",
            [(rate, percentile(seen.accepted_ms or [float("nan")], share)) for rate, seen in found],
            colour,
        )
        for share, colour in ((50, "#2a6f97"), (90, "#61a5c2"), (99, "#c1121f"))
    ]
    goodput = [
        Line("offered", [(rate, min(rate, 1.2 * capacity)) for rate, _ in found], "#ccc", dots=False),
        Line("goodput", [(rate, seen.goodput(slo_ms)) for rate, seen in found], "#2a6f97"),
    ]
    stages = [
        (name, percentile(took, 50), percentile(took, 99))
        for name, took in sorted(measured.peaks[0].stages_ms.items(), key=lambda one: -percentile(one[1], 50))
    ]
    pictures = {
        "load-latency.svg": line_chart(percentiles, x_name=offered, y_name="milliseconds", log_y=True, upright=upright),
        "load-goodput.svg": line_chart(
            goodput, x_name=offered, y_name=f"in {slo_ms:.0f} ms, a second", log_y=False, upright=upright
        ),
        "load-stages.svg": bar_chart(stages, x_name="milliseconds, saturated", names=("p50", "p99")),
    }
    for name, picture in pictures.items():
        (folder / name).write_text(picture)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", help="whose questions are asked, of whose index")
    parser.add_argument("--index", type=Path, help="another index to ask")
    parser.add_argument("--seconds", type=float, default=10, help="of each load")
    parser.add_argument("--loads", default=LOADS, help="multiples of the capacity, with commas")
    parser.add_argument("--clients", type=int, default=16, help="that find the capacity")
    parser.add_argument("--connections", type=int, default=256)
    parser.add_argument("--slo-ms", type=float, default=250)
    parser.add_argument("--plot", type=Path, help="a folder for pictures")
    given = parser.parse_args()
    questions = read_set(given.set)
    index = given.index or index_of(questions, EvaluationSettings(), IndexerSettings(), Lines())
    loads = [float(load) for load in given.loads.split(",")]
    with serving(index) as port:
        texts = [one.text for one in questions.judged]
        measured = run_on_uvloop(measure(port, texts, loads, given))
    heads = ("answered", "goodput", "of peak", "p50", "p99", "rejected")
    first, all_clients = measured.peaks[0].goodput(given.slo_ms), f"{given.clients} clients"
    print(f"{'':>22}" + "".join(f"{head:>9}" for head in heads) + f"{'/healthz':>10}{'degraded':>10}{'generator':>11}")
    print(f"{'':>22}{'1/s':>9}{'1/s':>9}{'':>9}{'ms':>9}{'ms':>9}{'p99 ms':>9}{'p99 ms':>10}{'':>10}{'cores':>11}")
    print(row("one client", measured.alone, given.slo_ms, first))
    print(row(all_clients, measured.peaks[0], given.slo_ms, first))
    for number, (load, seen) in enumerate(zip(loads, measured.offered, strict=True)):
        name = f"{load:g}x = {load * measured.capacity:.0f}/s offered"
        print(row(name, seen, given.slo_ms, measured.peak_beside(number, given.slo_ms)))
        print(row(f"{all_clients} again", measured.peaks[number + 1], given.slo_ms, first))
    stages = "; ".join(
        f"{name} {percentile(took, 50):.1f} / {percentile(took, 99):.1f}"
        for name, took in measured.peaks[0].stages_ms.items()
    )
    print(f"stages of {given.clients} clients, ms p50 / p99: {stages}")
    if given.plot is not None:
        plot(given.plot, loads, measured, given.slo_ms)


if __name__ == "__main__":
    main()
