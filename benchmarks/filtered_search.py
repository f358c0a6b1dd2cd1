"""Filtered search against brute force, at every selectivity.

    python -m benchmarks.filtered_search [10000 100000] [--base data/index]

Passages are made as `benchmarks.scale` makes them; half of them, one in a hundred and one in ten thousand are selected
by metadata, and as many by access lists. For each leg: how much of brute force's top 10 is found, the median and the
99th percentile, and what the first question of a filter costs, before its selection is remembered.

Brute force is exact inner products for the dense leg. For the lexical leg it is BM25 by definition (`store.exact`) up
to 20,000 passages, and beyond that this engine's own ranking of all passages, filtered afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scale import Maker, write_corpus
from store.analyzer import Analyzer
from store.document import Document
from store.exact import ExactEntry, ExactSnapshot
from store.filters import parse_filter
from store.index import IndexDirectory
from store.local import LocalSnapshot
from store.vectors import exact_ranking, open_vectors

QUESTIONS = 100
BY_DEFINITION_MAX = 20_000
_EVERYTHING = frozenset({"all"})
SELECTIONS: dict[str, tuple[dict[str, Any] | None, frozenset[str]]] = {
    "50 %": ({"half": 1}, _EVERYTHING),
    "1 %": ({"part": {"$lt": 100}}, _EVERYTHING),
    "0.01 %": ({"part": 7}, _EVERYTHING),
    "all but 0.01 %": ({"part": {"$ne": 7}}, _EVERYTHING),
    "access 50 %": (None, frozenset({"half"})),
    "access 1 %": (None, frozenset({"hundredth", "nobody"})),
    "access 0.01 %": (None, frozenset({"few"})),
}
"""A filter, and who asks."""


def access_of(number: int) -> list[str]:
    """Who may read a passage: `all`, and groups as large as the filters select."""
    part = number % 10_000
    groups = {"half": number % 2 == 1, "hundredth": part < 100, "few": part == 7}
    return ["all", *(name for name, belongs in groups.items() if belongs)]


def selected(name: str, rows: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The rows a filter selects, known from how the corpus was written."""
    numbers = np.arange(rows)
    part = numbers % 10_000
    return {
        "50 %": numbers[numbers % 2 == 1],
        "1 %": numbers[part < 100],
        "0.01 %": numbers[part == 7],
        "all but 0.01 %": numbers[part != 7],
    }[name.removeprefix("access ")]


async def measure(snapshot: LocalSnapshot, maker: Maker) -> None:
    """Every selection through both legs; a line of the table each."""
    rows = snapshot.manifest.counts.passages
    vectors = open_vectors(snapshot.folder / "vectors.f32", rows, snapshot.manifest.space.dimension)
    questions = maker.vectors(10**9, QUESTIONS)
    texts = [" ".join(text.split()[:12]) for text in maker.texts(10**9, QUESTIONS)]
    row_of = {key: row for row, key in enumerate(snapshot.reader.ids_of_rows(list(range(rows))))}
    twin = exact_twin(snapshot) if rows <= BY_DEFINITION_MAX else snapshot
    rankings = []
    for text in texts:
        hits = await twin.lexical(text, rows, None, _EVERYTHING)
        rankings.append({row_of[one.passage_id]: one.score for one in hits})
    for name, (tree, principals) in SELECTIONS.items():
        chosen = None if tree is None else parse_filter(tree)
        wanted = selected(name, rows)
        for leg in ("dense", "lexical"):
            times, hit, total, same = [], 0.0, 0, 0
            for vector, text, ranking in zip(questions, texts, rankings, strict=True):
                began = time.perf_counter()
                if leg == "dense":
                    found = await snapshot.dense(vector, 10, chosen, principals)
                else:
                    found = await snapshot.lexical(text, 10, chosen, principals)
                times.append((time.perf_counter() - began) * 1000)
                mine = [row_of[one.passage_id] for one in found]
                if leg == "dense":
                    best_rows, best_scores = exact_ranking(vectors, vector, 10, wanted)
                    scores = dict(zip(best_rows.tolist(), best_scores.tolist(), strict=True))
                else:
                    allowed = [row for row in wanted.tolist() if row in ranking]
                    scores = {row: ranking[row] for row in sorted(allowed, key=lambda row: (-ranking[row], row))[:10]}
                    scores |= {row: ranking.get(row, 0.0) for row in mine}  # equal to float32, in another order
                right = sorted(scores.values(), reverse=True)[: min(10, len(wanted))]
                agreed = [
                    math.isclose(scores.get(row, -9.0), score, rel_tol=1e-5)
                    for row, score in zip(mine, right, strict=False)
                ]
                hit, total = hit + sum(agreed), total + len(right)
                same += all(agreed) and len(mine) == len(right) and set(mine) <= set(wanted.tolist())
            middle, tail = np.median(times[1:]), np.percentile(times[1:], 99)
            tell(
                f"{rows:,}",
                snapshot.manifest.vector_index.kind,
                leg,
                name,
                f"{len(wanted):,}",
                *(f"{value:.4f}" for value in (hit / max(total, 1), same / QUESTIONS)),
                *(f"{value:.2f}" for value in (middle, tail, times[0])),
            )


def exact_twin(snapshot: LocalSnapshot) -> ExactSnapshot:
    """The same passages, asked by definition."""
    entries = []
    for document_id, _ in list(snapshot.reader.document_ids()):
        (stored,) = snapshot.reader.document(id=document_id)
        found = snapshot.reader.spans(document_id, stored.header.version)
        assert found is not None
        header = stored.header
        document = Document(
            header.id, stored.text, header.title, header.url, header.metadata, header.access, stored.sections
        )
        entries.append(
            ExactEntry(document, found[1], np.zeros((len(found[1]), snapshot.manifest.space.dimension), np.float32))
        )
    return ExactSnapshot(entries, snapshot.manifest.space, Analyzer.from_name(snapshot.manifest.analyzer))


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
            write_corpus(maker, passages, folder, access_of)
            index = IndexDirectory(folder / "index")
            request = Request([str(folder / "corpus.jsonl")], vectors=folder / "rows.npy")
            build(index, request, IndexerSettings(index=index.path), Silent())
            snapshot = index.open(executor)
            snapshot.warm()
            asyncio.run(measure(snapshot, maker))
            snapshot.close()


if __name__ == "__main__":
    main()
