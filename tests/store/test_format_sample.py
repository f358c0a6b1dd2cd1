"""Format version 1, as it was first written: a small index in the repository that must open forever.

    FOOTNOTE_WRITE_SAMPLE=1 python -m pytest tests/store/test_format_sample.py

writes it anew; that is for a change before the format is released, never after.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from store.filters import parse_filter
from store.index import IndexDirectory
from store.ledger import read_ledger
from store.local import open_query_encoder
from tests.conftest import SMALL, build_index, write_jsonl

SAMPLE = Path(__file__).parent / "data" / "format-1"
STAFF = frozenset({"staff"})


@pytest.fixture(scope="module", autouse=True)
def written(tmp_path_factory):
    if os.environ.get("FOOTNOTE_WRITE_SAMPLE"):
        folder = tmp_path_factory.mktemp("sample")
        more = [{"id": "cats", "text": "Another text with an id that came before."}, {"id": "x", "text": ""}]
        build_index(folder / "index", write_jsonl(folder / "small.jsonl", [*SMALL, *more]), model="hash:8")
        shutil.rmtree(SAMPLE, ignore_errors=True)
        shutil.copytree(folder / "index", SAMPLE, ignore=shutil.ignore_patterns("cache", "LOCK"))


@pytest.fixture
def snapshot():
    with ThreadPoolExecutor(1) as executor:
        opened = IndexDirectory(SAMPLE).open(executor, full=True)
        yield opened
        opened.close()


def test_it_opens_and_every_byte_is_as_its_manifest_says(snapshot):
    assert snapshot.manifest.format_version == 1
    assert (snapshot.facts.documents, snapshot.facts.passages) == (5, 5)
    assert snapshot.facts.space.dimension == 8
    outcomes = [line.outcome for line in read_ledger(snapshot.folder / "ledger.jsonl") if hasattr(line, "outcome")]
    assert sorted(outcomes) == ["empty", *["indexed"] * 5, "quarantined"]


def test_its_documents_are_what_went_in(snapshot):
    for one in SMALL:
        stored = asyncio.run(snapshot.document(id=one["id"], principals=STAFF))
        assert stored is not None
        assert stored.text == one["text"]
        assert stored.header.title == one.get("title", "")
        assert dict(stored.header.metadata) == one.get("metadata", {})
    assert asyncio.run(snapshot.document(id="secret", principals=frozenset())) is None


def test_both_legs_and_filters_answer(snapshot):
    async def ask():
        encoder = open_query_encoder(SAMPLE, snapshot.manifest)
        assert encoder is not None
        (vector,) = encoder.encode_queries(["max_connections default"])
        lexical = await snapshot.lexical("max_connections default", 3, None, STAFF)
        dense = await snapshot.dense(vector, 6, None, STAFF)
        filtered = await snapshot.dense(vector, 6, parse_filter({"lang": "ja"}), STAFF)
        found = await snapshot.passages([lexical[0].passage_id, filtered[0].passage_id], STAFF)
        return [one.document.id for one in found.values()], len(dense), len(filtered)

    assert asyncio.run(ask()) == (["limits", "tokyo"], 5, 1)
