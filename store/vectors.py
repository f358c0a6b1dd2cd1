"""The dense side on disk: raw vectors as the truth, a FAISS index derived from them, recall measured before use."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from store.embedding import Vectors
from store.errors import StoreCorrupt
from store.manifest import VectorIndex

EXACT_ROWS_MAX = 20_000
RECALL_TARGET = 0.99
REFINE_FACTORS = (10, 20, 50, 100, 200)
_RECALL_QUERIES = 200
_TRAIN_ROWS = 16_384
_SELECTED_SCAN_MAX = 10_000
_BLOCK_ROWS = 65_536
_ASIDE = 64  # rows fetched beyond k, so that ties at the border break by row order

_READING = threading.Lock()

Ranking = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]
"""Rows (int64) and their scores (float32), best first, ties by row."""


def open_vectors(path: Path, rows: int, dimension: int) -> Vectors:
    """The raw vectors, memory-mapped read-only: float32, shape (rows, dimension), row-major, little-endian."""
    expected = rows * dimension * 4
    found = path.stat().st_size
    if found != expected:
        raise StoreCorrupt(str(path), f"{expected} bytes ({rows} x {dimension} float32)", f"{found} bytes")
    if rows == 0:
        return np.zeros((0, dimension), np.float32)
    return np.memmap(path, dtype="<f4", mode="r", shape=(rows, dimension))


def set_threads(threads: int) -> None:
    """OpenMP threads that FAISS may use in the calling thread."""
    import faiss

    faiss.omp_set_num_threads(threads)


def exact_ranking(vectors: Vectors, query: npt.NDArray[np.float32], k: int, rows: npt.NDArray[np.int64]) -> Ranking:
    """The k best of the given rows by inner product, from the raw vectors, by blocks so that memory stays bounded."""
    found, scores = np.zeros(0, np.int64), np.zeros(0, np.float32)
    for at in range(0, len(rows), _BLOCK_ROWS):
        block = rows[at : at + _BLOCK_ROWS]
        found, scores = best(
            np.concatenate([found, block]), np.concatenate([scores, inner_products(vectors[block], query)]), k
        )
    return found, scores


def inner_products(vectors: Vectors, query: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Scores of vectors, float32. Equal ones score equal to the last bit, wherever they lie, so that ties break by row;
    a BLAS product does not promise that.
    """
    return np.asarray(np.einsum("ij,j->i", vectors, query), np.float32)


def best(rows: npt.NDArray[np.int64], scores: npt.NDArray[np.float32], k: int) -> Ranking:
    """The k best (row, score) pairs, ties by row."""
    if len(rows) > 4 * k:
        border = np.partition(scores, len(scores) - k)[len(scores) - k]
        keep = scores >= border
        rows, scores = rows[keep], scores[keep]
    order = np.lexsort((rows, -scores))[:k]
    return rows[order], scores[order]


