"""Filtered search against brute force, at every selectivity.

    python -m benchmarks.filtered_search [10000 100000] [--base data/index]

Passages are made as `benchmarks.scale` makes them; half of them, one in a hundred and one in ten thousand are selected
by metadata, and as many by access lists. For each leg: how much of brute force's top 10 is found, the median and the
99th percentile, and what the first question of a filter costs, before its selection is remembered.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scale import Maker, write_corpus
from store.filters import parse_filter
from store.index import IndexDirectory
from store.local import LocalSnapshot
from store.snapshot import Hit
from store.vectors import exact_ranking, open_vectors

QUESTIONS = 100
_ANYONE: frozenset[str] = frozenset()
FILTERS: dict[str, dict[str, Any]] = {
    "50 %": {"half": 1},
    "1 %": {"part": {"$lt": 100}},
    "0.01 %": {"part": 7},
    "all but 0.01 %": {"part": {"$ne": 7}},
}


def selected(name: str, rows: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The rows a filter selects, known from how the corpus was written."""
    numbers = np.arange(rows)
    part = numbers % 10_000
    return {
        "50 %": numbers[numbers % 2 == 1],
        "1 %": numbers[part < 100],
        "0.01 %": numbers[part == 7],
        "all but 0.01 %": numbers[part != 7],
    }[name]


async def measure(snapshot: LocalSnapshot, maker: Maker) -> None:
    rows = snapshot.manifest.counts.passages
    vectors = open_vectors(snapshot.folder / "vectors.f32", rows, snapshot.manifest.space.dimension)
    questions = maker.vectors(10**9, QUESTIONS)
    texts = [" ".join(text.split()[:12]) for text in maker.texts(10**9, QUESTIONS)]
    ids = snapshot.reader.ids_of_rows(list(range(rows)))
    row_of = {key: row for row, key in enumerate(ids)}
    for name, tree in FILTERS.items():
        chosen = parse_filter(tree)
        wanted_rows = selected(name, rows)
        allowed = set(wanted_rows.tolist())
        for leg in ("dense", "lexical"):
            times, hit, total, same = [], 0, 0, 0
            for vector, text in zip(questions, texts, strict=True):
                began = time.perf_counter()
                if leg == "dense":
                    found = await snapshot.dense(vector, 10, chosen, _ANYONE)
                else:
                    found = await snapshot.lexical(text, 10, chosen, _ANYONE)
                times.append((time.perf_counter() - began) * 1000)
                mine = [row_of[one.passage_id] for one in found]
                if leg == "dense":
                    truth = exact_ranking(vectors, vector, 10, wanted_rows)[0].tolist()
                else:
                    everything: list[Hit] = await snapshot.lexical(text, rows, None, _ANYONE)
                    truth = [row for one in everything if (row := row_of[one.passage_id]) in allowed][:10]
                hit, total, same = hit + len(set(mine) & set(truth)), total + len(truth), same + (mine == truth)
            middle, tail = np.median(times[1:]), np.percentile(times[1:], 99)
            tell(
                f"{rows:,}",
                snapshot.manifest.vector_index.kind,
                leg,
                name,
                f"{len(allowed):,}",
                *(f"{value:.4f}" for value in (hit / max(total, 1), same / QUESTIONS)),
                *(f"{value:.2f}" for value in (middle, tail, times[0])),
            )


COLUMNS = ("passages", "kind", "leg", "selected", "rows", "recall@10", "identical", "p50 ms", "p99 ms", "first ms")


def tell(*cells: str) -> None:
    """One line of the table."""
    print("| " + " | ".join(f"{cell:>{max(len(name), 11)}}" for cell, name in zip(cells, COLUMNS, strict=True)) + " |")
    sys.stdout.flush()


def main() -> None:
    from indexer.build import Request, build
    from indexer.progress import Silent
    from indexer.settings import IndexerSettings

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("passages", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--base", type=Path, default=Path("data/index"), help="a real index to make passages from")
    options = parser.parse_args()
    maker = Maker(options.base)
    tell(*COLUMNS)
    tell(*("-" * 11 for _ in COLUMNS))
    for passages in options.passages:
        with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(1) as executor:
            folder = Path(scratch)
            write_corpus(maker, passages, folder)
            index = IndexDirectory(folder / "index")
            request = Request([str(folder / "corpus.jsonl")], vectors=folder / "rows.npy")
            build(index, request, IndexerSettings(index=index.path), Silent())
            snapshot = index.open(executor)
            snapshot.warm()
            asyncio.run(measure(snapshot, maker))
            snapshot.close()


if __name__ == "__main__":
    main()
