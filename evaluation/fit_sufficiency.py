"""Fits the sufficiency model of `service/evidence.py` on a question set that says which questions can be answered.

    python -m evaluation.fit_sufficiency corpus/calibration --index data/index

prints the weights to put there, and by ten-fold cross-validation what each threshold would refuse. Never run it on the
set that refusals are reported on.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evaluation.measures import binary_auroc
from evaluation.retrieval import question_of
from evaluation.sets import QuestionSet, read_set
from service.answer import sources_of
from service.budget import Deadline
from service.engine import Engine
from service.evidence import rank_sentences, signals
from service.settings import ServiceSettings
from service.wiring import Service

Floats = npt.NDArray[np.float64]
RIDGE = 1.0


async def collect(questions: QuestionSet, engine: Engine) -> tuple[Floats, Floats]:
    """(signals, shape (n, 4); 1.0 where answerable, shape (n,)) of every question."""
    rows, labels = [], []
    for one in questions.questions:
        question = question_of(one, "hybrid", engine.answer_passages)
        results = await sources_of(question, engine, Deadline(engine.clock, None))
        weights = await engine.snapshot.term_weights(question.text)
        ranked = rank_sentences(question.text, results, engine.analyzer, engine.encoder)
        rows.append(signals(question.text, results, ranked, weights, engine.analyzer))
        labels.append(float(one.answerable is not False))
    return np.array(rows), np.array(labels)


def fit(features: Floats, labels: Floats) -> Floats:
    """Weights of a logistic regression, intercept first, by Newton's method; ridge on standardised features."""
    mean = features.mean(0)
    design = np.c_[np.ones(len(features)), features - mean]
    ridge = np.diag(np.r_[0.0, RIDGE * features.std(0) ** 2])
    weights = np.zeros(design.shape[1])
    for _ in range(50):
        chance = 1 / (1 + np.exp(-design @ weights))
        gradient = design.T @ (chance - labels) + ridge @ weights
        curvature = design.T @ (design * (chance * (1 - chance))[:, None]) + ridge
        weights = weights - np.linalg.solve(curvature, gradient)
    shifted: Floats = np.r_[weights[0] - weights[1:] @ mean, weights[1:]]
    return shifted


def cross_validated(features: Floats, labels: Floats, *, folds: int = 10, repeats: int = 5) -> Floats:
    """Each question's probability by models that did not see it, averaged over shuffles."""
    result = np.zeros(len(labels))
    for seed in range(repeats):
        fold = np.random.default_rng(seed).permutation(len(labels)) % folds
        for held in range(folds):
            weights = fit(features[fold != held], labels[fold != held])
            linear = weights[0] + features[fold == held] @ weights[1:]
            result[fold == held] += 1 / (1 + np.exp(-linear)) / repeats
    return result


def main() -> None:
    """Print the weights and what thresholds would do."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set")
    parser.add_argument("--index", type=Path, default=Path("data/index"))
    given = parser.parse_args()
    service = Service(ServiceSettings(index=given.index, budgets=False).without_caches())
    try:
        service.reload()
        with service.holder.lease() as engine:
            features, labels = asyncio.run(collect(read_set(given.set), engine))
    finally:
        service.close()
    chances = cross_validated(features, labels)
    write = sys.stdout.write
    write(f"{len(labels)} questions; cross-validated AUROC {binary_auroc(list(chances), list(labels == 1)):.3f}\n")
    write("threshold  refused of unanswerable  refused of answerable\n")
    for threshold in (0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7):
        wrong, right = (chances[labels == 1] < threshold).mean(), (chances[labels == 0] < threshold).mean()
        write(f"{threshold:9.2f}  {right:23.3f}  {wrong:21.3f}\n")
    write(f"_WEIGHTS = ({', '.join(f'{weight:.3f}' for weight in fit(features, labels))})\n")


if __name__ == "__main__":
    main()
