"""Question sets are read in every form people keep them in, and what is wrong with one is named."""

from __future__ import annotations

import gzip
import json

import pytest

from evaluation.sets import read_set, sampled
from store.errors import UsageError


def write_set(folder, queries, qrels, *, infix="", packed=False):
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(query) + "\n" for query in queries)
    if packed:
        with gzip.open(folder / f"queries{infix}.jsonl.gz", "wt") as stream:
            stream.write(lines)
    else:
        (folder / f"queries{infix}.jsonl").write_text(lines)
    (folder / "qrels" / "test.tsv").write_text(qrels)
    return folder


QUERIES = [
    {"_id": "q1", "text": "one"},
    {"_id": "q2", "text": "two", "answerable": False},
    {"_id": "q3", "text": "not judged"},
]
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\n"


@pytest.mark.parametrize("packed", [False, True])
def test_judged_and_unanswerable_questions_are_kept(tmp_path, packed):
    found = read_set(str(write_set(tmp_path / "set", QUERIES, QRELS, packed=packed)))

    assert [one.id for one in found.questions] == ["q1", "q2"]
    assert [one.id for one in found.judged] == ["q1"]
    assert found.qrels == {"q1": {"d1": 2}}
    assert found.says_answerable
    assert found.corpus is None


def test_a_language_picks_its_own_files(tmp_path):
    folder = write_set(tmp_path / "set", QUERIES, QRELS, infix=".zh")
    (folder / "corpus.zh.jsonl").write_text("")

    found = read_set(f"{folder}:zh")

    assert found.name == "set:zh"
    assert found.corpus == folder / "corpus.zh.jsonl"


def test_qrels_in_trec_form_and_without_a_header_are_read(tmp_path):
    found = read_set(str(write_set(tmp_path / "set", QUERIES, "q1\t0\td9\t3\n")))

    assert found.qrels == {"q1": {"d9": 3}}


@pytest.mark.parametrize(
    ("spoil", "names"),
    [
        (lambda folder: (folder / "queries.jsonl").unlink(), "queries.jsonl"),
        (lambda folder: (folder / "qrels" / "test.tsv").unlink(), "qrels/test.tsv"),
        (lambda folder: (folder / "queries.jsonl").write_text("{\n"), "queries.jsonl:1"),
        (lambda folder: (folder / "queries.jsonl").write_text('{"_id": "x"}\n'), "_id"),
        (lambda folder: (folder / "qrels" / "test.tsv").write_text("h\th\th\nq1 d1 1\n"), "test.tsv:2"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(tmp_path, spoil, names):
    folder = write_set(tmp_path / "set", QUERIES, QRELS)
    spoil(folder)

    with pytest.raises(UsageError) as caught:
        read_set(str(folder))

    assert names in str(caught.value)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match="nowhere"):
        read_set(str(tmp_path / "nowhere"))


def test_squads_word_for_unanswerable_is_known(tmp_path):
    queries = [
        {"_id": "q1", "text": "one", "is_impossible": False},
        {"_id": "q2", "text": "two", "is_impossible": True},
        {"_id": "q3", "text": "three", "is_impossible": True, "answerable": True},
    ]
    found = read_set(str(write_set(tmp_path / "set", queries, QRELS)))

    assert {one.id: one.answerable for one in found.questions} == {"q1": True, "q2": False, "q3": True}
    assert found.says_answerable


@pytest.mark.parametrize(
    ("fields", "gold", "short"),
    [
        ({"quote": "It sleeps."}, ("It sleeps.",), ()),
        (
            {"quote": "No.", "outputs": [{"selected_sentences": ["A b .", "C ."]}, {"selected_sentences": ["D ."]}]},
            ("A b . C .", "D ."),
            (),
        ),
        ({"outputs": [{"selected_sentences": []}, {}, "x"], "quote": "It sleeps."}, ("It sleeps.",), ()),
        ({"outputs": [{"selected_sentences": []}]}, (), ()),
        ({"outputs": "none", "quote": ""}, (), ()),
        ({"answers": ["France", " ", 7]}, (), ("France",)),
        ({"answers": [{"text": " 5 hours ", "start": 3}, {"start": 1}]}, (), ("5 hours",)),
        ({"answers": "France"}, (), ()),
    ],
)
def test_what_an_answer_should_say_is_read_in_the_forms_that_sets_have(tmp_path, fields, gold, short):
    (found,) = read_set(str(write_set(tmp_path, [{"_id": "q1", "text": "one", **fields}], QRELS))).questions

    assert (found.gold, found.short_answers) == (gold, short)


def test_a_sample_is_drawn_by_its_seed_and_keeps_the_order(tmp_path):
    queries = [{"_id": f"q{number}", "text": "one", "answerable": False} for number in range(100)]
    questions = read_set(str(write_set(tmp_path, queries, QRELS)))

    drawn = [[one.id for one in sampled(questions, 10, seed).questions] for seed in (0, 0, 1)]

    assert drawn[0] == drawn[1] != drawn[2]
    assert all(len(set(ids)) == 10 and ids == sorted(ids, key=lambda one: int(one[1:])) for ids in drawn)
    assert sampled(questions, 100, 0) == sampled(questions, 1000, 0) == questions
