"""How long `footnote serve` takes from the command to the first answer, and what of it goes where.

    python -m benchmarks.start [--passages 100000 --base data/index] [--index INDEX] [--runs 3]

An index of so many passages is made as `benchmarks.search_latency` makes it (or one is given). Then the real command is
started `--runs` times; ready is when /readyz says so, and right after it a search must be answered. A control runs
beside it: an interpreter that imports nothing. Phases come from a process of their own that does one by one what the
service does in part at the same time: it opens the index while it imports the web framework. Files are in the page
cache, as they are when a service is started again.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HOST = "127.0.0.1"
READY_S_MAX = 120.0
QUESTION = json.dumps({"query": "How do I add a column?", "top_k": 3})


def started(index: Path) -> tuple[float, float, float]:
    """Seconds from the command to the line that tells the address, to ready, and to the first answer."""
    command = [sys.executable, "-m", "footnote", "serve", "--port", "0", "--index", str(index)]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            line = "" if server.stdout is None else server.stdout.readline()
            told = time.perf_counter() - began
            port = int(line.rsplit(":", 1)[1])
            while True:
                connection = http.client.HTTPConnection(HOST, port)
                connection.request("GET", "/readyz")
                status = connection.getresponse().status
                connection.close()
                if status == 200:
                    break
                if time.perf_counter() - began > READY_S_MAX:
                    raise TimeoutError("the service does not become ready")
                time.sleep(0.005)
            ready = time.perf_counter() - began
            connection = http.client.HTTPConnection(HOST, port)
            connection.request("POST", "/v1/search", QUESTION, {"content-type": "application/json"})
            response = connection.getresponse()
            response.read()
            assert response.status == 200, response.status
            connection.close()
            return told, ready, time.perf_counter() - began
        finally:
            server.terminate()


def phases(index: Path) -> dict[str, float]:
    """Seconds of each step, in this process, which must be a fresh one."""
    took: dict[str, float] = {}
    last = time.perf_counter()

    def note(name: str) -> None:
        nonlocal last
        now = time.perf_counter()
        took[name] = now - last
        last = now

    from service.settings import ServiceSettings
    from service.wiring import Service

    note("import the service")
    import service.http.serve
    from service.http.app import create_app
    from service.http.server import DrainingServer  # noqa: F401  # what is timed

    note("import the web framework and the routes")
    import faiss  # noqa: F401
    import onnxruntime  # noqa: F401
    import tantivy  # noqa: F401

    note("import faiss, tantivy, onnxruntime")
    service = Service(ServiceSettings(index=index))
    note("wire, load the support scorer")
    create_app(service)
    note("make the application")
    from service.wiring import _warm  # its own last step
    from store.local import verify_files

    current = service.index.require_current()
    opened = service.index.open(service.executor, current)
    note("open the snapshot, small files hashed")
    verify_files(opened.folder, opened.manifest, full=opened.fully_verified)
    took["of which hashing"] = time.perf_counter() - last
    last = time.perf_counter()
    encoder = service._encoder_for(opened.manifest)  # noqa: SLF001  # a step of its own here
    note("open the query encoder")
    _warm(encoder, opened)
    note("warm both legs")
    opened.close()
    service.close()
    assert "torch" not in sys.modules, "the service imported torch"
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--base", type=Path, default=Path("data/index"), help="a real index to make passages from")
    parser.add_argument("--index", type=Path, help="an index that is there, instead")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--phases-of", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.phases_of is not None:
        print(json.dumps(phases(given.phases_of)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        index = given.index
        if index is None:
            from benchmarks.search_latency import made_index

            index = made_index(Path(scratch), given.passages, given.base)
        measure(index, given.runs)


def measure(index: Path, runs: int) -> None:
    """Start it so often, and print."""
    for number in range(1, runs + 1):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", ""], check=True)
        bare = time.perf_counter() - began
        told, ready, answered = started(index)
        print(
            f"start {number}: says where it listens {told:.2f} s, ready {ready:.2f} s, first answer {answered:.2f} s;"
            f" an interpreter alone {bare:.2f} s; load {os.getloadavg()[0]:.1f}"
        )
    command = [sys.executable, "-m", "benchmarks.start", "--phases-of", str(index)]
    told_phases = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for name, seconds in json.loads(told_phases.splitlines()[-1]).items():
        print(f"{name:>40}: {seconds:6.2f} s")


if __name__ == "__main__":
    main()
