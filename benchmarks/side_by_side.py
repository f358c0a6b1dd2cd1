"""Both legs beside other engines: same vectors, same texts, same questions, one run, one client.

    pip install lancedb chromadb txtai        # into an environment that also has footnote; they are not ours to ship
    python -m benchmarks.side_by_side [--passages 100000] [--base data/index]

Passages are made as `benchmarks.scale` makes them. Every engine gets vectors that were made before, its own defaults
for text, and where it offers an approximate index, that index; recall@10 is against exact search. An engine that is not
installed is left out and said so. Engines take turns, three rounds of all questions each, so that a slow moment of the
machine hits all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import itertools
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.scale import Maker, write_corpus

QUESTIONS = 100
ROUNDS = 3
_ANYONE: frozenset[str] = frozenset()
Vectors = npt.NDArray[np.float32]
Ask = Callable[[npt.NDArray[np.float32], str], list[int]]
"""The ten best passages' numbers for a question's vector and text."""


@dataclass
class Column:
    """One engine's way of asking, and what was measured of it. `dense` columns have a recall."""

    name: str
    ask: Ask
    dense: bool
    built_s: float
    times_ms: list[float] = field(default_factory=list)
    found: list[list[int]] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--base", type=Path, default=Path("data/index"), help="a real index to make passages from")
    options = parser.parse_args()
    maker = Maker(options.base)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_corpus(maker, options.passages, folder)
        vectors: Vectors = np.lib.format.open_memmap(folder / "rows.npy", mode="r")
        texts = [text for at in range(0, options.passages, 20_000) for text in maker.texts(at, _size(options, at))]
        questions = maker.vectors(10**9, QUESTIONS)
        asked = [" ".join(text.split()[:12]) for text in maker.texts(10**9, QUESTIONS)]
        columns: list[Column] = []
        for begin in (footnote, faiss_flat, lancedb, chroma, txtai):
            missing = [name for name in NEEDS.get(begin.__name__, ()) if importlib.util.find_spec(name) is None]
            if missing:
                print(f"{begin.__name__}: {missing[0]} is not installed; left out")
                continue
            print(f"building {begin.__name__} ...", flush=True)
            columns.extend(begin(folder, vectors, texts, questions, asked, stack))
        for number in range(ROUNDS):
            for column in columns:
                time.sleep(0.5)  # threads of the engine before spin on for a while
                for vector, text in itertools.islice(zip(questions, asked, strict=True), 5):
                    column.ask(vector, text)
                for vector, text in zip(questions, asked, strict=True):
                    began = time.perf_counter()
                    found = column.ask(vector, text)
                    column.times_ms.append((time.perf_counter() - began) * 1000)
                    if number == 0:
                        column.found.append(found)
        truth = next(column.found for column in columns if column.name == "FAISS flat: dense")
        _tell(columns, truth, options.passages)


NEEDS = {"lancedb": ("lancedb",), "chroma": ("chromadb",), "txtai": ("txtai",)}


def _size(options: argparse.Namespace, at: int) -> int:
    return min(20_000, int(options.passages) - at)


def _tell(columns: list[Column], truth: list[list[int]], passages: int) -> None:
    print(f"\n{passages:,} passages, {QUESTIONS} questions, {ROUNDS} rounds, one client\n")
    print(f"| {'engine':<36} | p50 ms | p99 ms | recall@10 | build s |")
    print(f"| {'-' * 36} | -----: | -----: | --------: | ------: |")
    for column in columns:
        hits = sum(len(set(one) & set(wanted)) for one, wanted in zip(column.found, truth, strict=True))
        recall = f"{hits / (10 * len(truth)):.3f}" if column.dense else ""
        middle, tail = np.median(column.times_ms), np.percentile(column.times_ms, 99)
        print(f"| {column.name:<36} | {middle:6.2f} | {tail:6.2f} | {recall:>9} | {column.built_s:7.1f} |")


def footnote(
    folder: Path,
    vectors: Vectors,
    texts: list[str],  # noqa: ARG001  # every engine is begun alike
    questions: Vectors,  # noqa: ARG001
    asked: list[str],  # noqa: ARG001
    stack: ExitStack,
) -> list[Column]:
    """This project: the dense leg, and both legs side by side with fusion."""
    from indexer.build import Request, build
    from indexer.progress import Silent
    from indexer.settings import IndexerSettings
    from store.fusion import convex
    from store.index import IndexDirectory
    from store.vectors import set_threads

    index = IndexDirectory(folder / "index")
    began = time.perf_counter()
    request = Request([str(folder / "corpus.jsonl")], vectors=folder / "rows.npy")
    build(index, request, IndexerSettings(index=index.path), Silent())
    built_s = time.perf_counter() - began
    pool = ThreadPoolExecutor(2, initializer=set_threads, initargs=(1,))  # as the service does: a leg, a core
    snapshot = index.open(stack.enter_context(pool))
    stack.callback(snapshot.close)
    loop = asyncio.new_event_loop()
    stack.callback(loop.close)
    rows = {key: row for row, key in enumerate(snapshot.reader.ids_of_rows(list(range(len(vectors)))))}

    def dense(vector: npt.NDArray[np.float32], text: str) -> list[int]:  # noqa: ARG001
        hits = loop.run_until_complete(snapshot.dense(vector, 10, None, _ANYONE))
        return [rows[hit.passage_id] for hit in hits]

    async def both(vector: npt.NDArray[np.float32], text: str, depth: int) -> list[str]:
        one, other = await asyncio.gather(
            snapshot.dense(vector, depth, None, _ANYONE), snapshot.lexical(text, depth, None, _ANYONE)
        )
        fused = convex({hit.passage_id: hit.score for hit in one}, {hit.passage_id: hit.score for hit in other})
        return sorted(fused, key=lambda key: -fused[key])[:10]

    def hybrid(depth: int) -> Ask:
        return lambda vector, text: [rows[key] for key in loop.run_until_complete(both(vector, text, depth))]

    kind = snapshot.manifest.vector_index.kind
    return [
        Column(f"footnote: dense ({kind})", dense, dense=True, built_s=built_s),
        Column("footnote: hybrid, 10 of each leg", hybrid(10), dense=False, built_s=built_s),
        Column("footnote: hybrid, 100 of each leg", hybrid(100), dense=False, built_s=built_s),
    ]


