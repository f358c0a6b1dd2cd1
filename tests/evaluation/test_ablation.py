"""One command changes one part at a time and says what each is worth."""

from __future__ import annotations

import pytest

from evaluation.ablation import ablate, dimensions
from evaluation.runs import read_run
from evaluation.sets import read_set
from evaluation.settings import EvaluationSettings
from indexer.progress import Silent
from indexer.settings import IndexerSettings
from service.settings import ServiceSettings
from store.errors import UsageError


def run(folder, place, *, serving=None, **changes):
    settings = EvaluationSettings(evaluation_cache=place / "cache", index=place / "index")
    indexing = IndexerSettings(embedding_model="hash:64")
    chosen = serving or ServiceSettings()
    return ablate([read_set(str(folder))], settings, indexing, chosen, place / "run", Silent(), **changes)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"wanted": ["legs"]}, "unknown part 'legs'; known: leg, fusion, feedback, header, rerank, chunk"),
        ({"weights": [0.5, 1.2]}, "from 0 to 1, found 1.2"),
        ({"chunk_tokens": [4]}, "passage_tokens"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_measured(animals, tmp_path, changes, says):
    with pytest.raises(UsageError) as caught:
        run(animals, tmp_path, **changes)

    assert says in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_every_part_is_compared_with_the_default_and_kept(animals, tmp_path):
    found = {one.dimension.name: one for one in run(animals, tmp_path, weights=[0.0, 0.8], chunk_tokens=[32, 254])}
    kept = read_run(tmp_path / "run" / "animals.json")

    compared = {name: [one.candidate for one in part.comparisons] for name, part in found.items()}
    assert compared == {
        "leg": ["lexical", "dense"],
        "fusion": ["weight 0", "weight 0.8", "rrf 60"],
        "header": ["no header"],
        "feedback": ["dense feedback 0", "lexical feedback"],
        "rerank": [],
        "chunk": ["chunk 32"],  # 254 is the default's own length
    }
    assert "no reranker is set" in found["rerank"].dimension.skipped
    assert {one.baseline for part in found.values() for one in part.comparisons} == {"hybrid"}
    assert set(kept.by_question) == {"hybrid", *(name for names in compared.values() for name in names)}
    assert kept.configurations["chunk 32"].splitter["passage_tokens"] == 32
    assert kept.configurations["weight 0"].changes == {"fusion": "weight 0"}
    same = found["fusion"].comparisons[1]
    assert (same.difference.ties, same.p_holm) == (8, 1.0)
    (header,) = found["header"].comparisons
    assert header.difference.difference < 0
    assert header.p_holm == header.difference.p


def test_a_set_without_a_corpus_leaves_out_what_needs_another_index(animals, tmp_path, make_index):
    make_index(tmp_path / "index", animals / "corpus.jsonl")
    folder = tmp_path / "questions"
    (folder / "qrels").mkdir(parents=True)
    for name in ("queries.jsonl", "qrels/test.tsv"):
        (folder / name).write_bytes((animals / name).read_bytes())

    found = {one.dimension.name: one for one in run(folder, tmp_path, wanted=["leg", "header", "chunk"])}

    assert len(found["leg"].comparisons) == 2
    assert "brings no corpus" in found["header"].dimension.skipped
    assert "brings no corpus" in found["chunk"].dimension.skipped


def test_a_reranker_that_is_set_is_measured_on(animals, tmp_path, monkeypatch):
    class WorstFirst:
        name = "worst first"

        def __init__(self, folder, *, threads):
            pass

        def score(self, question, texts):
            return [-sum(word in text.lower() for word in question.split()) for text in texts]

    monkeypatch.setattr("service.wiring.OnnxCrossEncoder", WorstFirst)
    serving = ServiceSettings(reranker=tmp_path)

    (found,) = run(animals, tmp_path, wanted=["rerank"], serving=serving)

    kept = read_run(tmp_path / "run" / "animals.json")
    assert [one.candidate for one in found.comparisons] == ["rerank"]
    assert found.comparisons[0].difference.losses == 2  # those whose text names the animal
    assert kept.configurations["rerank"].changes == {"rerank": True}
    assert "rerank" in kept.latency_by_question["rerank"]["q-otter"]
    assert "rerank" not in kept.latency_by_question["hybrid"]["q-otter"]


def test_a_part_that_is_off_is_measured_on():
    indexing, serving = IndexerSettings(passage_header=False), ServiceSettings(rerank=True, reranker="somewhere")

    header, rerank = dimensions(["header", "rerank"], indexing, serving)

    assert [(one.name, dict(one.indexing)) for one in header.variants] == [("header", {"passage_header": True})]
    assert [(one.name, dict(one.serving)) for one in rerank.variants] == [("no rerank", {"rerank": False})]
