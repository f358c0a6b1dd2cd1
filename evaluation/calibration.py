"""How an index's legs should be weighed, found out without anybody's questions or judgements.

Each leg is asked pseudo-questions (`evaluation.pseudo_questions`) made of the index's own passages. These share more
words with their passage than people's questions do, so what they say is believed by half (`dense_weight`).
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evaluation.pseudo_questions import PseudoQuestion, pseudo_questions
from indexer.progress import Progress
from store.analyzer import Analyzer
from store.calibration import Calibration
from store.embedding import QueryEncoder, Vectors
from store.exact import bm25
from store.fusion import DENSE_WEIGHT
from store.local import LocalSnapshot
from store.snapshot import Hit, LegQuery, Principals

QUESTIONS = 250
QUESTIONS_MIN = 40
"""Fewer say too little: the default weight stays."""

DENSE_WEIGHT_MAX = 0.9
TRUST = 0.5
"""How far the fitted weight is believed, beside the default one."""

WEAK = 0.7
"""Below this much of the lexical leg's success the dense leg does not know these texts, and its weight goes down."""

_SEED = 7
_PASSAGES = 4 * QUESTIONS  # drawn; many are too short to be asked about
_RANK_MAX = 10
_DEPTH = 100
_BATCH = 16
_PENALTY = 1e-3  # of the squared coefficients: keeps the fit finite where one leg is always right
_DENSE_SCALE, _LEXICAL_SCALE = 10.0, 3.0  # so that both coefficients are penalised about alike

Choice = npt.NDArray[np.float64]
"""float64, shape (candidates, 2): both legs' normalised scores; the passage a question was made of comes first."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What pseudo-questions said.

    Args:
        questions: how many were asked.
        dense, lexical: how well each leg alone found the passages, 0 to 1: mean of 1 / log2(1 + rank) down to rank 10.
        fitted_weight: the dense leg's weight under which the passages are likeliest to come first.
    """

    questions: int
    dense: float
    lexical: float
    fitted_weight: float


def dense_weight(measured: Measured) -> float:
    """The dense leg's weight for fusion: half way from the default to the fitted one, at most DENSE_WEIGHT_MAX, and
    less in proportion where the dense leg finds under WEAK of what the lexical one does (another language or script
    than the encoder's, codes, names). The default where too few questions could be made.
    """
    if measured.questions < QUESTIONS_MIN or measured.dense + measured.lexical == 0:
        return DENSE_WEIGHT
    ratio = measured.dense / measured.lexical if measured.lexical else math.inf
    between = (1 - TRUST) * DENSE_WEIGHT + TRUST * measured.fitted_weight
    return round(min(between, DENSE_WEIGHT_MAX) * min(1.0, ratio / WEAK), 4)


async def calibrate(snapshot: LocalSnapshot, encoder: QueryEncoder, progress: Progress) -> Calibration:
    """Measure the legs of an opened snapshot with up to QUESTIONS questions."""
    analyzer = Analyzer.from_name(snapshot.facts.analyzer)
    drawn = await asyncio.to_thread(snapshot.reader.sample, _PASSAGES, _SEED)
    header = snapshot.manifest.splitter.header
    questions = list(pseudo_questions(drawn, analyzer, header=header, seed=_SEED))[:QUESTIONS]
    rests = [one.rest for one in questions]
    progress.phase("Embedding pseudo-questions", 2 * len(questions))
    asked = await asyncio.to_thread(_encoded, encoder, [one.text for one in questions], progress)
    found = await asyncio.to_thread(_encoded, encoder, rests, progress)
    progress.phase("Weighing the legs by them", len(questions))
    everyone = frozenset(snapshot.reader.principals())
    lengths = [len(analyzer.terms(rest)) for rest in rests]
    choices = []
    for one, vector, rest in zip(questions, asked, found, strict=True):
        own = (float(vector @ rest), await _own_lexical(one, snapshot, analyzer, _mean(lengths)))
        choices.append(await _choice(one, own, vector, snapshot, everyone))
        progress.advance()
    measured = measured_of(choices)
    return Calibration(
        snapshot=snapshot.facts.name,
        dense_weight=dense_weight(measured),
        questions=measured.questions,
        dense=round(measured.dense, 4),
        lexical=round(measured.lexical, 4),
        fitted_weight=round(measured.fitted_weight, 4),
    )


