"""What is imported when: the online side never sees torch, and nothing heavy comes with a bare import."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ["torch", "transformers", "sentence_transformers", "langchain_text_splitters", "trafilatura"]


def loaded(code: str, *names: str) -> list[str]:
    """Which of these modules a fresh interpreter holds after running the code."""
    tell = f"\nimport json, sys\nprint(json.dumps([n for n in {list(names)!r} if n in sys.modules]))"
    out = subprocess.run([sys.executable, "-c", code + tell], capture_output=True, text=True, check=True).stdout
    return json.loads(out.splitlines()[-1])


def test_importing_the_store_loads_no_engine_and_no_torch():
    modules = "analyzer document embedding exact files filters fusion index ledger local manifest passages selection"
    code = "\n".join(f"import store.{name}" for name in modules.split())
    assert loaded(code, *HEAVY, "faiss", "tantivy", "onnxruntime", "Stemmer") == []


def test_opening_and_searching_a_snapshot_loads_no_torch(small_index):
    code = f"""
import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from store.index import IndexDirectory
from store.local import open_query_encoder
index = IndexDirectory(Path({str(small_index)!r}))
with ThreadPoolExecutor(1) as pool:
    snapshot = index.open(pool, full=True)
    encoder = open_query_encoder(index.path, snapshot.manifest)
    (vector,) = encoder.encode_queries(["cats"])
    assert asyncio.run(snapshot.dense(vector, 3, None, frozenset()))
    assert asyncio.run(snapshot.lexical("cats", 3, None, frozenset()))
    snapshot.close()
"""
    assert loaded(code, *HEAVY) == []


@pytest.mark.parametrize("room", ["indexer.build", "indexer.commands", "store.commands"])
def test_a_room_of_the_offline_side_loads_torch_only_when_it_embeds(room):
    assert loaded(f"import {room}", *HEAVY) == []
