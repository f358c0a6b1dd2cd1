"""Runs are compared on the same questions or not at all, and what differs is named."""

from __future__ import annotations

import pytest

from evaluation.comparison import compare_runs
from evaluation.errors import RunsDiffer
from evaluation.runs import Run, read_run, write_run

OLD = {f"q{number}": 0.2 for number in range(12)}
BETTER = dict.fromkeys(OLD, 0.4)


def runs(tmp_path, made_run, old, new, **changes):
    made_run(tmp_path / "old" / "made.json", {"hybrid": old})
    made_run(tmp_path / "new" / "made.json", {"hybrid": new}, **changes)
    return Run(str(tmp_path / "old")), Run(str(tmp_path / "new"))


def test_questions_that_only_one_run_has_are_named_and_left_out_only_when_asked(tmp_path, made_run):
    fewer = {question: value for question, value in BETTER.items() if question != "q3"} | {"extra": 0.9}
    pair = runs(tmp_path, made_run, OLD, fewer)

    with pytest.raises(RunsDiffer) as caught:
        compare_runs(*pair)
    (found,) = compare_runs(*pair, common=True)

    assert "1 only in the baseline (q3); 1 only in the candidate (extra)" in str(caught.value)
    assert "11 common ones with --common" in str(caught.value)
    assert (found.difference.questions, found.left_out) == (11, 2)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"queries": {one: "another text" if one == "q5" else f"text of {one}" for one in OLD}}, "another text (q5)"),
        ({"qrels": {one: {"right": 2 if one == "q7" else 1} for one in OLD}}, "other judgements (q7)"),
    ],
)
def test_a_question_of_the_same_id_that_is_another_one_is_not_compared(tmp_path, made_run, changes, says):
    pair = runs(tmp_path, made_run, OLD, BETTER, **changes)

    with pytest.raises(RunsDiffer) as caught:
        compare_runs(*pair)

    assert says in str(caught.value)
    assert compare_runs(*pair, common=True)[0].difference.questions == 11


def test_runs_without_a_common_question_or_set_are_refused_even_when_asked(tmp_path, made_run):
    pair = runs(tmp_path, made_run, OLD, {"other": 1.0})
    with pytest.raises(RunsDiffer, match="no question of made in common"):
        compare_runs(*pair, common=True)

    made_run(tmp_path / "else" / "x.json", {"hybrid": OLD}, name="else")
    with pytest.raises(RunsDiffer, match=r"different sets: only in .*old: made; only in .*else: else"):
        compare_runs(pair[0], Run(str(tmp_path / "else")), common=True)


def test_a_run_is_not_compared_with_itself(tmp_path, made_run):
    run = str(made_run(tmp_path / "made.json", {"hybrid": OLD, "lexical": BETTER}))

    with pytest.raises(RunsDiffer, match="both sides are 'hybrid'"):
        compare_runs(Run(run), Run(f"{run}:hybrid"))
    assert compare_runs(Run(run), Run(f"{run}:lexical"))[0].difference.difference == pytest.approx(0.2)


def test_p_is_adjusted_over_the_sets(tmp_path, made_run):
    for name in ("one", "two", "three"):
        made_run(tmp_path / "run" / f"{name}.json", {"lexical": OLD, "hybrid": BETTER}, name=name)

    found = compare_runs(Run(f"{tmp_path / 'run'}:lexical"), Run(f"{tmp_path / 'run'}:hybrid"))

    assert [one.set for one in found] == ["one", "three", "two"]
    for one in found:
        assert one.p_holm == pytest.approx(3 * one.difference.p)
        assert (one.difference.wins, one.baseline, one.candidate) == (12, "lexical", "hybrid")


def test_machines_get_every_figure(tmp_path, made_run):
    (found,) = compare_runs(*runs(tmp_path, made_run, OLD, BETTER | {"q0": 0.1}))

    told = found.as_json()

    assert told["set"] == "made"
    assert told["baseline"] == {"name": "hybrid", "mean": pytest.approx(0.2)}
    assert told["difference"] == pytest.approx((11 * 0.2 - 0.1) / 12)
    assert (told["wins"], told["losses"], told["ties"]) == (11, 1, 0)
    assert told["p"] <= told["p_holm"] < 0.05
    assert told["smallest_detectable_difference"] > 0
    assert told["effect_size"] > 1


def with_answers(path, measures):
    """The run file at `path`, with these measures of answers of its configuration hybrid."""
    write_run(read_run(path).model_copy(update={"answer_measures": {"hybrid": measures}}), path)
    return Run(str(path))


def test_answers_are_compared_on_the_questions_that_both_answered(tmp_path, made_run):
    values = {"hybrid": dict.fromkeys(("q1", "q2", "q3"), 1.0)}
    old = with_answers(
        made_run(tmp_path / "old.json", values),
        {"q1": {"token_f1": 0.2}, "q2": {"token_f1": 0.4}, "u1": {"token_f1": 1}},
    )
    new = with_answers(made_run(tmp_path / "new.json", values), {"q2": {"token_f1": 0.5}, "q3": {"token_f1": 0.9}})

    (found,) = compare_runs(old, new, measure="token_f1")

    assert (found.difference.questions, found.left_out) == (1, 2)
    assert found.difference.difference == pytest.approx(0.1)


def test_runs_that_answered_no_question_both_cannot_be_compared_by_answers(tmp_path, made_run):
    values = {"hybrid": dict.fromkeys(("q1", "q2"), 1.0)}
    old = with_answers(made_run(tmp_path / "old.json", values), {"q1": {"token_f1": 0.2}})
    new = with_answers(made_run(tmp_path / "new.json", values), {"q2": {"token_f1": 0.5}})

    with pytest.raises(RunsDiffer, match="no question of made has 'token_f1' in both runs"):
        compare_runs(old, new, measure="token_f1")