def measured_of(choices: Sequence[Choice]) -> Measured:
    """What the candidates of each question say of the legs."""
    dense, lexical = (_mean([_success(one[:, leg]) for one in choices]) for leg in (0, 1))
    return Measured(len(choices), dense, lexical, fitted_weight(choices))


def fitted_weight(choices: Sequence[Choice]) -> float:
    """The dense leg's weight in the conditional logit (McFadden 1974) that best tells which candidate each question was
    made of: penalised maximum likelihood by Newton's method. DENSE_WEIGHT where neither leg tells anything.
    """
    scaled = [one * (_DENSE_SCALE, _LEXICAL_SCALE) for one in choices if len(one) > 1]
    coefficients = np.zeros(2)
    for _ in range(50):
        gradient, hessian = _PENALTY * coefficients, _PENALTY * np.eye(2)
        for one in scaled:
            utility = one @ coefficients
            likely = np.exp(utility - utility.max())
            likely /= likely.sum()
            expected = likely @ one
            spread = one - expected
            gradient = gradient - (one[0] - expected) / len(scaled)
            hessian = hessian + spread.T @ (spread * likely[:, None]) / len(scaled)
        step = np.linalg.solve(hessian, gradient)
        step /= max(1.0, float(np.abs(step).max()))  # one unit at most: far from the optimum Newton overshoots
        coefficients = coefficients - step
        if np.abs(step).max() < 1e-6:
            break
    dense, lexical = np.maximum(coefficients * (_DENSE_SCALE, _LEXICAL_SCALE), 0.0).tolist()
    return float(dense / (dense + lexical)) if dense + lexical > 0 else DENSE_WEIGHT


async def _choice(
    one: PseudoQuestion, own: tuple[float, float], vector: Vectors, snapshot: LocalSnapshot, principals: Principals
) -> Choice:
    """Both legs' normalised scores of the question's own passage, its sentence left out, and of all others found."""
    dense = _others(await snapshot.dense(vector, _DEPTH + 1, None, principals), one)
    lexical = _others(await snapshot.lexical(one.text, _DEPTH + 1, None, principals), one)
    beyond = [key for key in lexical if key not in dense]
    for key, scores in zip(beyond, await snapshot.score(LegQuery(None, vector), beyond), strict=True):
        dense[key] = scores.dense or 0.0
    facts = snapshot.facts
    raw = np.array([own, *((score, lexical.get(key, 0.0)) for key, score in dense.items())])
    raw -= (facts.dense_minimum, facts.lexical_minimum)
    return np.asarray(raw / np.maximum(raw.max(axis=0), 1e-9), np.float64)


def _others(hits: Sequence[Hit], one: PseudoQuestion) -> dict[str, float]:
    return {hit.passage_id: hit.score for hit in hits if hit.passage_id != one.passage_id}


def _success(scores: npt.NDArray[np.float64]) -> float:
    """1 / log2(1 + rank) of the first among all; 0 beyond the tenth, or where it has the leg's smallest score."""
    rank = 1 + int((scores > scores[0]).sum())
    return 1 / math.log2(1 + rank) if rank <= _RANK_MAX and scores[0] > 0 else 0.0


async def _own_lexical(one: PseudoQuestion, snapshot: LocalSnapshot, analyzer: Analyzer, mean_length: float) -> float:
    wanted = Counter(analyzer.question_terms(one.text))
    weights = await snapshot.term_weights(one.text)
    terms = analyzer.terms(one.rest)
    return bm25(wanted, weights, Counter(terms), len(terms), mean_length)


def _encoded(encoder: QueryEncoder, texts: Sequence[str], progress: Progress) -> Vectors:
    """float32, shape (len(texts), dimension), in the order given; encoded by length, so that little is padding."""
    order = sorted(range(len(texts)), key=lambda position: len(texts[position]))
    vectors: list[Vectors] = [np.zeros(0, np.float32)] * len(texts)
    for at in range(0, len(order), _BATCH):
        part = order[at : at + _BATCH]
        for position, vector in zip(part, encoder.encode_queries([texts[one] for one in part]), strict=True):
            vectors[position] = vector
        progress.advance(len(part))
    return np.array(vectors, np.float32)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0
