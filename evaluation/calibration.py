"""How an index's legs should be weighed, found out without anybody's questions or judgements.

Each leg is asked pseudo-questions (`evaluation.pseudo_questions`) made of the index's own passages. Such questions
share more words with their passage than people's do, so the curve over weights that they give is not believed; how well
the dense leg does beside the lexical one is: TM2C2's weight holds where they do equally well and falls in proportion
where the encoder is weak on these texts (another language, codes, names).
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.pseudo_questions import PseudoQuestion, pseudo_questions
from service.engine import Engine
from store.analyzer import Analyzer
from store.calibration import Calibration
from store.embedding import QueryEncoder, Vectors
from store.exact import bm25
from store.fusion import DENSE_WEIGHT
from store.local import LocalSnapshot
from store.snapshot import Hit

QUESTIONS = 250
QUESTIONS_MIN = 40
"""Fewer say too little: the default weight stays."""

DENSE_WEIGHT_MAX = 0.9
_SEED = 7
_PASSAGES = 4 * QUESTIONS  # drawn; many are too short to be asked about
_RANK_MAX = 10
_BATCH = 16


@dataclass(frozen=True, slots=True)
class Measured:
    """How well each leg alone found the passages, 0 to 1: mean of 1 / log2(1 + rank) down to rank 10."""

    questions: int
    dense: float
    lexical: float


def dense_weight(measured: Measured) -> float:
    """The dense leg's weight for fusion: TM2C2's where both legs do equally well, else in proportion to how much better
    or worse the dense leg does, at most DENSE_WEIGHT_MAX; the default where too few questions could be made.
    """
    if measured.questions < QUESTIONS_MIN or measured.dense + measured.lexical == 0:
        return DENSE_WEIGHT
    ratio = measured.dense / measured.lexical if measured.lexical else math.inf
    return round(min(DENSE_WEIGHT * ratio, DENSE_WEIGHT_MAX), 4)


async def calibrate(engine: Engine, snapshot: LocalSnapshot, advance: Callable[[], None]) -> Calibration:
    """Measure the legs of an opened snapshot; needs its query encoder. `advance` is called after each question."""
    assert engine.encoder is not None
    drawn = snapshot.reader.sample(_PASSAGES, _SEED)
    header = snapshot.manifest.splitter.header
    questions = list(pseudo_questions(drawn, engine.analyzer, header=header, seed=_SEED))[:QUESTIONS]
    mean_length = _mean_length(questions, engine.analyzer)
    asked = await asyncio.to_thread(_encoded, engine.encoder, [one.text for one in questions])
    rests = await asyncio.to_thread(_encoded, engine.encoder, [one.rest for one in questions])
    dense, lexical = [], []
    for one, vector, rest in zip(questions, asked, rests, strict=True):
        hits = await snapshot.dense(vector, _RANK_MAX + 1, None, frozenset())
        dense.append(_found(hits, one.passage_id, float(vector @ rest)))
        hits = await snapshot.lexical(one.text, _RANK_MAX + 1, None, frozenset())
        lexical.append(_found(hits, one.passage_id, await _lexical_score(one, engine, mean_length)))
        advance()
    measured = Measured(len(questions), _mean(dense), _mean(lexical))
    return Calibration(
        snapshot=snapshot.facts.name,
        dense_weight=dense_weight(measured),
        questions=measured.questions,
        dense=measured.dense,
        lexical=measured.lexical,
        passages=snapshot.facts.passages,
    )


def _found(hits: Sequence[Hit], own: str, score: float) -> float:
    """1 / log2(1 + rank) of a passage that would have this score, its whole self left aside; 0 beyond the tenth."""
    rank = 1 + sum(one.score > score for one in hits if one.passage_id != own)
    return 1 / math.log2(1 + rank) if rank <= _RANK_MAX and score > 0 else 0.0


async def _lexical_score(one: PseudoQuestion, engine: Engine, mean_length: float) -> float:
    wanted = Counter(engine.analyzer.question_terms(one.text))
    weights = await engine.snapshot.term_weights(one.text)
    terms = engine.analyzer.terms(one.rest)
    return bm25(wanted, weights, Counter(terms), len(terms), mean_length)


def _mean_length(questions: Sequence[PseudoQuestion], analyzer: Analyzer) -> float:
    """Terms of a passage, on average; of these ones, which stand for all."""
    return _mean([float(len(analyzer.terms(one.rest))) for one in questions])


def _encoded(encoder: QueryEncoder, texts: Sequence[str]) -> Vectors:
    """float32, shape (len(texts), dimension), in the order given; encoded by length, so that little is padding."""
    order = sorted(range(len(texts)), key=lambda position: len(texts[position]))
    vectors: list[Vectors] = [np.zeros(0, np.float32)] * len(texts)
    for at in range(0, len(order), _BATCH):
        part = order[at : at + _BATCH]
        for position, vector in zip(part, encoder.encode_queries([texts[one] for one in part]), strict=True):
            vectors[position] = vector
    return np.array(vectors, np.float32)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0
