"""A million passages on one machine: build, open, search, memory.

    python -m benchmarks.scale [--passages 1000000] [--base data/index] [--folder DIR]

makes N passages out of the passages of a real index (default: the one `make run` made): each is a window of a real
passage's words, a tenth of them replaced by words from elsewhere, and its vector is the real one with low-rank noise
added (seeded). They are indexed with `--vectors` in a process of its own, then opened and asked in another. Questions
are made like passages and are none of them. Recall is against exact search.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from store.embedding import unit_rows
from store.index import IndexDirectory
from store.passages import PassageReader
from store.vectors import exact_ranking, open_vectors

QUESTIONS = 200
NOISE_RANK = 64
WORDS = 80
_BLOCK = 20_000
_ANYONE: frozenset[str] = frozenset()


class Maker:
    """Makes passages and questions out of a real index's, the same ones every time."""

    def __init__(self, base: Path) -> None:
        directory = IndexDirectory(base)
        folder = directory.snapshots / directory.require_current().name
        manifest = json.loads((folder / "manifest.json").read_text())
        rows, dimension = manifest["counts"]["passages"], manifest["space"]["dimension"]
        self._vectors = np.array(open_vectors(folder / "vectors.f32", rows, dimension))
        reader = PassageReader(folder / "passages.sqlite")
        found = reader.passages(reader.ids_of_rows(list(range(rows))))
        self._texts = [one.passage.text.split() for one in found.values()]
        reader.close()
        self._vocabulary = sorted({word for words in self._texts for word in words})
        self._basis = np.random.default_rng(1).normal(size=(NOISE_RANK, dimension)).astype(np.float32)
        self._basis /= np.sqrt(NOISE_RANK * dimension)  # so that noise of scale 1 is about as long as a vector

    def vectors(self, block: int, size: int) -> npt.NDArray[np.float32]:
        """Float32, shape (size, dimension), unit rows: real vectors with noise of 0.3 to 0.9 their length."""
        generator = np.random.default_rng([2, block])
        chosen = self._vectors[self._bases(block, size)]
        scale = generator.uniform(0.3, 0.9, (size, 1)).astype(np.float32)
        noise = generator.normal(size=(size, NOISE_RANK)).astype(np.float32) @ self._basis
        return unit_rows(chosen + scale * noise)

    def texts(self, block: int, size: int) -> list[str]:
        """Windows of real passages with a tenth of the words replaced."""
        chooser = random.Random(block)
        made = []
        for base in self._bases(block, size).tolist():
            words = self._texts[base]
            start = chooser.randrange(max(len(words) - WORDS, 0) + 1)
            window = words[start : start + WORDS]
            for _ in range(max(len(window) // 10, 1)):
                window[chooser.randrange(len(window))] = chooser.choice(self._vocabulary)
            made.append(" ".join(window))
        return made

    def _bases(self, block: int, size: int) -> npt.NDArray[np.int64]:
        return np.random.default_rng([3, block]).integers(0, len(self._texts), size)

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self._vectors.shape[1])


def write_corpus(maker: Maker, passages: int, folder: Path, access: Callable[[int], list[str]] | None = None) -> None:
    """corpus.jsonl and rows.npy, block by block; `access` gives a passage's number who may read it (None: everyone)."""
    rows = np.lib.format.open_memmap(
        folder / "rows.npy", mode="w+", dtype=np.float32, shape=(passages, maker.dimension)
    )
    with (folder / "corpus.jsonl").open("w", encoding="utf-8") as stream:
        for at in range(0, passages, _BLOCK):
            size = min(_BLOCK, passages - at)
            rows[at : at + size] = maker.vectors(at, size)
            for number, text in enumerate(maker.texts(at, size), at):
                line = {"id": f"p{number:07}", "text": text, "metadata": {"part": number % 10_000, "half": number % 2}}
                stream.write(json.dumps(line | ({} if access is None else {"access": access(number)})) + "\n")
    rows.flush()


def build(folder: Path) -> dict[str, Any]:
    """Index it; seconds of each phase, and the peak of resident memory."""
    from indexer.build import Request, build
    from indexer.progress import Silent
    from indexer.settings import IndexerSettings

    class Clock(Silent):
        phases: list[tuple[str, float]] = []  # noqa: RUF012  # one per process

        def phase(self, name: str, total: int | None = None) -> None:  # noqa: ARG002
            self.phases.append((name, time.perf_counter()))

    began = time.perf_counter()
    request = Request([str(folder / "corpus.jsonl")], vectors=folder / "rows.npy")
    build(IndexDirectory(folder / "index"), request, IndexerSettings(index=folder / "index"), Clock())
    ended = time.perf_counter()
    ends = [*(at for _, at in Clock.phases[1:]), ended]
    return {
        "build_s": ended - began,
        "phases_s": {name: end - at for (name, at), end in zip(Clock.phases, ends, strict=True)},
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def real_questions() -> list[str]:
    """Those that people might ask of the bundled pages."""
    lines = Path("corpus/evaluation/queries.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines]


def ask(folder: Path, base: Path) -> dict[str, Any]:
    """Open it and ask both legs."""
    maker = Maker(base)
    questions = maker.vectors(10**9, QUESTIONS)
    texts = [" ".join(text.split()[:12]) for text in maker.texts(10**9, QUESTIONS)]
    del maker
    before = _memory_mb()
    began = time.perf_counter()
    with ThreadPoolExecutor(1) as executor:
        snapshot = IndexDirectory(folder / "index").open(executor)
        opened_s = time.perf_counter() - began
        snapshot.warm()
        vectors = open_vectors(
            snapshot.folder / "vectors.f32", snapshot.manifest.counts.passages, snapshot.manifest.space.dimension
        )
        everything = np.arange(len(vectors))
        recall, dense_ms, lexical_ms, real_ms = [], [], [], []

        async def run() -> None:
            for vector in questions[:20]:
                await snapshot.dense(vector, 10, None, _ANYONE)
            for vector, text in zip(questions, texts, strict=True):
                began = time.perf_counter()
                hits = await snapshot.dense(vector, 10, None, _ANYONE)
                dense_ms.append((time.perf_counter() - began) * 1000)
                began = time.perf_counter()
                await snapshot.lexical(text, 10, None, _ANYONE)
                lexical_ms.append((time.perf_counter() - began) * 1000)
                ids = [hit.passage_id for hit in hits]
                found = snapshot.reader.rows_of_ids(ids)
                recall.append({found[key] for key in ids})
            for text in real_questions():
                began = time.perf_counter()
                await snapshot.lexical(text, 10, None, _ANYONE)
                real_ms.append((time.perf_counter() - began) * 1000)

        asyncio.run(run())
        after = _memory_mb()
        truth = [set(exact_ranking(vectors, vector, 10, everything)[0].tolist()) for vector in questions[:100]]
        chosen = snapshot.manifest.vector_index
        snapshot.close()
    hits = sum(len(found & wanted) for found, wanted in zip(recall, truth, strict=False))
    return {
        "open_s": opened_s,
        "vector_index": chosen.model_dump(),
        "recall_at_10": hits / (10 * len(truth)),
        "dense_p50_ms": float(np.median(dense_ms)),
        "dense_p99_ms": float(np.percentile(dense_ms, 99)),
        "lexical_p50_ms": float(np.median(lexical_ms)),
        "lexical_p99_ms": float(np.percentile(lexical_ms, 99)),
        "lexical_real_questions_p50_ms": float(np.median(real_ms)),
        "anonymous_mb": after["Anonymous"],
        "anonymous_before_mb": before["Anonymous"],
        "resident_mb": after["Rss"],
    }


def isotropic(rows: int, dimension: int) -> dict[str, Any]:
    """What becomes of vectors without structure, which text never has."""
    from store.vectors import build_index

    vectors = unit_rows(np.random.default_rng(4).standard_normal((rows, dimension), np.float32))
    with tempfile.TemporaryDirectory() as scratch:
        began = time.perf_counter()
        chosen = build_index(vectors, Path(scratch) / "vectors.faiss")
    return {**chosen.model_dump(), "rows": rows, "build_s": time.perf_counter() - began}


def _memory_mb() -> dict[str, float]:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    return {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=1_000_000)
    parser.add_argument("--base", type=Path, default=Path("data/index"), help="a real index to make passages from")
    parser.add_argument("--folder", type=Path, help="keep everything here, and take what is there")
    parser.add_argument(
        "--isotropic", type=int, default=1_000_000, help="rows of the structureless comparison; 0: none"
    )
    parser.add_argument("--step", choices=["build", "ask", "isotropic"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step == "build":
        print(json.dumps(build(options.folder)))
        return
    if options.step == "ask":
        print(json.dumps(ask(options.folder, options.base)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        maker = Maker(options.base)
        if not (folder / "rows.npy").exists():
            write_corpus(maker, options.passages, folder)
        report: dict[str, Any] = {"passages": options.passages}
        if not (folder / "index" / "CURRENT").exists():
            report |= _child("build", folder, options.base)
        report |= _child("ask", folder, options.base)
        size = sum(path.stat().st_size for path in (folder / "index" / "snapshots").rglob("*") if path.is_file())
        report["bytes_per_passage"] = size / options.passages
    if options.isotropic:
        report["isotropic"] = isotropic(options.isotropic, maker.dimension)
    print(json.dumps(report, indent=1))


def _child(step: str, folder: Path, base: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.scale", "--step", step, "--folder", str(folder), "--base", str(base)]
    found: dict[str, Any] = json.loads(subprocess.check_output(command, text=True))
    return found


if __name__ == "__main__":
    main()
