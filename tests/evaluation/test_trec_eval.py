"""The measures are trec_eval's, to 1e-9, on runs full of ties; and what their formulas say."""

from __future__ import annotations

import math
import random

import pytest
import pytrec_eval

from evaluation.measures import RANKING, ranking_measures

TREC_NAMES = {"nDCG@10": "ndcg_cut_10", "R@10": "recall_10", "R@100": "recall_100"}


def random_run(seed):
    """(qrels, run): graded judgements, tied scores, questions without results, without hits, and with few documents."""
    chance = random.Random(seed)
    documents = [f"d{number}" for number in range(chance.choice([3, 15, 300]))]
    levels = chance.choice([1, 2, 5, 50])  # how many different scores there are
    qrels, run = {}, {}
    for number in range(12):
        judged = chance.sample(documents, chance.randint(1, min(len(documents), 20)))
        qrels[f"q{number}"] = {one: chance.choice([0, 1, 1, 2, 3]) for one in judged} | {judged[0]: 1}
        found = chance.sample(documents, chance.randint(0, min(len(documents), 150)))
        run[f"q{number}"] = {one: chance.randint(-levels, levels) / 8 for one in found}
    run["q0"] = {}
    return qrels, run


def trec_order(ranking):
    """Documents as trec_eval ranks them: falling scores, and falling ids where scores are equal."""
    return [one for _, one in sorted(((score, one) for one, score in ranking.items()), reverse=True)]


def by_definition(grades, ranking):
    """The four measures of one question from their formulas alone."""
    order = trec_order(ranking)
    relevant = {one for one, grade in grades.items() if grade > 0}
    gained = sum(grades.get(one, 0) / math.log2(rank + 1) for rank, one in enumerate(order[:10], 1))
    best = sorted(grades.values(), reverse=True)[:10]
    ideal = sum(grade / math.log2(rank + 1) for rank, grade in enumerate(best, 1))
    return {
        "nDCG@10": gained / ideal,
        "R@10": len(relevant & set(order[:10])) / len(relevant),
        "R@100": len(relevant & set(order[:100])) / len(relevant),
        "RR@10": max((1 / rank for rank, one in enumerate(order[:10], 1) if one in relevant), default=0.0),
    }


@pytest.mark.parametrize("seed", range(40))
def test_measures_are_trec_eval_s_on_runs_with_ties(seed):
    qrels, run = random_run(seed)

    _, found = ranking_measures(qrels, run)

    evaluator = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "recall.10,100", "recip_rank"})
    asked = evaluator.evaluate(run)
    first_ten = {question: {one: ranking[one] for one in trec_order(ranking)[:10]} for question, ranking in run.items()}
    ranks = evaluator.evaluate(first_ten)
    for question in qrels:
        for ours, theirs in TREC_NAMES.items():
            expected = asked[question][theirs] if question in asked else 0.0
            assert found[question][ours] == pytest.approx(expected, abs=1e-9)
        expected = ranks[question]["recip_rank"] if question in ranks else 0.0
        assert found[question]["RR@10"] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(40))
def test_measures_are_what_their_formulas_say(seed):
    qrels, run = random_run(seed)

    means, found = ranking_measures(qrels, run)

    expected = {question: by_definition(grades, run[question]) for question, grades in qrels.items()}
    for question, measures in expected.items():
        assert found[question] == pytest.approx(measures, abs=1e-9)
    for name in RANKING:
        assert means[name] == pytest.approx(sum(one[name] for one in expected.values()) / len(expected), abs=1e-9)


def test_equal_scores_are_ranked_by_falling_id_in_every_measure():
    run = {"q": dict.fromkeys(["a", "b", "c"], 1.0)}

    _, found = ranking_measures({"q": {"a": 1}}, run)

    assert found["q"]["RR@10"] == pytest.approx(1 / 3)
    assert found["q"]["nDCG@10"] == pytest.approx(1 / 2)


def test_a_first_hit_at_rank_ten_counts_and_one_at_rank_eleven_does_not():
    run = {"q": {f"d{rank:02}": -float(rank) for rank in range(1, 21)}}

    found = {hit: ranking_measures({"q": {hit: 1}}, run)[1]["q"]["RR@10"] for hit in ("d10", "d11")}

    assert found == {"d10": pytest.approx(0.1), "d11": 0.0}
