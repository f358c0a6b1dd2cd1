"""Measures: ranking quality by ir-measures, and percentiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

RANKING = ("nDCG@10", "R@10", "R@100", "RR@10")

Ranking = Mapping[str, float]
"""Document id -> score."""


def ranking_measures(
    qrels: Mapping[str, Mapping[str, int]], runs: Mapping[str, Ranking]
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """(mean of each measure, each measure by question) as trec_eval defines them; graded where the qrels are.

    A question without results counts as 0. Equal scores (to trec_eval those equal as float32) are ranked by document
    id, the last one first, as trec_eval does. RR@10 is its reciprocal rank where that is not below 1/10: ir-measures
    takes RR with a cutoff from another program, which ranks equal scores the other way round.
    """
    import ir_measures

    measures = [ir_measures.parse_measure(name) for name in ("nDCG@10", "R@10", "R@100", "RR")]
    run = {question: dict(ranking) for question, ranking in runs.items()}
    judged = {question: dict(grades) for question, grades in qrels.items() if question in runs}
    by_question: dict[str, dict[str, float]] = {question: dict.fromkeys(RANKING, 0.0) for question in judged}
    for value in ir_measures.iter_calc(measures, judged, run):
        found = float(value.value)
        if value.measure.NAME == "RR":
            by_question[value.query_id]["RR@10"] = found if found >= 1 / 10 else 0.0
        else:
            by_question[value.query_id][str(value.measure)] = found
    means = {name: sum(one[name] for one in by_question.values()) / max(len(by_question), 1) for name in RANKING}
    return means, by_question


def best_passage_ranking(results: Sequence[tuple[str, float]]) -> dict[str, float]:
    """Documents scored by their best passage: (document id, score) pairs in rank order to a ranking.

    Scores are replaced by falling rank numbers, so that no tie is broken differently than the service broke it.
    """
    order = list(dict.fromkeys(document for document, _ in results))
    return {document: float(len(order) - position) for position, document in enumerate(order)}


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which `percent` of the values lie (nearest rank); NaN without values."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(percent / 100 * len(ordered) + 0.5) - 1))]


def binary_auroc(scores: Sequence[float], labels: Sequence[bool]) -> float:
    """Area under the ROC curve by ranks, ties counted half."""
    positive = [score for score, label in zip(scores, labels, strict=True) if label]
    negative = sorted(score for score, label in zip(scores, labels, strict=True) if not label)
    if not positive or not negative:
        return float("nan")
    import bisect

    below = [bisect.bisect_left(negative, score) for score in positive]
    not_above = [bisect.bisect_right(negative, score) for score in positive]
    wins = (sum(below) + sum(not_above)) / 2
    return wins / (len(positive) * len(negative))
