"""Runs are found, read and refused by name."""

from __future__ import annotations

import json

import pytest

from evaluation.errors import RunUnreadable
from evaluation.runs import Run, free_file, new_run_folder, read_run, write_run
from store.errors import UsageError

VALUES = {"lexical": {"q1": 0.5}, "hybrid": {"q1": 1.0}}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "Invalid JSON"),
        ("[]", "at the whole file"),
        ('{"set": "old", "by_question": {}}', "at format"),
        ('{"format": 1}', "at format"),
    ],
)
def test_a_file_that_is_no_run_of_this_version_is_refused_with_a_way_out(tmp_path, content, says):
    (tmp_path / "run.json").write_text(content)

    with pytest.raises(RunUnreadable, match=r"run\.json is no run of this version") as caught:
        read_run(tmp_path / "run.json")

    assert says in str(caught.value)
    assert "footnote evaluate" in str(caught.value)


def test_a_run_that_is_not_there_and_a_folder_without_one_are_named(tmp_path):
    with pytest.raises(RunUnreadable, match=r"there is no run .*nowhere"):
        Run(str(tmp_path / "nowhere"))
    with pytest.raises(RunUnreadable, match="holds no run"):
        Run(str(tmp_path))


def test_a_configuration_or_measure_that_a_run_lacks_is_named_with_those_it_has(tmp_path, made_run):
    made_run(tmp_path / "run" / "made.json", VALUES)
    run = Run(f"{tmp_path / 'run'}:dense")

    with pytest.raises(RunUnreadable, match="no configuration 'dense'; it has 'lexical', 'hybrid'"):
        run.chosen(next(run.sets()))
    with pytest.raises(RunUnreadable, match=r"no 'P@5'; it has nDCG@10, R@10"):
        next(run.sets()).values("hybrid", "P@5")


def test_two_files_of_one_set_in_a_run_are_refused(tmp_path, made_run):
    made_run(tmp_path / "a.json", VALUES)
    made_run(tmp_path / "b.json", VALUES)

    with pytest.raises(RunUnreadable, match=r"holds the set 'made' twice \(a\.json, b\.json\)"):
        _ = Run(str(tmp_path)).places


def test_a_run_is_named_by_folder_or_file_with_or_without_a_configuration(tmp_path, made_run):
    file = made_run(tmp_path / "run" / "made.json", VALUES)

    for argument, chosen in (
        (f"{file}", "hybrid"),
        (f"{file}:lexical", "lexical"),
        (f"{file.parent}", "hybrid"),
        (f"{file.parent}:lexical", "lexical"),
    ):
        run = Run(argument)
        assert run.chosen(next(run.sets())) == chosen


def test_the_only_configuration_needs_no_name(tmp_path, made_run):
    run = Run(str(made_run(tmp_path / "made.json", {"lexical": {"q1": 0.5}})))

    assert run.chosen(next(run.sets())) == "lexical"


def test_a_run_is_never_mixed_with_another(tmp_path, made_run):
    made_run(tmp_path / "before" / "made.json", VALUES)

    with pytest.raises(UsageError, match="before is not empty"):
        new_run_folder(tmp_path, tmp_path / "before")
    assert new_run_folder(tmp_path, tmp_path / "after") == tmp_path / "after"
    assert len({new_run_folder(tmp_path / "cache", None) for _ in range(5)}) == 5


def test_two_sets_of_one_name_get_files_of_their_own(tmp_path):
    first = free_file(tmp_path, "xquad:zh")
    first.touch()

    assert (first.name, free_file(tmp_path, "xquad:zh").name) == ("xquad-zh.json", "xquad-zh-2.json")


def test_what_was_written_is_read_again_and_nothing_half_written_stays(tmp_path, made_run):
    file = made_run(tmp_path / "made.json", VALUES)
    found = read_run(file)
    write_run(found, tmp_path / "again.json")

    assert json.loads(file.read_text())["by_question"]["hybrid"]["q1"]["nDCG@10"] == 1.0
    assert read_run(tmp_path / "again.json").by_question == found.by_question
    assert sorted(one.name for one in tmp_path.iterdir()) == ["again.json", "made.json"]


def test_a_measure_of_answers_is_read_of_the_questions_that_have_it(tmp_path, made_run):
    path = made_run(tmp_path / "one.json", {"hybrid": {"q1": 1.0, "q2": 0.5}})
    measures = {"hybrid": {"q1": {"citation_recall": 0.5, "token_f1": 0.25}, "u1": {"citation_recall": 1.0}}}
    found = read_run(path).model_copy(update={"answer_measures": measures})

    assert found.values("hybrid", "citation_recall") == {"q1": 0.5, "u1": 1.0}
    assert found.values("hybrid", "token_f1") == {"q1": 0.25}
    assert found.values("hybrid", "nDCG@10") == {"q1": 1.0, "q2": 0.5}
    with pytest.raises(RunUnreadable, match="it has nDCG@10, R@10, R@100, RR@10, citation_recall, token_f1"):
        found.values("hybrid", "recall")
