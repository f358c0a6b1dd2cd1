"""What a report says of one set: figures, pictures, and what lost most; plain values for the templates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evaluation.answer_figures import written_beside
from evaluation.comparison import matched
from evaluation.errors import RunUnreadable
from evaluation.measures import RANKING, percentile
from evaluation.pictures import (
    Bars,
    Point,
    RiskCoverage,
    Scatter,
    Verdict,
    bars,
    risk_coverage_picture,
    scatter,
)
from evaluation.refusals import Refusals, Weighed, risk_coverage
from evaluation.runs import RunFile
from evaluation.significance import ALPHA, Difference, holm, paired_difference

LOST = 5
"""Questions shown of those that lost most."""

LISTED = 5
"""Documents shown of a ranking."""

WIDE, NARROW = (760, 400), (350, 340)
"""Width and height of the scatter, pixels: on a desk and on a phone."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One measured configuration of a set, by the label that the page calls it by."""

    label: str
    configuration: str
    run: RunFile


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the figures. `difference` and `p` are against the baseline, None on its own line."""

    label: str
    changes: dict[str, Any]
    means: dict[str, float]
    p50_ms: float | None
    p99_ms: float | None
    verdict: Verdict
    difference: Difference | None = None
    p: float | None = None
    degraded: int = 0


@dataclass(frozen=True, slots=True)
class Listed:
    """A document in a ranking. `grade` is 0 where it is not relevant; `other_rank` where the other side has it."""

    rank: int
    document_id: str
    title: str
    snippet: str
    grade: int
    other_rank: int | None


@dataclass(frozen=True, slots=True)
class Lost:
    """A question that lost: its values, both rankings, and where each side has its relevant documents."""

    question_id: str
    text: str
    baseline: float
    candidate: float
    before: list[Listed]
    after: list[Listed]
    relevant: list[Listed]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One configuration against the baseline, question by question."""

    row: Row
    picture: Bars
    lost: list[Lost]
    left_out: int


@dataclass(frozen=True, slots=True)
class RefusalsPicture:
    """When one run refused: the curve, and its figures."""

    wide: RiskCoverage
    narrow: RiskCoverage
    figures: dict[str, float]


@dataclass(frozen=True, slots=True)
class SetPage:
    """One set of the report."""

    name: str
    questions: int
    documents: int
    passages: int
    baseline: str
    rows: list[Row]
    wide: Scatter | None
    narrow: Scatter | None
    candidates: list[Candidate]
    answers: list[tuple[str, list[tuple[str, Any, Any]]]]
    refusals: list[tuple[str, RefusalsPicture]]


def set_page(entries: Sequence[Entry], baseline: str, measure: str) -> SetPage:
    """The page of one set; p is adjusted over its rows.

    Raises RunUnreadable where the baseline or the measure is missing, RunsDiffer where no question is common.
    """
    base = next((one for one in entries if one.label == baseline), None)
    if base is None:
        labels = ", ".join(repr(one.label) for one in entries)
        raise RunUnreadable(
            f"{entries[0].run.set} has no {baseline!r} to compare with; it has {labels}.",
            fix="Name one of them with --baseline.",
        )
    old = base.run.values(base.configuration, measure)
    compared = []
    for one in entries:
        if one is base:
            continue
        questions, left_out = matched(base.run, one.run, common=True)
        new = one.run.values(one.configuration, measure)
        difference = paired_difference([old[key] for key in questions], [new[key] for key in questions])
        compared.append((one, questions, left_out, new, difference))
    adjusted = holm([difference.p for *_, difference in compared])
    rows = {base.label: _row(base, "baseline")}
    candidates = []
    largest = max((abs(new[key] - old[key]) for _, questions, _, new, _ in compared for key in questions), default=0.0)
    for (one, questions, left_out, new, difference), p in zip(compared, adjusted, strict=True):
        rows[one.label] = _row(one, _verdict(difference, p), difference, p)
        ordered = sorted(questions, key=lambda key: (new[key] - old[key], key))
        lost = [_lost(key, base, one, old[key], new[key]) for key in ordered[:LOST] if new[key] < old[key]]
        picture = bars([new[key] - old[key] for key in questions], largest=largest)
        candidates.append(Candidate(rows[one.label], picture, lost, left_out))
    listed = [rows[one.label] for one in entries]
    points = [Point(one.label, one.means[measure], one.p50_ms, one.verdict) for one in listed if one.p50_ms is not None]
    run = base.run
    return SetPage(
        name=run.set,
        questions=len(run.queries),
        documents=run.documents,
        passages=run.passages,
        baseline=base.label,
        rows=listed,
        wide=scatter(points, width=WIDE[0], height=WIDE[1]) if points else None,
        narrow=scatter(points, width=NARROW[0], height=NARROW[1]) if points else None,
        candidates=candidates,
        answers=_answers(entries),
        refusals=_refusals(entries),
    )


