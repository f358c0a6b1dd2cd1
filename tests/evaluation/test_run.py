"""A set is evaluated from its corpus to its figures, and again without embedding anything anew."""

from __future__ import annotations

import json

import pytest

from evaluation.configurations import MODES, configurations
from evaluation.run import evaluate
from evaluation.runs import new_run_folder, read_run
from evaluation.sets import read_set
from evaluation.settings import EvaluationSettings
from evaluation.support import measure_support
from indexer.progress import Silent
from indexer.settings import IndexerSettings
from service.settings import ServiceSettings
from service.support import SupportCheck
from store.analyzer import Analyzer
from store.errors import UsageError

ANIMALS = ["otter", "badger", "heron", "salmon", "beaver", "falcon", "lynx", "marten"]


@pytest.fixture
def animals(tmp_path):
    """The questions say whether they can be answered."""
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


def run(folder, cache, *, abstain_below=0.0, changes=(), modes=MODES, **settings):
    return evaluate(
        read_set(str(folder)),
        EvaluationSettings(evaluation_cache=cache, **settings),
        IndexerSettings(embedding_model="hash:256"),
        ServiceSettings(abstain_below=abstain_below),
        configurations(modes, changes),
        new_run_folder(cache, None),
        Silent(),
    )


def test_figures_follow_from_the_questions(animals, tmp_path):
    report = run(animals, tmp_path / "cache")

    by_mode = {one.name: one for one in report.measured}
    assert by_mode["lexical"].measures["nDCG@10"] == pytest.approx(1.0)
    assert by_mode["hybrid"].measures["RR@10"] == pytest.approx(1.0)
    assert all(one.degraded == 0 for one in report.measured)
    assert {"total", "embed", "dense", "lexical", "fuse"} <= set(by_mode["hybrid"].latency_ms)
    assert report.answers is not None
    assert (report.answers.answerable, report.answers.unanswerable) == (8, 1)
    assert report.answers.quotes_exact == 1.0
    assert report.answers.right_page_in_top_5 == 1.0
    assert report.refusals is not None
    assert [key for key, one in report.refusals.by_question.items() if not one.answerable] == ["u1"]
    assert read_run(report.results_file).refusals["auroc"] == report.as_json()["refusals"]["auroc"]


def test_each_combination_of_settings_answers_once_whatever_its_modes(animals, tmp_path):
    report = run(animals, tmp_path / "cache", changes=["abstain_below=1"])

    found = read_run(report.results_file)
    assert list(report.answered) == list(found.answer_measures) == ["hybrid", "hybrid abstain_below=1"]
    assert report.answers is report.answered["hybrid"]
    assert found.answers == found.modes["hybrid"]["answers"]
    assert found.answers["citation_recall"] == 1.0
    assert found.modes["hybrid abstain_below=1"]["answers"]["refused_answerable"] == 1.0
    assert "answers" not in found.modes["lexical"]
    assert found.answer_measures["hybrid abstain_below=1"] == {}
    assert found.answer_measures["hybrid"]["q-otter"]["cited_right_page"] == 1.0
    assert set(found.answers_by_question) == {f"q-{name}" for name in ANIMALS} | {"u1"}
    assert found.sample is None


def test_without_the_hybrid_mode_answers_go_by_the_first_ones_name(animals, tmp_path):
    assert list(run(animals, tmp_path / "cache", modes=["lexical", "dense"]).answered) == ["lexical"]


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
    assert second.results_file != first.results_file


def test_a_run_file_holds_all_that_comparing_and_reporting_need(animals, tmp_path):
    found = read_run(run(animals, tmp_path / "cache", changes=["passage_header=false"]).results_file)

    names = {f"{mode}{change}" for mode in MODES for change in ("", " passage_header=false")}
    assert set(found.by_question) == set(found.rankings) == set(found.latency_by_question) == names
    assert found.configurations["dense passage_header=false"].changes == {"passage_header": "false"}
    assert found.configurations["dense passage_header=false"].splitter["header"] is False
    assert found.configurations["dense"].splitter["header"] is True
    assert found.queries["q-otter"] == "how many hours does the otter sleep"
    assert found.qrels["q-otter"] == {"d-otter": 1}
    assert set(found.by_question["hybrid"]["q-otter"]) == {"nDCG@10", "R@10", "R@100", "RR@10"}
    assert {"total", "embed", "dense", "lexical", "fuse"} <= set(found.latency_by_question["hybrid"]["q-otter"])
    assert found.texts["d-otter"].title == "Otter"
    assert found.texts["d-otter"].snippet.startswith("The otter is an animal.")
    assert found.settings["embedding_model"] == "hash:256"
    assert found.answers is not None


