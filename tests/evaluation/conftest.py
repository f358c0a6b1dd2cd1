"""A small set whose questions differ in how hard they are, and runs made without measuring."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from evaluation.runs import ConfigurationRecord, RunFile, write_run

ANIMALS = ["otter", "badger", "heron", "salmon", "beaver", "falcon", "lynx", "marten"]


@pytest.fixture(scope="session")
def animals(tmp_path_factory):
    """A BEIR-style folder; only the titles of animals with names of even length tell which one a text is about."""
    folder = tmp_path_factory.mktemp("sets") / "animals"
    (folder / "qrels").mkdir(parents=True)
    with (folder / "corpus.jsonl").open("w") as stream:
        for name in ANIMALS:
            subject = name if len(name) % 2 else "one"
            text = f"It is an animal. Every {subject} sleeps {len(name)} hours a day. " + "More of it here. " * 60
            stream.write(json.dumps({"_id": f"d-{name}", "title": name.title(), "text": text}) + "\n")
    with (folder / "queries.jsonl").open("w") as stream:
        for name in ANIMALS:
            stream.write(json.dumps({"_id": f"q-{name}", "text": f"how many hours does the {name} sleep"}) + "\n")
    rows = "".join(f"q-{name}\td-{name}\t1\n" for name in ANIMALS)
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + rows)
    return folder


@pytest.fixture
def made_run():
    """Writes a run file of given nDCG@10 values: configuration -> question -> value."""

    def make(path, values, *, name="made", texts=None, queries=None, qrels=None, times_ms=None, refusals=None):
        questions = list(next(iter(values.values())))
        run = RunFile(
            format=2,
            refusals=None if refusals is None else refusals.figures(),
            refusals_by_question=None
            if refusals is None
            else {key: asdict(one) for key, one in refusals.by_question.items()},
            set=name,
            created_at="2026-01-01T00:00:00Z",
            corpus=None,
            generation=1,
            documents=3,
            passages=4,
            questions=len(questions),
            modes={one: {"degraded": 0} for one in values},
            results_file=str(path),
            configurations={
                one: ConfigurationRecord(mode="hybrid", changes={}, generation=1, documents=3, passages=4)
                for one in values
            },
            queries=queries or {one: f"text of {one}" for one in questions},
            qrels=qrels or {one: {"right": 1} for one in questions},
            by_question={
                one: {
                    question: {"nDCG@10": value, "R@10": value, "R@100": value, "RR@10": value}
                    for question, value in found.items()
                }
                for one, found in values.items()
            },
            rankings={
                one: {
                    question: ["right", "wrong"] if value > 0.5 else ["wrong", "right"]
                    for question, value in found.items()
                }
                for one, found in values.items()
            },
            latency_by_question={
                one: {question: {"total": (times_ms or {}).get(one, 5.0)} for question in found}
                for one, found in values.items()
            },
            texts=texts
            or {"right": {"title": "The right one", "snippet": "Yes."}, "wrong": {"title": "Wrong", "snippet": "No."}},
        )
        write_run(run, path)
        return path

    return make
