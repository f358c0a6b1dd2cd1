"""Paths that only many rows take, with their thresholds brought down: fast-scan, HNSW, over-fetching, row sets."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from store import terms as terms_module
from store import vectors as vectors_module
from store.document import make_document
from store.filters import parse_filter
from store.passages import Span

ROWS, DIMENSION = 3000, 32
NOBODY = frozenset()


@pytest.fixture(scope="module", params=["flat", "pq_fastscan", "hnsw"])
def large(request, collection, executor, tmp_path_factory):
    """(kind, collection, exact twin, local snapshot) over vectors of low rank, as real embeddings nearly are."""
    generator = np.random.default_rng(7)
    patch = pytest.MonkeyPatch()
    patch.setattr(vectors_module, "EXACT_ROWS_MAX", 10**9 if request.param == "flat" else 1000)
    patch.setattr(vectors_module, "_SELECTED_SCAN_MAX", 50)
    patch.setattr(terms_module, "_ROW_SET_MAX", 50)
    if request.param == "hnsw":
        patch.setattr(vectors_module, "REFINE_FACTORS", ())
    low_rank = generator.standard_normal((ROWS, 6)) @ generator.standard_normal((6, DIMENSION))
    vectors = (low_rank / np.linalg.norm(low_rank, axis=1, keepdims=True)).astype(np.float32)
    words = [f"w{number}" for number in range(40)]
    pairs = []
    for number in range(ROWS):
        text = " ".join(generator.choice(words, 8))
        pairs.append(
            (make_document(f"d{number:05}", text, metadata={"n": number}), [Span(0, len(text), (), bytes(32))])
        )
    made = collection(pairs, vectors, DIMENSION)
    local = made.local(tmp_path_factory.mktemp("large") / "snapshot", executor)
    yield request.param, made, made.exact(), local
    local.close()
    patch.undo()


def queries(made, count=30):
    generator = np.random.default_rng(3)
    for row in generator.choice(ROWS, count, replace=False):
        noisy = made.vectors[row] + generator.standard_normal(DIMENSION) * 0.01
        yield (noisy / np.linalg.norm(noisy)).astype(np.float32)


def test_the_manifest_says_which_kind_was_built_and_what_was_measured(large):
    kind, _, _, local = large
    assert local.manifest.vector_index.kind == kind
    assert local.manifest.vector_index.meets_target
    assert local.facts.recall_at_10 >= 0.99


def test_warming_scores_no_more_than_a_question_does(large, monkeypatch):
    """It once asked for what is nearest to zeros, as which all rows score alike: all were read at every start."""
    _, _, _, local = large
    monkeypatch.setattr(vectors_module, "exact_ranking", lambda *_: pytest.fail("every row was scored"))

    local.warm()


# none; few enough to be scored one by one; many; most; more than most, so that rows must be fetched again and again
@pytest.mark.parametrize("least", [None, ROWS - 40, ROWS - 300, 100])
def test_recall_is_at_least_99_percent_and_no_filtered_row_appears(large, least):
    _, made, exact, local = large
    tree = None if least is None else parse_filter({"n": {"$gte": least}})
    found_right = wanted = 0
    for vector in queries(made):
        true = asyncio.run(exact.dense(vector, 10, tree, NOBODY))
        found = asyncio.run(local.dense(vector, 10, tree, NOBODY))
        assert len(found) == 10
        assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
        ids = {hit.passage_id for hit in found}
        assert ids <= set(made.ids[least or 0 :])
        found_right += len(ids & {hit.passage_id for hit in true})
        wanted += 10
    assert found_right / wanted >= 0.99


@pytest.mark.parametrize("least", [None, ROWS - 40, ROWS - 300, 100])
def test_lexical_ranking_is_exact_under_every_selectivity(large, least):
    _, _, exact, local = large
    tree = None if least is None else parse_filter({"n": {"$gte": least}})
    for text in ("w1", "w3 w7", "w1 w2 w3 w4 w5 w6", "w39 unknown"):
        true = asyncio.run(exact.lexical(text, 25, tree, NOBODY))
        found = asyncio.run(local.lexical(text, 25, tree, NOBODY))
        assert [hit.score for hit in found] == pytest.approx([hit.score for hit in true], abs=1e-4)
        scores = {hit.passage_id: hit.score for hit in asyncio.run(exact.lexical(text, ROWS, tree, NOBODY))}
        assert [hit.score for hit in found] == pytest.approx([scores[hit.passage_id] for hit in found], abs=1e-4)


def test_scores_of_given_passages_are_exact_whatever_the_index(large):
    from store.snapshot import LegQuery

    _, made, exact, local = large
    query = LegQuery("w1 w2", next(queries(made)))
    some = made.ids[::97]
    for mine, its in zip(asyncio.run(exact.score(query, some)), asyncio.run(local.score(query, some)), strict=True):
        assert (its.dense, its.lexical) == pytest.approx((mine.dense, mine.lexical), abs=1e-4)


def test_k_beyond_what_a_filter_leaves_gives_all_that_it_leaves(large):
    _, made, _, local = large
    vector = next(queries(made))
    for least in (ROWS - 7, ROWS - 70):
        tree = parse_filter({"n": {"$gte": least}})
        found = asyncio.run(local.dense(vector, 200, tree, NOBODY))
        assert {hit.passage_id for hit in found} == set(made.ids[least:])


def test_a_zero_vector_ties_everything_and_gives_the_first_rows(large):
    _, made, _, local = large
    found = asyncio.run(local.dense(np.zeros(DIMENSION, np.float32), 5, None, NOBODY))
    assert [hit.passage_id for hit in found] == made.ids[:5]


def test_an_index_that_misses_the_target_says_so(tmp_path, monkeypatch):
    """Random vectors have no structure to quantise: with no refinement and no HNSW to spare, recall falls short."""
    monkeypatch.setattr(vectors_module, "EXACT_ROWS_MAX", 100)
    monkeypatch.setattr(vectors_module, "REFINE_FACTORS", (1,))
    monkeypatch.setattr(vectors_module, "_ASIDE", 0)
    monkeypatch.setattr(vectors_module, "RECALL_TARGET", 1.01)
    vectors = np.random.default_rng(1).standard_normal((2000, 8)).astype(np.float32)
    chosen = vectors_module.build_index(vectors, tmp_path / "index")
    assert not chosen.meets_target
    assert 0 < chosen.recall_at_10 <= 1