def test_a_question_that_is_no_clean_text_is_measured_and_kept(animals, tmp_path):
    with (animals / "queries.jsonl").open("a") as stream:
        stream.write('{"_id": "odd", "text": "otter \\ud800 \\u0000 <b>\\u202e"}\n')
    with (animals / "qrels" / "test.tsv").open("a") as stream:
        stream.write("odd\td-otter\t1\n")

    found = read_run(run(animals, tmp_path / "cache", modes=["lexical"]).results_file)

    assert found.queries["odd"] == "otter \ufffd  <b>\u202e"
    assert found.by_question["lexical"]["odd"]["RR@10"] == 1.0


def test_each_combination_of_settings_has_an_index_of_its_own_that_is_made_once(animals, tmp_path):
    cache = tmp_path / "cache"

    for _ in range(2):
        report = run(animals, cache, modes=["lexical"], changes=["passage_tokens=16", "passage_header=false"])

    assert len(list((cache / "indexes").iterdir())) == 3
    assert report.generation == 1
    assert {one.name for one in report.measured} == {
        "lexical",
        "lexical passage_tokens=16",
        "lexical passage_header=false",
    }


def test_a_setting_of_the_service_needs_no_other_index(animals, tmp_path):
    run(animals, tmp_path / "cache", modes=["hybrid"], changes=["encoder_threads=1"])

    assert len(list((tmp_path / "cache" / "indexes").iterdir())) == 1


def test_reranking_without_a_reranker_is_refused_rather_than_measured_as_if_it_were(animals, tmp_path):
    with pytest.raises(UsageError, match="FOOTNOTE_RERANKER"):
        run(animals, tmp_path / "cache", modes=["hybrid"], changes=["rerank=true"])


def test_a_set_without_a_corpus_cannot_be_indexed_in_another_way(animals, tmp_path, make_index):
    make_index(tmp_path / "index", animals / "corpus.jsonl")
    (animals / "corpus.jsonl").unlink()
    settings = {"modes": ["lexical"], "index": tmp_path / "index"}

    assert run(animals, tmp_path / "cache", **settings).measured[0].measures["RR@10"] == 1.0
    with pytest.raises(UsageError, match="no corpus to index in another way"):
        run(animals, tmp_path / "cache", changes=["passage_tokens=16"], **settings)


WORDS_ALONE = SupportCheck(Analyzer(), None)


def test_the_support_check_is_measured_at_its_own_threshold(tmp_path):
    file = tmp_path / "pairs.jsonl"
    rows = [
        ("The otter sleeps 5 hours.", "An otter eats fish. The otter sleeps 5 hours.", True),
        ("The otter sleeps 6 hours.", "An otter eats fish. The otter sleeps 5 hours.", False),
        ("Falcons fly at night.", "An otter eats fish.", False),
    ]
    lines = (json.dumps(dict(zip(("claim", "evidence", "label"), row, strict=True))) for row in rows)
    file.write_text("\n".join(lines))

    found = measure_support(file, WORDS_ALONE)

    assert found == {"n": 3, "balanced_accuracy": 1.0, "auroc": 1.0, "threshold": 0.8}


@pytest.mark.parametrize("line", ["{", "[]", '{"claim": "a", "evidence": "b", "label": "true"}'])
def test_a_malformed_support_line_is_named(tmp_path, line):
    file = tmp_path / "pairs.jsonl"
    file.write_text(line + "\n")

    with pytest.raises(UsageError, match=r"pairs\.jsonl:1"):
        measure_support(file, WORDS_ALONE)
