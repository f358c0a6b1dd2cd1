"""What a worker process costs in memory: its own (USS), and what it maps together with the others.

python -m benchmarks.worker_memory INDEX [--workers 2]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil

QUESTIONS = 40
_MB = 1 << 20


def _ask(base: str, number: int) -> None:
    body = json.dumps({"query": f"what is known of number {number}", "deadline_ms": 20_000}).encode()
    asked = urllib.request.Request(f"{base}/v1/answer", body, {"content-type": "application/json"})
    with urllib.request.urlopen(asked, timeout=30) as response:
        response.read()


def _row(name: str, process: psutil.Process) -> str:
    found = process.memory_full_info()
    return f"{name:<8} {found.uss / _MB:>8.0f} {found.pss / _MB:>8.0f} {found.rss / _MB:>8.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    command = [sys.executable, "-m", "footnote", "serve", "--port", "0", "--index", str(given.index)]
    with subprocess.Popen(
        [*command, "--workers", str(given.workers), "--no-budgets"], stdout=subprocess.PIPE, text=True, env=os.environ
    ) as serving:
        assert serving.stdout is not None
        found = next(filter(None, (re.search(r"http://\S+", line) for line in serving.stdout)))
        for number in range(QUESTIONS):
            _ask(found.group(), number)
        time.sleep(1)
        parent = psutil.Process(serving.pid)
        size = sum(one.stat().st_size for one in given.index.glob("snapshots/*/*") if one.is_file())
        print(f"snapshots on disk: {size / _MB:.0f} MB; after {QUESTIONS} answers, MB:")
        print(f"{'process':<8} {'USS':>8} {'PSS':>8} {'RSS':>8}")
        workers = [one for one in parent.children() if "service.http.worker" in one.cmdline()]
        print(_row("parent", parent))
        for number, one in enumerate(workers, 1):
            print(_row(f"worker {number}", one))
        serving.terminate()


if __name__ == "__main__":
    main()
