"""Vectors that come from elsewhere: row by row those of a JSONL file's lines, checked before they are believed."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from indexer.build import Request, build
from indexer.progress import Silent
from indexer.settings import IndexerSettings
from store.embedding import HashEmbedder, unit_rows
from store.errors import SourceError, SpaceMismatch, UsageError
from store.index import IndexDirectory
from store.ledger import LedgerEntry, read_ledger

LINES = [{"id": f"d{number}", "text": f"  Passage {number} of the otters.\n"} for number in (3, 1, 2)]
NOBODY: frozenset[str] = frozenset()


@pytest.fixture
def given(tmp_path, jsonl):
    """Lines, and a file of vectors for them."""
    path = tmp_path / "rows.npy"
    np.save(path, np.random.default_rng(0).normal(size=(3, 8)))
    return jsonl(tmp_path / "docs.jsonl", LINES), path


def run(tmp_path, source, vectors, model=None, **request):
    settings = IndexerSettings(index=tmp_path / "index", embedding_model="hash:64")
    asked = Request([str(source)], vectors=vectors, vectors_model=model, **request)
    return build(IndexDirectory(settings.index), asked, settings, Silent())


def opened(tmp_path, ask):
    """What an opened snapshot says."""
    with ThreadPoolExecutor(1) as executor:
        snapshot = IndexDirectory(tmp_path / "index").open(executor)
        try:
            return asyncio.run(ask(snapshot))
        finally:
            snapshot.close()


def test_every_line_is_one_passage_with_its_own_row_of_unit_length(tmp_path, given):
    source, path = given

    report = run(tmp_path, source, path)

    assert (report.documents, report.passages, report.embedded, report.reused) == (3, 3, 0, 0)
    rows = unit_rows(np.lib.format.open_memmap(path).astype(np.float32))
    stored = np.fromfile(tmp_path / "index/snapshots" / report.snapshot / "vectors.f32", "<f4").reshape(3, 8)
    assert np.array_equal(stored, rows[[1, 2, 0]])  # rows are by id: d1, d2, d3

    async def nearest(snapshot):
        (hit,) = await snapshot.dense(rows[0], 1, None, NOBODY)
        found = await snapshot.passages([hit.passage_id], NOBODY)
        return found[hit.passage_id].passage.text, hit.score

    text, score = opened(tmp_path, nearest)
    assert text == "Passage 3 of the otters."
    assert score == pytest.approx(1.0)


def test_the_same_again_publishes_nothing_and_other_vectors_do(tmp_path, given):
    source, path = given
    assert run(tmp_path, source, path).published
    assert not run(tmp_path, source, path).published
    other = np.random.default_rng(1).normal(size=(3, 8))
    np.save(path, other)
    report = run(tmp_path, source, path)
    stored = np.fromfile(tmp_path / "index/snapshots" / report.snapshot / "vectors.f32", "<f4").reshape(3, 8)
    assert report.published
    assert np.allclose(stored, unit_rows(other.astype(np.float32))[[1, 2, 0]])


def test_without_a_known_model_no_query_encoder_is_admitted(tmp_path, given):
    source, path = given
    report = run(tmp_path, source, path)
    manifest = json.loads((tmp_path / "index/snapshots" / report.snapshot / "manifest.json").read_text())
    assert manifest["query_encoders"] == []
    assert manifest["space"]["model"] == "unknown"
    assert manifest["space"]["dimension"] == 8


def test_a_named_model_is_believed_after_comparing_and_then_embeds_questions(tmp_path, given):
    source, path = given
    np.save(path, HashEmbedder(64).encode_queries([line["text"] for line in LINES]))

    report = run(tmp_path, source, path, "hash:64")

    manifest = json.loads((tmp_path / "index/snapshots" / report.snapshot / "manifest.json").read_text())
    assert [entry["kind"] for entry in manifest["query_encoders"]] == ["hash"]


def test_vectors_of_another_model_than_the_named_one_are_refused_with_both_values(tmp_path, given):
    source, path = given
    with pytest.raises(SpaceMismatch, match="dimension: the index has 64, this is 8"):
        run(tmp_path, source, path, "hash:64")
    np.save(path, np.random.default_rng(0).normal(size=(3, 64)))
    with pytest.raises(SpaceMismatch, match="least cosine to its own, over 3 texts"):
        run(tmp_path, source, path, "hash:64")
    assert IndexDirectory(tmp_path / "index").current() is None


@pytest.mark.parametrize("rows", [2, 4])
def test_another_number_of_rows_than_lines_is_refused_with_both(tmp_path, given, rows):
    source, path = given
    np.save(path, np.ones((rows, 8), np.float32))
    with pytest.raises(SourceError, match=rf"rows.npy has {rows} rows, and docs.jsonl has 3 lines"):
        run(tmp_path, source, path)
    assert IndexDirectory(tmp_path / "index").current() is None


def test_a_line_that_is_set_aside_keeps_its_row_and_a_bad_row_sets_its_line_aside(tmp_path, given):
    source, path = given
    source.write_text('not json\n\n{"id": "a", "text": "otter"}\n{"id": "b", "text": "heron"}\n')
    np.save(path, np.array([[1, 0], [0, 1], [np.nan, 1]], np.float32))

    report = run(tmp_path, source, path)

    folder = tmp_path / "index/snapshots" / report.snapshot
    assert np.fromfile(folder / "vectors.f32", "<f4").tolist() == [0, 1]
    entries = [line for line in read_ledger(folder / "ledger.jsonl") if isinstance(line, LedgerEntry)]
    assert {(entry.outcome, entry.reason) for entry in entries} == {
        ("quarantined", "malformed"),
        ("quarantined", "bad_vector"),
        ("indexed", None),
    }


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "cannot be read as a .npy array"),
        (b"not an array at all", "cannot be read as a .npy array"),
        (np.ones(3, np.float32), r"expected floats of shape \(lines, dimension\), found float32 of shape \(3,\)"),
        (np.ones((3, 2), np.int64), "found int64 of shape"),
        (np.ones((3, 0), np.float32), r"shape \(3, 0\)"),
        (np.array([[{}]] * 3, object), "cannot be read as a .npy array"),
    ],
)
def test_what_is_no_array_of_rows_is_refused_and_nothing_unpickled(tmp_path, given, content, says):
    source, path = given
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content)
    with pytest.raises(UsageError, match=says):
        run(tmp_path, source, path)


def test_a_missing_file_another_kind_of_source_and_half_an_option_are_refused(tmp_path, given):
    source, path = given
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.txt").write_text("text")
    for asked, says in [
        ((source, tmp_path / "none.npy"), "cannot be read"),
        ((tmp_path / "folder", path), "exactly one source, a JSONL file; found .*folder"),
        ((source, None, "hash:64"), "--vectors-model says what made --vectors"),
    ]:
        with pytest.raises(UsageError, match=says):
            run(tmp_path, *asked)
    with pytest.raises(UsageError, match="not with --add"):
        run(tmp_path, source, path, add=True)
