"""A set is evaluated from its corpus to its figures, and again without embedding anything anew."""

from __future__ import annotations

import json

import pytest

from evaluation.run import evaluate
from evaluation.sets import read_set
from evaluation.settings import EvaluationSettings
from evaluation.support import measure_support
from indexer.progress import Silent
from indexer.settings import IndexerSettings
from service.settings import ServiceSettings
from store.errors import UsageError

ANIMALS = ["otter", "badger", "heron", "salmon", "beaver", "falcon", "lynx", "marten"]


@pytest.fixture
def animals(tmp_path):
    folder = tmp_path / "animals"
    (folder / "qrels").mkdir(parents=True)
    with (folder / "corpus.jsonl").open("w") as stream:
        for name in ANIMALS:
            text = f"The {name} is an animal. Every {name} sleeps {len(name)} hours a day."
            stream.write(json.dumps({"_id": f"d-{name}", "title": name.title(), "text": text}) + "\n")
    with (folder / "queries.jsonl").open("w") as stream:
        for name in ANIMALS:
            question = {"_id": f"q-{name}", "text": f"how many hours does the {name} sleep", "answerable": True}
            stream.write(json.dumps(question) + "\n")
        stream.write(json.dumps({"_id": "u1", "text": "zzz unknowable qqq", "answerable": False}) + "\n")
    rows = "".join(f"q-{name}\td-{name}\t1\n" for name in ANIMALS)
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + rows)
    return folder


def run(folder, cache, abstain_below=0.0):
    return evaluate(
        read_set(str(folder)),
        EvaluationSettings(evaluation_cache=cache),
        IndexerSettings(embedding_model="hash:256"),
        ServiceSettings(abstain_below=abstain_below),
        ["lexical", "dense", "hybrid"],
        Silent(),
    )


def test_figures_follow_from_the_questions(animals, tmp_path):
    report = run(animals, tmp_path / "cache")

    by_mode = {one.mode: one for one in report.modes}
    assert by_mode["lexical"].measures["nDCG@10"] == pytest.approx(1.0)
    assert by_mode["hybrid"].measures["RR@10"] == pytest.approx(1.0)
    assert all(one.degraded == 0 for one in report.modes)
    assert {"total", "embed", "dense", "lexical", "fuse"} <= set(by_mode["hybrid"].latency_ms)
    assert report.answers is not None
    assert (report.answers.answerable, report.answers.unanswerable) == (8, 1)
    assert report.answers.quotes_exact == 1.0
    assert report.answers.right_page_in_top_5 == 1.0


def test_refusals_are_counted_by_whether_they_were_right(animals, tmp_path):
    report = run(animals, tmp_path / "cache", abstain_below=1.0)

    assert report.answers is not None
    assert (report.answers.refused_unanswerable, report.answers.refused_answerable) == (1.0, 1.0)
    assert report.answers.refusal_precision == pytest.approx(1 / 9)
    assert report.answers.quotes == 0


def test_per_question_results_are_kept_and_a_second_run_publishes_nothing(animals, tmp_path):
    first = run(animals, tmp_path / "cache")
    second = run(animals, tmp_path / "cache")

    kept = json.loads(first.results_file.read_text())
    assert set(kept["by_question"]["hybrid"]) == {f"q-{name}" for name in ANIMALS}
    assert kept["rankings"]["lexical"]["q-otter"][0] == "d-otter"
    assert second.generation == first.generation == 1


def test_the_support_check_is_measured_at_its_own_threshold(tmp_path):
    file = tmp_path / "pairs.jsonl"
    rows = [
        ("The otter sleeps 5 hours.", "An otter eats fish. The otter sleeps 5 hours.", True),
        ("The otter sleeps 6 hours.", "An otter eats fish. The otter sleeps 5 hours.", False),
        ("Falcons fly at night.", "An otter eats fish.", False),
    ]
    lines = (json.dumps(dict(zip(("claim", "evidence", "label"), row, strict=True))) for row in rows)
    file.write_text("\n".join(lines))

    found = measure_support(file)

    assert found == {"n": 3, "balanced_accuracy": 1.0, "auroc": 1.0, "threshold": 0.8}


@pytest.mark.parametrize("line", ["{", "[]", '{"claim": "a", "evidence": "b", "label": "true"}'])
def test_a_malformed_support_line_is_named(tmp_path, line):
    file = tmp_path / "pairs.jsonl"
    file.write_text(line + "\n")

    with pytest.raises(UsageError, match=r"pairs\.jsonl:1"):
        measure_support(file)
