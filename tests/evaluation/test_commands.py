"""`footnote evaluate` measures; compare, ablate, report and support stand below it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from footnote.cli import app
from service.ground import COVERAGE_MIN
from service.verifier import BUNDLED, open_support
from store.errors import FootnoteError


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a command in a folder of its own; a typed error is its message."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOOTNOTE_EVALUATION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FOOTNOTE_EMBEDDING_MODEL", "hash:64")

    def invoke(*arguments):
        result = CliRunner().invoke(app, ["evaluate", *map(str, arguments)])
        if result.exception is not None and not isinstance(result.exception, FootnoteError | SystemExit):
            raise result.exception
        return result

    return invoke


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Missing argument 'SET...'"),
        (["--mode", "lexical"], "Missing argument 'SET...'"),
        (["compare", "only-one"], "Missing argument 'B'"),
        (["ablate"], "Missing argument 'SET...'"),
        (["report"], "Missing argument 'RUN...'"),
        (["support"], "Missing argument 'FILE...'"),
    ],
)
def test_what_is_missing_is_named(run, arguments, says):
    done = run(*arguments)

    assert done.exit_code == 2
    assert says in done.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "there is no folder nowhere"),
        (["./compare"], "there is no folder compare"),
        (["nowhere", "--mode", "sparse"], "unknown mode 'sparse'"),
        (["nowhere", "--with", "x=1"], "'x' is no setting"),
        (["compare", "a", "b"], "there is no run a"),
        (["report", "a"], "there is no run a"),
        (["ablate", "nowhere", "--measure", "P@5"], "unknown measure 'P@5'"),
        (["support", "nothing.jsonl"], "there is no file nothing.jsonl"),
    ],
)
def test_what_is_wrong_is_a_message_that_names_it(run, arguments, says):
    assert says in str(run(*arguments).exception)


def test_help_teaches_the_group_and_the_command_that_it_is(run):
    told = run("--help").output

    for word in ("compare", "ablate", "report", "support", "--mode", "--with", "--answers", "SET..."):
        assert word in told
    for command in ("compare", "ablate", "report", "support"):
        assert f"footnote evaluate {command}" in run(command, "--help").output


def test_a_folder_that_is_called_like_a_command_is_reached_by_its_path(run, animals, tmp_path):
    (tmp_path / "compare").symlink_to(animals)

    done = run("./compare", "--mode", "lexical", "--json")

    assert done.exit_code == 0, done.output
    assert list(json.loads(done.stdout)[0]["modes"]) == ["lexical"]


def test_measured_compared_and_reported_from_one_run(run, animals, tmp_path):
    measured = run(animals, "--output", "before", "--with", "passage_header=false", "--json")
    refused = run(animals, "--output", "before")
    compared = run("compare", "before:hybrid", "before:hybrid passage_header=false", "--json")
    told = run("compare", "before:lexical", "before")
    reported = run("report", "before", "--output", "page.html")

    assert measured.exit_code == 0, measured.output
    (found,) = json.loads(measured.stdout)
    assert found["results_file"] == "before/animals.json"
    assert len(found["modes"]) == 6
    assert "before is not empty" in str(refused.exception)
    (one,) = json.loads(compared.stdout)["sets"]
    assert one["difference"] < 0
    assert one["questions"] == 8
    assert "hybrid against lexical" in told.output
    assert "page.html" in reported.output
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")


def test_ablations_are_told_to_people_and_machines(run, animals):
    told = run("ablate", animals, "--only", "leg", "--only", "rerank", "--output", "ablation")
    listed = json.loads(run("ablate", animals, "--only", "fusion", "--weight", "0.5", "--json").stdout)

    assert told.exit_code == 0, told.output
    assert "leg, nDCG@10 against the default on animals" in told.output
    assert "rerank: left out, no reranker is set" in told.output
    assert "footnote evaluate report ablation" in told.output
    (fusion,) = listed["dimensions"]
    assert [one["candidate"]["name"] for one in fusion["comparisons"]] == ["weight 0.5", "rrf 60"]


@pytest.mark.parametrize("verifier", ["none", "bundled"])
def test_the_support_check_is_measured_on_several_files(run, tmp_path, monkeypatch, verifier):
    monkeypatch.setenv("FOOTNOTE_VERIFIER", verifier)
    shipped = {"none": COVERAGE_MIN, "bundled": open_support(BUNDLED).calibration.threshold}
    rows = [
        {"claim": "The otter sleeps 5 hours.", "evidence": "The otter sleeps 5 hours.", "label": True},
        {"claim": "Falcons fly at night.", "evidence": "An otter eats fish.", "label": False},
    ]
    for name in ("one.jsonl", "two.jsonl"):
        (tmp_path / name).write_text("\n".join(map(json.dumps, rows)))

    alone = json.loads(run("support", "one.jsonl", "--json").stdout)
    both = json.loads(run("support", "one.jsonl", "two.jsonl", "--json").stdout)

    assert alone == {"n": 2, "balanced_accuracy": 1.0, "auroc": 1.0, "threshold": shipped[verifier]}
    assert both == {"one.jsonl": alone, "two.jsonl": alone}


def test_a_chat_model_is_asked_once_for_what_is_kept(run, animals, monkeypatch):
    monkeypatch.setenv("FOOTNOTE_ABSTAIN_BELOW", "0")
    monkeypatch.setenv("FOOTNOTE_GENERATOR", "scripted")
    monkeypatch.setenv("FOOTNOTE_GENERATOR_SCRIPT", "script.jsonl")
    written = []
    for reply, kept in (("first", True), ("second", True), ("third", False)):
        Path("script.jsonl").write_text(json.dumps({"pieces": [f"The {reply} one [1]."]}))
        options = ["--generations", "kept.jsonl"] if kept else []
        done = run(animals, "--mode", "hybrid", "--answers", "--output", reply, *options)
        assert done.exit_code == 0, done.output
        by_question = json.loads(Path(reply, "animals.json").read_text())["answers_by_question"]
        written.append({one["written"] for one in by_question.values()})
    assert written == [{"The first one [1]."}, {"The first one [1]."}, {"The third one [1]."}]
    Path("kept.jsonl").write_text("nothing of the kind\n")
    refused = run(animals, "--mode", "hybrid", "--answers", "--output", "fourth", "--generations", "kept.jsonl")
    assert refused.exit_code != 0
    assert not Path("fourth").exists()


def test_a_sample_is_answered_compared_and_told(run, animals, monkeypatch):
    monkeypatch.setenv("FOOTNOTE_ABSTAIN_BELOW", "0")
    drawn = run(animals, "--mode", "hybrid", "--answers", "--sample", "3", "--seed", "1", "--output", "drawn", "--json")
    told = run(animals, "--mode", "hybrid", "--answers", "--sample", "3", "--seed", "1", "--output", "again")
    compared = run("compare", "drawn", "again", "--measure", "citation_recall", "--json")

    (found,) = json.loads(drawn.stdout)
    assert found["questions"] == found["answers"]["answerable"] == 3
    assert found["answers"] == found["modes"]["hybrid"]["answers"]
    assert json.loads(Path("drawn/animals.json").read_text())["sample"] == {"questions": 3, "seed": 1}
    for word in ("answers", "citation recall", "claims cited", "withheld share"):
        assert word in told.output
    assert "as written" not in told.output
    (one,) = json.loads(compared.stdout)["sets"]
    assert (one["difference"], one["ties"]) == (0.0, one["questions"])
    assert run(animals, "--sample", "0").exit_code == 2
