"""What one client waits for `POST /v1/search`, warm, and what the service adds to the work it must do.

    python -m benchmarks.search_latency ../shared/data/scifact [--passages 100000 --base data/index]

starts the service on the set's index (made by `footnote evaluate SET` if it is not there yet), or on one of so many
passages made as `benchmarks.reindex` makes them, and asks every judged question once after a warm-up, on one kept-alive
connection. Overhead is the whole request less the embedding and the
slower leg, as the response's own stages report them. A control runs in the same minute: /healthz, which does nothing.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pydantic_core import from_json, to_json

from benchmarks.kept_connections import KeptConnection
from benchmarks.load import NO_CACHES
from benchmarks.reindex import fill_cache, made_texts, write
from benchmarks.scale import Maker
from evaluation.measures import percentile
from evaluation.run import index_of
from evaluation.sets import read_set
from evaluation.settings import EvaluationSettings
from indexer.build import Request, build
from indexer.model import locate, read_space
from indexer.progress import Lines
from indexer.settings import IndexerSettings
from store.index import IndexDirectory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", help="whose questions are asked")
    parser.add_argument("--passages", type=int, help="ask an index of so many made passages instead of the set's own")
    parser.add_argument("--base", type=Path, default=Path("data/index"), help="a real index to make passages from")
    options = parser.parse_args()
    questions = read_set(options.set)
    with tempfile.TemporaryDirectory() as scratch:
        if options.passages:
            index = made_index(Path(scratch), options.passages, options.base)
        else:
            index = index_of(questions, EvaluationSettings(), IndexerSettings(), Lines())
        measure(index, [one.text for one in questions.judged])


def made_index(folder: Path, passages: int, base: Path) -> Path:
    """An index of made passages, with made-up vectors, that the real model's query encoder belongs to."""
    settings = IndexerSettings(index=folder / "index")
    space = read_space(settings.embedding_model, locate(settings.embedding_model))
    maker = Maker(base)
    write(folder, made_texts(maker, passages), "lines")
    source = folder / "corpus.jsonl"
    fill_cache(settings.index, source, space, maker)
    report = build(IndexDirectory(settings.index), Request([str(source)]), settings, Lines())
    assert report.embedded == 0
    return settings.index


def measure(index: Path, texts: list[str]) -> None:
    """Serve the index, ask, and print."""
    command = [sys.executable, "-m", "footnote", "serve", "--port", "0", "--index", str(index)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | NO_CACHES)
    assert server.stdout is not None
    try:
        port = int(server.stdout.readline().rsplit(":", 1)[1])
        connection = KeptConnection(port)
        for text in texts[:50]:
            search(connection, text)
        whole, overhead, control, degraded = [], [], [], 0
        for text in texts:
            took_ms, body = search(connection, text)
            stages = {stage["name"]: stage["took_ms"] for stage in body["stages"]}
            whole.append(took_ms)
            overhead.append(took_ms - stages["embed"] - max(stages["dense"], stages["lexical"]))
            degraded += bool(body["degraded"])
            began = time.perf_counter()
            connection.get("/healthz")
            control.append((time.perf_counter() - began) * 1000)
    finally:
        server.terminate()
        server.wait(20)
    print(f"{len(whole)} questions, one client, warm; {degraded} degraded")
    for name, values in (("/v1/search", whole), ("overhead", overhead), ("/healthz (control)", control)):
        print(f"{name:>20}: p50 {percentile(values, 50):6.2f} ms   p99 {percentile(values, 99):6.2f} ms")


def search(connection: KeptConnection, text: str) -> tuple[float, dict]:
    """Milliseconds, and what was answered."""
    began = time.perf_counter()
    status, data = connection.post("/v1/search", to_json({"query": text, "mode": "hybrid"}))
    took_ms = (time.perf_counter() - began) * 1000
    assert status == 200, data
    return took_ms, from_json(data)


if __name__ == "__main__":
    main()
