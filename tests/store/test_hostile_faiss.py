"""FAISS files from anywhere: whatever is in them, they open and can be searched, or are refused in words."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import faiss
import numpy as np
import pytest

from store.embedding import unit_rows
from store.errors import FormatUnsupported, StoreCorrupt
from store.manifest import VectorIndex, parse_manifest
from store.vectors import DenseIndex

ROWS, DIMENSION = 600, 16

FUZZ = """
import random, sys
from pathlib import Path
import numpy as np
from store.errors import StoreCorrupt
from store.manifest import VectorIndex
from store.vectors import DenseIndex

kind, path = sys.argv[1], Path(sys.argv[2])
vectors, whole = np.load(sys.argv[3]), path.read_bytes()
dice, opened = random.Random(kind), 0
for number in range(3000):
    data = bytearray(whole)
    near = number % 3 and min(len(data), 400)  # headers, where sizes are
    for _ in range(dice.choice((1, 1, 4, 8))):
        at = dice.randrange(near or len(data))
        data[at] = dice.choice((0, 1, 127, 128, 255, data[at] ^ 1 << dice.randrange(8)))
    path.write_bytes(data)
    try:
        index = DenseIndex.open(path, VectorIndex(kind=kind, refine_factor=2), vectors)
        index.try_out(path)
        opened += 1
    except StoreCorrupt as error:
        assert str(path) in str(error)
print(opened)
"""


@pytest.fixture
def vectors():
    return unit_rows(np.random.default_rng(1).standard_normal((ROWS, DIMENSION), np.float32))


def made(kind: str, vectors):
    if kind == "flat":
        index = faiss.IndexFlatIP(DIMENSION)
    elif kind == "hnsw":
        index = faiss.IndexHNSWFlat(DIMENSION, 8, faiss.METRIC_INNER_PRODUCT)
    else:
        index = faiss.IndexPQFastScan(DIMENSION, DIMENSION // 4, 4, faiss.METRIC_INNER_PRODUCT)
        index.train(vectors)
    index.add(vectors)
    return index


@pytest.mark.parametrize("kind", ["flat", "pq_fastscan", "hnsw"])
def test_a_file_with_any_bytes_changed_is_refused_or_can_be_searched_and_never_ends_the_process(
    kind, vectors, tmp_path
):
    path = tmp_path / "vectors.faiss"
    faiss.write_index(made(kind, vectors), str(path))
    np.save(tmp_path / "v.npy", vectors)
    root = str(Path(__file__).parents[2])
    arguments = [sys.executable, "-c", FUZZ, kind, str(path), str(tmp_path / "v.npy")]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=root, check=False, timeout=300)
    assert done.returncode >= 0, signal.Signals(-done.returncode).name
    assert done.returncode == 0, done.stderr[-2000:]
    assert 100 < int(done.stdout) < 2900


@pytest.mark.parametrize("kind", ["flat", "pq_fastscan", "hnsw"])
@pytest.mark.parametrize("said", ["flat", "pq_fastscan", "hnsw"])
def test_a_file_of_another_kind_than_the_manifest_says_is_refused(kind, said, vectors, tmp_path):
    path = tmp_path / "vectors.faiss"
    faiss.write_index(made(kind, vectors), str(path))
    if kind == said:
        DenseIndex.open(path, VectorIndex(kind=said), vectors).try_out(path)
        return
    with pytest.raises(StoreCorrupt, match=rf"vectors\.faiss is damaged: expected .*'{said}'.*found .*'{kind}'"):
        DenseIndex.open(path, VectorIndex(kind=said), vectors)


def test_a_file_for_distances_is_refused(vectors, tmp_path):
    index = faiss.IndexFlatL2(DIMENSION)
    index.add(vectors)
    faiss.write_index(index, str(tmp_path / "x.faiss"))
    with pytest.raises(StoreCorrupt, match="inner products"):
        DenseIndex.open(tmp_path / "x.faiss", VectorIndex(kind="flat"), vectors)


def test_a_file_of_fewer_vectors_is_refused(vectors, tmp_path):
    faiss.write_index(made("flat", vectors[1:]), str(tmp_path / "x.faiss"))
    with pytest.raises(StoreCorrupt, match=r"\(600, 16\).*\(599, 16\)"):
        DenseIndex.open(tmp_path / "x.faiss", VectorIndex(kind="flat"), vectors)


@pytest.mark.parametrize(
    ("field", "value"),
    [("refine_factor", 0), ("refine_factor", -1), ("refine_factor", 10**9), ("recall_at_10", 7), ("kind", "ivf")],
)
def test_a_manifest_that_asks_for_the_impossible_is_refused(small_index, field, value):
    (path,) = (small_index / "snapshots").glob("*/manifest.json")
    manifest = json.loads(path.read_bytes())
    manifest["vector_index"][field] = value
    with pytest.raises((StoreCorrupt, FormatUnsupported), match=field):
        parse_manifest(json.dumps(manifest).encode(), "manifest.json")
