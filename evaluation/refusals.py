"""How well refusing is decided: every question's sufficiency, beside the plain score of its best passage.

Risk is the share of answered questions that cannot be answered, coverage the share of questions answered, at every
threshold (El-Yaniv and Wiener, "On the Foundations of Noise-free Selective Classification", JMLR 2010); the area under
that curve is AURC (Geifman, Uziel and El-Yaniv, ICLR 2019), the smaller the better.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from evaluation.measures import binary_auroc
from evaluation.retrieval import question_of
from evaluation.sets import QuestionSet
from service.answer import sources_of
from service.budget import Deadline
from service.contract import Result
from service.engine import Engine
from service.evidence import rank_sentences, signals, sufficiency

WRONG_MAX = 0.1
"""Wrong refusals allowed where one figure must stand for a curve: a share of the answerable questions."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """What one question's passages are worth.

    Args:
        answerable: whether they hold an answer.
        sufficiency: the estimated probability of that.
        plain: the cosine of the best passage, which refusing could go by instead; 0 without a dense leg.
    """

    answerable: bool
    sufficiency: float
    plain: float


@dataclass(frozen=True, slots=True)
class Refusals:
    """All questions of a set, and the threshold that is in force."""

    by_question: dict[str, Weighed]
    abstain_below: float

    def figures(self) -> dict[str, float]:
        """Areas, and what is refused at WRONG_MAX wrong refusals (chosen on these very questions: what a curve shows,
        not what a threshold kept beforehand would do) and at the threshold in force.
        """
        asked = list(self.by_question.values())
        labels = [one.answerable for one in asked]
        right = [one.sufficiency for one in asked]
        found = {"abstain_below": self.abstain_below}
        for name, scores in (("", right), ("plain_", [one.plain for one in asked])):
            found[f"{name}auroc"] = binary_auroc(scores, labels)
            found[f"{name}aurc"] = aurc(scores, labels)
            found[f"{name}refused_at_{WRONG_MAX:.0%}_wrong"] = refused_within(scores, labels, WRONG_MAX)
        for name, kind in (("refused_unanswerable", False), ("refused_answerable", True)):
            of_kind = [score < self.abstain_below for score, label in zip(right, labels, strict=True) if label is kind]
            found[name] = sum(of_kind) / max(len(of_kind), 1)
        return found


async def measure_refusals(questions: QuestionSet, engine: Engine, advance: Callable[[], None]) -> Refusals:
    """Weigh every question of a set; those without an `answerable` flag count as answerable."""
    found = {}
    for one in questions.questions:
        question = question_of(one, "hybrid", engine.answer_passages)
        results = await sources_of(question, engine, Deadline(engine.clock, None))
        found[one.id] = Weighed(one.answerable is not False, *await weigh(question.text, results, engine))
        advance()
    return Refusals(found, engine.abstain_below)


async def weigh(question: str, results: Sequence[Result], engine: Engine) -> tuple[float, float]:
    """(sufficiency, the best passage's cosine) of these results; 0 without any, since then nothing is answered."""
    if not results:
        return 0.0, 0.0
    weights = await engine.snapshot.term_weights(question)
    ranked = await asyncio.to_thread(rank_sentences, question, results, engine.analyzer, engine.encoder)
    found = signals(question, results, ranked, weights, engine.analyzer)
    return sufficiency(found), max(one.scores.dense or 0.0 for one in results)


def risk_coverage(scores: Sequence[float], answerable: Sequence[bool]) -> list[tuple[float, float]]:
    """(coverage, risk) at every threshold, from the strictest; equal scores are answered together."""
    points = []
    answered = wrong = 0
    for _, group in groupby(sorted(zip(scores, answerable, strict=True), key=lambda one: -one[0]), lambda one: one[0]):
        for _, can_be in group:
            answered += 1
            wrong += not can_be
        points.append((answered / len(scores), wrong / answered))
    return points


def aurc(scores: Sequence[float], answerable: Sequence[bool]) -> float:
    """The mean risk over coverage, each threshold counted by the questions it adds."""
    area = before = 0.0
    for coverage, risk in risk_coverage(scores, answerable):
        area += (coverage - before) * risk
        before = coverage
    return area


def refused_within(scores: Sequence[float], answerable: Sequence[bool], wrong_max: float) -> float:
    """The share of unanswerable questions under the highest threshold that refuses at most `wrong_max` of the others;
    0 where there are none of one kind.
    """
    kept = sorted(score for score, can_be in zip(scores, answerable, strict=True) if can_be)
    others = [score for score, can_be in zip(scores, answerable, strict=True) if not can_be]
    if not kept or not others:
        return 0.0
    below = kept[min(int(wrong_max * len(kept) + 1e-9), len(kept) - 1)]
    return sum(score < below for score in others) / len(others)
