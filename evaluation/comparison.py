"""Comparing two measured configurations, set by set: the questions are matched, then the values compared in pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from evaluation.errors import RunsDiffer
from evaluation.runs import Run, RunFile, read_run
from evaluation.significance import PERMUTATIONS, SEED, Difference, holm, paired_difference

MEASURE = "nDCG@10"
_NAMED = 3  # questions named in a message


@dataclass(frozen=True, slots=True)
class SetComparison:
    """Two configurations on one set.

    Args:
        set: its name.
        baseline, candidate: the configurations' names.
        difference: candidate less baseline.
        p_holm: its p, adjusted for all comparisons made together.
        left_out: questions that only one run has, has otherwise, or has a figure for (as of answers, where only one
            answered).
    """

    set: str
    baseline: str
    candidate: str
    difference: Difference
    p_holm: float
    left_out: int = 0

    def as_json(self) -> dict[str, Any]:
        """One flat object."""
        found = asdict(self.difference)
        figures = {
            name: found[name] for name in ("questions", "difference", "effect_size", "p", "wins", "losses", "ties")
        }
        return {
            "set": self.set,
            "baseline": {"name": self.baseline, "mean": found["baseline"]},
            "candidate": {"name": self.candidate, "mean": found["candidate"]},
            **figures,
            "p_holm": self.p_holm,
            "smallest_detectable_difference": found["detectable"],
            "left_out": self.left_out,
        }


def compare_runs(
    baseline: Run,
    candidate: Run,
    *,
    measure: str = MEASURE,
    common: bool = False,
    permutations: int = PERMUTATIONS,
    seed: int = SEED,
) -> list[SetComparison]:
    """Candidate against baseline on every set; p adjusted over the sets.

    Args:
        measure: of rankings, or of answers: then on the judged questions that both answered.
        common: compare on the sets and questions that both have, instead of refusing where they differ.

    Raises:
        RunsDiffer: sets or questions differ (or nothing is common), or both are the same.
        RunUnreadable: a run cannot be read, or lacks the configuration or measure.
    """
    sets = _sets(baseline, candidate, common=common)
    found = []
    for name in sets:
        old, new = read_run(baseline.places[name]), read_run(candidate.places[name])
        names = baseline.chosen(old), candidate.chosen(new)
        if (old.results_file, names[0]) == (new.results_file, names[1]):
            raise RunsDiffer(
                f"both sides are {names[0]!r} of {old.results_file}.",
                fix="Name two configurations: RUN:lexical RUN:hybrid.",
            )
        questions, left_out = matched(old, new, common=common)
        pairs = old.values(names[0], measure), new.values(names[1], measure)
        asked = len(questions)
        questions = [one for one in questions if one in pairs[0] and one in pairs[1]]
        left_out += asked - len(questions)
        if not questions:
            raise RunsDiffer(f"no question of {name} has {measure!r} in both runs.")
        difference = paired_difference(
            [pairs[0][one] for one in questions],
            [pairs[1][one] for one in questions],
            permutations=permutations,
            seed=seed,
        )
        found.append((name, *names, difference, left_out))
    adjusted = holm([one[3].p for one in found])
    return [
        SetComparison(name, old_name, new_name, difference, p, left_out)
        for (name, old_name, new_name, difference, left_out), p in zip(found, adjusted, strict=True)
    ]


def compare_measured(
    set_name: str,
    baseline: tuple[str, Mapping[str, float]],
    candidates: Sequence[tuple[str, Mapping[str, float]]],
    *,
    permutations: int = PERMUTATIONS,
    seed: int = SEED,
) -> Iterator[tuple[str, str, Difference]]:
    """(set, candidate, difference) of configurations that were asked the very same questions."""
    name, old = baseline
    for candidate, new in candidates:
        if old.keys() != new.keys():
            raise RunsDiffer(f"{name!r} and {candidate!r} were not asked the same questions of {set_name}.")
        values = [old[one] for one in old], [new[one] for one in old]
        yield set_name, candidate, paired_difference(*values, permutations=permutations, seed=seed)


def matched(old: RunFile, new: RunFile, *, common: bool) -> tuple[list[str], int]:
    """(questions to compare on, how many were left out). Questions match by id, text and judgements.

    Raises RunsDiffer where some do not, unless `common`; and where none do.
    """
    only_old = [one for one in old.queries if one not in new.queries]
    only_new = [one for one in new.queries if one not in old.queries]
    both = [one for one in old.queries if one in new.queries]
    other_text = [one for one in both if old.queries[one] != new.queries[one]]
    same_text = [one for one in both if old.queries[one] == new.queries[one]]
    other_grades = [one for one in same_text if old.qrels.get(one) != new.qrels.get(one)]
    kept = [one for one in same_text if old.qrels.get(one) == new.qrels.get(one)]
    complaints = [
        f"{len(ids)} {what} ({_some(ids)})"
        for ids, what in (
            (only_old, "only in the baseline"),
            (only_new, "only in the candidate"),
            (other_text, "with another text"),
            (other_grades, "with other judgements"),
        )
        if ids
    ]
    if complaints and not common:
        raise RunsDiffer(
            f"the questions of {old.set} differ: {'; '.join(complaints)}.",
            fix=f"Measure both on the same questions, or compare on the {len(kept)} common ones with --common.",
        )
    if not kept:
        raise RunsDiffer(
            f"the runs have no question of {old.set} in common: {'; '.join(complaints) or 'both are empty'}."
        )
    return kept, len(only_old) + len(only_new) + len(other_text) + len(other_grades)


def _sets(baseline: Run, candidate: Run, *, common: bool) -> list[str]:
    only_old = [one for one in baseline.places if one not in candidate.places]
    only_new = [one for one in candidate.places if one not in baseline.places]
    both = [one for one in baseline.places if one in candidate.places]
    complaints = [
        f"only in {run.path}: {', '.join(names)}"
        for names, run in ((only_old, baseline), (only_new, candidate))
        if names
    ]
    if complaints and (not common or not both):
        fix = "Name runs of the same sets" + (", or compare on the common ones with --common." if both else ".")
        raise RunsDiffer(f"the runs measure different sets: {'; '.join(complaints)}.", fix=fix)
    return both


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:_NAMED]) + (", ..." if len(ids) > _NAMED else "")