def faiss_flat(
    folder: Path,  # noqa: ARG001
    vectors: Vectors,
    texts: list[str],  # noqa: ARG001
    questions: Vectors,  # noqa: ARG001
    asked: list[str],  # noqa: ARG001
    stack: ExitStack,  # noqa: ARG001
) -> list[Column]:
    """Exact search by FAISS: the truth."""
    import faiss

    began = time.perf_counter()
    index: Any = faiss.IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors))
    built_s = time.perf_counter() - began

    def dense(vector: npt.NDArray[np.float32], text: str) -> list[int]:  # noqa: ARG001
        found: list[int] = index.search(vector[None, :], 10)[1][0].tolist()
        return found

    return [Column("FAISS flat: dense", dense, dense=True, built_s=built_s)]


def lancedb(
    folder: Path,
    vectors: Vectors,
    texts: list[str],
    questions: Vectors,  # noqa: ARG001
    asked: list[str],  # noqa: ARG001
    stack: ExitStack,  # noqa: ARG001
) -> list[Column]:
    """LanceDB: IVF-PQ refined by 10, and its hybrid query (vector and full text)."""
    import lancedb as lance
    import lancedb.index
    import pyarrow as pa

    os.environ.setdefault("RUST_LOG", "error")
    began = time.perf_counter()
    flat = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(vectors).ravel()), vectors.shape[1])
    rows = pa.table({"number": np.arange(len(texts)), "text": texts, "vector": flat})
    table = lance.connect(folder / "lance").create_table("passages", rows)
    table.create_index("vector", config=lance.index.IvfPq(distance_type="cosine"))
    table.create_index("text", config=lance.index.FTS())
    built_s = time.perf_counter() - began

    def dense(vector: npt.NDArray[np.float32], text: str) -> list[int]:  # noqa: ARG001
        query = table.search(vector, vector_column_name="vector").distance_type("cosine")
        found: list[int] = query.refine_factor(10).limit(10).select(["number"]).to_arrow()["number"].to_pylist()
        return found

    def hybrid(vector: npt.NDArray[np.float32], text: str) -> list[int]:
        query = table.search(query_type="hybrid", vector_column_name="vector", fts_columns="text").vector(vector)
        query = query.text(text.replace('"', " ")).distance_type("cosine").refine_factor(10)
        found: list[int] = query.limit(10).to_arrow()["number"].to_pylist()
        return found

    return [
        Column("LanceDB: dense (IVF-PQ, refined)", dense, dense=True, built_s=built_s),
        Column("LanceDB: hybrid", hybrid, dense=False, built_s=built_s),
    ]


def chroma(
    folder: Path,
    vectors: Vectors,
    texts: list[str],
    questions: Vectors,  # noqa: ARG001
    asked: list[str],  # noqa: ARG001
    stack: ExitStack,  # noqa: ARG001
) -> list[Column]:
    """Chroma: its HNSW with defaults."""
    import chromadb

    began = time.perf_counter()
    client = chromadb.PersistentClient(str(folder / "chroma"), chromadb.Settings(anonymized_telemetry=False))
    collection = client.create_collection("passages", metadata={"hnsw:space": "cosine"}, embedding_function=None)
    for at in range(0, len(texts), 5_000):
        part = slice(at, at + 5_000)
        ids = [str(number) for number in range(len(texts))[part]]
        collection.add(ids, embeddings=np.ascontiguousarray(vectors[part]), documents=texts[part])
    built_s = time.perf_counter() - began

    def dense(vector: npt.NDArray[np.float32], text: str) -> list[int]:  # noqa: ARG001
        found = collection.query(query_embeddings=vector[None, :], n_results=10, include=[])
        return [int(key) for key in found["ids"][0]]

    return [Column("Chroma: dense (HNSW)", dense, dense=True, built_s=built_s)]


def txtai(
    folder: Path,  # noqa: ARG001
    vectors: Vectors,
    texts: list[str],
    questions: Vectors,
    asked: list[str],
    stack: ExitStack,
) -> list[Column]:
    """txtai: dense (FAISS, its default) and hybrid with its BM25, fed the same vectors by text."""
    from txtai import Embeddings

    by_text: dict[str, npt.NDArray[np.float32]] = {
        **dict(zip(texts, vectors, strict=True)),
        **dict(zip(asked, questions, strict=True)),
    }

    def transform(inputs: list[str]) -> Vectors:
        return np.array([by_text[text] for text in inputs], np.float32)

    columns = []
    for kind in ("dense", "hybrid"):
        began = time.perf_counter()
        engine: Any = Embeddings(
            method="external", transform=transform, backend="faiss", **({"hybrid": True} if kind == "hybrid" else {})
        )
        engine.index(list(enumerate(texts)))
        stack.callback(engine.close)
        built_s = time.perf_counter() - began

        def ask(vector: npt.NDArray[np.float32], text: str, engine: Any = engine) -> list[int]:  # noqa: ARG001
            return [int(number) for number, _ in engine.search(text, 10)]

        columns.append(Column(f"txtai: {kind}", ask, dense=kind == "dense", built_s=built_s))
    return columns


if __name__ == "__main__":
    main()