def _row(entry: Entry, verdict: Verdict, difference: Difference | None = None, p: float | None = None) -> Row:
    run, name = entry.run, entry.configuration
    by_question = run.by_question[name].values()
    totals = [times["total"] for times in run.latency_by_question.get(name, {}).values() if "total" in times]
    return Row(
        label=entry.label,
        changes=run.configurations[name].changes,
        means={measure: sum(one[measure] for one in by_question) / max(len(by_question), 1) for measure in RANKING},
        p50_ms=percentile(totals, 50) if totals else None,
        p99_ms=percentile(totals, 99) if totals else None,
        verdict=verdict,
        difference=difference,
        p=p,
        degraded=int(run.modes.get(name, {}).get("degraded", 0)),
    )


def _verdict(difference: Difference, p: float) -> Verdict:
    if p >= ALPHA:
        return "level"
    return "better" if difference.difference > 0 else "worse"


def _lost(key: str, base: Entry, other: Entry, old: float, new: float) -> Lost:
    before = base.run.rankings[base.configuration].get(key, [])
    after = other.run.rankings[other.configuration].get(key, [])
    grades = base.run.qrels.get(key, {})
    relevant = sorted(grades, key=lambda one: (-grades[one], one))[:LISTED]
    shown = {**other.run.texts, **base.run.texts}

    def listed(document_id: str, ranking: Sequence[str], counterpart: Sequence[str]) -> Listed:
        text = shown.get(document_id)
        return Listed(
            rank=_rank(document_id, ranking) or 0,
            document_id=document_id,
            title=text.title if text else "",
            snippet=text.snippet if text else "",
            grade=grades.get(document_id, 0),
            other_rank=_rank(document_id, counterpart),
        )

    return Lost(
        question_id=key,
        text=base.run.queries[key],
        baseline=old,
        candidate=new,
        before=[listed(one, before, after) for one in before[:LISTED]],
        after=[listed(one, after, before) for one in after[:LISTED]],
        relevant=[listed(one, before, after) for one in relevant],
    )


def _rank(document_id: str, ranking: Sequence[str]) -> int | None:
    return ranking.index(document_id) + 1 if document_id in ranking else None


def _answers(entries: Sequence[Entry]) -> list[tuple[str, list[tuple[str, Any, Any]]]]:
    """(label, figures as answers left and as a model wrote them) of every configuration that answered."""
    found = [(one.label, one.run.modes.get(one.configuration, {}).get("answers")) for one in entries]
    return [(label, written_beside(figures)) for label, figures in found if figures]


def _refusals(entries: Sequence[Entry]) -> list[tuple[str, RefusalsPicture]]:
    """(label of the run's first configuration, picture) of every run that weighed its questions."""
    found: dict[str, tuple[str, RefusalsPicture]] = {}
    for one in entries:
        kept, run = one.run.refusals_by_question, one.run
        if kept and run.refusals is not None and run.results_file not in found:
            weighed = {key: Weighed(**value) for key, value in kept.items()}
            picture = _refusals_picture(Refusals(weighed, run.refusals["abstain_below"]))
            found[run.results_file] = (one.label, picture)
    return list(found.values())


def _refusals_picture(found: Refusals) -> RefusalsPicture:
    asked = list(found.by_question.values())
    labels = [one.answerable for one in asked]
    curves = [
        ("sufficiency", risk_coverage([one.sufficiency for one in asked], labels)),
        ("best passage's cosine", risk_coverage([one.plain for one in asked], labels)),
    ]
    answered = [one for one in asked if one.sufficiency >= found.abstain_below]
    wrong = sum(not one.answerable for one in answered)
    in_force = (len(answered) / len(asked), wrong / len(answered)) if answered else None
    wide, narrow = (risk_coverage_picture(curves, in_force, width=size[0], height=size[1]) for size in (WIDE, NARROW))
    return RefusalsPicture(wide, narrow, found.figures())