def build_index(vectors: Vectors, path: Path) -> VectorIndex:
    """Build the FAISS index for these rows, write it, and return what was chosen and measured.

    Exact up to EXACT_ROWS_MAX rows. Above, 4-bit PQ fast-scan refined from the raw vectors by the smallest factor that
    reaches RECALL_TARGET on held-out rows; where none does, codes of half the width; where those do not, HNSW; a kind
    below the target says so in `meets_target`.
    """
    import faiss

    rows, dimension = vectors.shape
    if rows <= EXACT_ROWS_MAX or dimension % 2:
        flat = faiss.IndexFlatIP(dimension)
        _add_in_chunks(flat, vectors)
        faiss.write_index(flat, str(path))
        return VectorIndex(kind="flat")

    generator = np.random.default_rng(0)
    shuffled = generator.permutation(rows)
    held_out, train = np.sort(shuffled[:_RECALL_QUERIES]), np.sort(shuffled[_RECALL_QUERIES:][:_TRAIN_ROWS])
    truth = _exact_neighbours(vectors, held_out)

    best_recall = 0.0
    for width in (4, 2) if dimension % 4 == 0 else (2,):  # dimensions to one code; text needs 4, noise 2
        pq = faiss.IndexPQFastScan(dimension, dimension // width, 4, faiss.METRIC_INNER_PRODUCT)
        pq.train(np.ascontiguousarray(vectors[train]))
        _add_in_chunks(pq, vectors)
        for factor in REFINE_FACTORS:
            chosen = VectorIndex(kind="pq_fastscan", refine_factor=factor)
            best_recall = _recall(DenseIndex(pq, chosen, vectors), vectors, held_out, truth)
            if best_recall >= RECALL_TARGET:
                faiss.write_index(pq, str(path))
                return chosen.model_copy(update={"recall_at_10": round(best_recall, 4)})

    hnsw = faiss.IndexHNSWFlat(dimension, 32, faiss.METRIC_INNER_PRODUCT)
    hnsw.hnsw.efConstruction, hnsw.hnsw.efSearch = 200, 256
    _add_in_chunks(hnsw, vectors)
    chosen = VectorIndex(kind="hnsw", refine_factor=1)
    hnsw_recall = _recall(DenseIndex(hnsw, chosen, vectors), vectors, held_out, truth)
    if hnsw_recall < best_recall:
        faiss.write_index(pq, str(path))
        return VectorIndex(
            kind="pq_fastscan", refine_factor=REFINE_FACTORS[-1], recall_at_10=round(best_recall, 4), meets_target=False
        )
    faiss.write_index(hnsw, str(path))
    return chosen.model_copy(
        update={"recall_at_10": round(hnsw_recall, 4), "meets_target": hnsw_recall >= RECALL_TARGET}
    )


def _add_in_chunks(index: Any, vectors: Vectors, chunk: int = 8_192) -> None:
    for start in range(0, len(vectors), chunk):
        index.add(np.ascontiguousarray(vectors[start : start + chunk], dtype=np.float32))


def _exact_neighbours(vectors: Vectors, queries: npt.NDArray[np.int64], k: int = 10) -> list[set[int]]:
    """For each query row its k nearest other rows, by blocks so that memory stays bounded."""
    wanted = np.ascontiguousarray(vectors[queries])
    scores = np.full((len(queries), 0), 0, np.float32)
    rows = np.zeros((len(queries), 0), np.int64)
    for start in range(0, len(vectors), 8_192):
        block = wanted @ np.asarray(vectors[start : start + 8_192]).T
        numbers = np.broadcast_to(np.arange(start, start + block.shape[1]), block.shape)
        scores, rows = np.hstack([scores, block]), np.hstack([rows, numbers])
        top = (
            np.argpartition(-scores, k, axis=1)[:, : k + 1] if scores.shape[1] > k + 1 else np.argsort(-scores, axis=1)
        )
        scores, rows = np.take_along_axis(scores, top, 1), np.take_along_axis(rows, top, 1)
    return [set(found[found != own][:k].tolist()) for own, found in zip(queries, rows, strict=True)]


def _recall(index: DenseIndex, vectors: Vectors, queries: npt.NDArray[np.int64], truth: list[set[int]]) -> float:
    hit = total = 0
    for own, wanted in zip(queries, truth, strict=True):
        rows, _ = index.search(np.asarray(vectors[own]), 11, None)
        hit += len(set(rows[rows != own][:10].tolist()) & wanted)
        total += len(wanted)
    return hit / max(total, 1)


def _shape_of(index: Any) -> dict[str, object]:
    """Which of our kinds a parsed FAISS index is, and how many vectors of which dimension it holds; every size in it is
    compared with what its kind needs, since FAISS reads by them without looking. Raises ValueError.
    """
    import faiss

    rows, dimension = index.ntotal, index.d
    if index.metric_type != faiss.METRIC_INNER_PRODUCT or not index.is_trained:
        raise ValueError("not a trained index for inner products")
    if isinstance(index, faiss.IndexHNSWFlat):
        kind, storage = "hnsw", faiss.downcast_index(index.storage)
        _require_graph(index.hnsw, rows)
        if _shape_of(storage) != {"kind": "flat", "vectors": (rows, dimension)}:
            raise ValueError("a graph over other vectors")
    elif isinstance(index, faiss.IndexPQFastScan):
        kind, pq = "pq_fastscan", index.pq
        padded = -(-rows // index.bbs) * index.bbs
        sizes = {
            "bbs": (index.bbs, 32),
            "codes": (index.codes.size(), padded * index.M2 // 2),
            "M2": (index.M2, index.M + index.M % 2),
            "M": (index.M, pq.M),
            "width": (pq.M * pq.dsub, dimension),
            "bits": (index.nbits, 4),
            "bits of a code": (pq.nbits, 4),
            "ksub": (index.ksub, 16),
            "centroids": (pq.centroids.size(), 16 * dimension),
            "rows": (index.ntotal2, padded),  # type: ignore[attr-defined]  # the stubs lack it
        }
        _require_equal(sizes)
    elif isinstance(index, faiss.IndexFlat):
        kind = "flat"
        _require_equal(
            {"codes": (index.codes.size(), rows * dimension * 4), "code_size": (index.code_size, dimension * 4)}
        )
    else:
        raise ValueError(f"an index of another kind: {type(index).__name__}")  # noqa: TRY004  # about the file
    return {"kind": kind, "vectors": (rows, dimension)}


def _require_graph(graph: Any, rows: int) -> None:
    import faiss

    neighbours, offsets = faiss.vector_to_array(graph.neighbors), faiss.vector_to_array(graph.offsets)
    levels, widths = faiss.vector_to_array(graph.levels), faiss.vector_to_array(graph.cum_nneighbor_per_level)
    whole = (
        len(levels) == rows
        and len(offsets) == rows + 1
        and bool((np.diff(widths) >= 0).all())
        and int(levels.max(initial=0)) < len(widths)
        and int(levels.min(initial=1)) >= 1
        and bool((np.diff(offsets.astype(np.int64)) == widths[levels]).all())
        and (rows == 0 or (int(offsets[0]) == 0 and int(offsets[-1]) == len(neighbours)))
        and bool(((neighbours >= -1) & (neighbours < rows)).all())
        and -1 <= graph.entry_point < rows
        and graph.max_level < len(widths)
        and (graph.entry_point < 0 or levels[graph.entry_point] == graph.max_level + 1)
    )
    if not whole:
        raise ValueError("a graph that leads out of itself")


def _require_equal(sizes: dict[str, tuple[int, int]]) -> None:
    for name, (found, expected) in sizes.items():
        if found != expected:
            raise ValueError(f"{name}: {found}, where {expected} belongs")


@dataclass(frozen=True, slots=True)
class DenseIndex:
    """A FAISS index over the raw vectors it was derived from.

    Concurrent searches are safe: nothing is ever added.
    """

    index: Any
    chosen: VectorIndex
    vectors: Vectors

    @classmethod
    def open(cls, path: Path, chosen: VectorIndex, vectors: Vectors) -> DenseIndex:
        """Parse a file whose checksum was verified; raises StoreCorrupt where its shape is not the manifest's."""
        import faiss

        try:
            with _READING:  # the limits are the process's
                size = path.stat().st_size  # no part of a file is larger: a size in it that says so is not believed
                faiss.set_deserialization_vector_byte_limit(size)
                faiss.set_deserialization_loop_limit(size)
                index: Any = faiss.read_index(str(path))
            found = _shape_of(index)
        except (RuntimeError, AttributeError, TypeError, ValueError, OverflowError, MemoryError) as error:
            raise StoreCorrupt(str(path), "a FAISS index", str(error).splitlines()[0]) from error
        expected = {"kind": chosen.kind, "vectors": vectors.shape}
        if found != expected:
            raise StoreCorrupt(str(path), expected, found)
        if chosen.kind == "hnsw":
            index.hnsw.efSearch = 256
        return cls(index, chosen, vectors)

    def try_out(self, path: Path) -> None:
        """Search once, so that a file that can be parsed and not searched is found out. Raises StoreCorrupt."""
        try:
            self.search(np.ones(self.vectors.shape[1], np.float32), 10, None)
        except (RuntimeError, AssertionError, ValueError, IndexError) as error:
            raise StoreCorrupt(str(path), "an index that can be searched", str(error).splitlines()[0]) from error

    def search(self, query: npt.NDArray[np.float32], k: int, mask: npt.NDArray[np.bool_] | None) -> Ranking:
        """The k best rows by inner product with `query` (float32, shape (dimension,)) among those the mask allows.

        Few selected rows are scored exactly from the raw vectors; many go through the index with rows fetched until
        k allowed ones are found.
        """
        query = np.ascontiguousarray(query, np.float32)
        rows = allowed_rows = len(self.vectors)
        if rows == 0:  # FAISS refuses to fetch nothing
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        if mask is not None:
            selected = np.flatnonzero(mask)
            allowed_rows = len(selected)
            if self.chosen.kind == "flat" or allowed_rows <= _SELECTED_SCAN_MAX:
                return exact_ranking(self.vectors, query, k, selected)
        to_refine = min(k * self.chosen.refine_factor, allowed_rows)  # a filter must not cost recall
        fetch = min(rows, (k * self.chosen.refine_factor * rows) // max(allowed_rows, 1) + _ASIDE)
        while True:
            found, scores = self._candidates(query, fetch)
            least = scores.min(initial=np.inf)
            if mask is not None:
                allowed = mask[found]
                found, scores = found[allowed], scores[allowed]
            if len(found) >= to_refine or fetch >= rows:
                break
            fetch = min(rows, fetch * 4)
            if mask is not None and fetch > allowed_rows:  # what is selected lies far from the question
                return exact_ranking(self.vectors, query, k, selected)
        found, scores = best(found, scores, k)
        missed = len(found) < min(k, allowed_rows)  # a graph's unreachable rows; a query that cannot be quantised
        tied = fetch < rows and len(found) > 0 and scores[-1] <= least  # perhaps also with rows that were not fetched
        if missed or tied:
            return exact_ranking(self.vectors, query, k, np.arange(rows) if mask is None else np.flatnonzero(mask))
        return found, scores

    def _candidates(self, query: npt.NDArray[np.float32], fetch: int) -> Ranking:
        scores, found = self.index.search(query[None, :], fetch)
        found, scores = found[0], scores[0]
        found, scores = found[found >= 0], scores[found >= 0]
        if self.chosen.kind == "pq_fastscan":  # its scores are quantised: rescore from the truth
            found = np.sort(found)
            scores = inner_products(self.vectors[found], query)
        return found, scores

    def scores(self, query: npt.NDArray[np.float32], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Exact scores of given rows."""
        return inner_products(self.vectors[rows], query)
