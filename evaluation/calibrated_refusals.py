"""When an index refuses: its threshold, set on questions whose answerability is known.

Those are somebody's own, or made of the index's passages (`evaluation.pseudo_questions`): the passage that a question
was taken from, less the sentence that was taken, stands in for what answers it. That is harder than what people ask:
their questions' passages still have the sentence that answers. So pseudo-questions may raise the default threshold,
never lower it; with the sentence left in they would score 1, and promise nothing at all.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.pseudo_questions import PseudoQuestion, pseudo_questions
from evaluation.refusals import measure_refusals, weigh
from evaluation.sets import QuestionSet
from evaluation.thresholds import highest_threshold, questions_needed
from indexer.progress import Progress
from service.answer import sources_of
from service.budget import Deadline
from service.contract import Result
from service.engine import Engine
from service.evidence import ABSTAIN_BELOW
from service.question import Question
from store.calibration import AskedOf, Refusing
from store.local import LocalSnapshot

PSEUDO_QUESTIONS = 60
_SEED = 13


@dataclass(frozen=True, slots=True)
class Promise:
    """What a threshold is to keep: at most `share_max` wrong refusals, with `confidence`."""

    share_max: float = 0.1
    confidence: float = 0.9

    @property
    def questions_needed(self) -> int:
        """How many answerable questions there must be."""
        return questions_needed(self.share_max, self.confidence)


async def on_questions(questions: QuestionSet, engine: Engine, promise: Promise, progress: Progress) -> Refusing:
    """The threshold by somebody's questions; those that are not flagged count as answerable."""
    progress.phase(f"{questions.name}: weighing", len(questions.questions))
    found = await measure_refusals(questions, engine, progress.advance)
    return refusing([one.sufficiency for one in found.by_question.values() if one.answerable], "questions", promise)


async def on_pseudo_questions(
    snapshot: LocalSnapshot, engine: Engine, promise: Promise, progress: Progress
) -> Refusing:
    """The threshold by up to PSEUDO_QUESTIONS questions made of the snapshot's passages."""
    drawn = await asyncio.to_thread(snapshot.reader.sample, 4 * PSEUDO_QUESTIONS, _SEED)
    made = pseudo_questions(drawn, engine.analyzer, header=snapshot.manifest.splitter.header, seed=_SEED)
    questions = [one for one, _ in zip(made, range(PSEUDO_QUESTIONS), strict=False)]
    everyone = frozenset(snapshot.reader.principals())
    progress.phase("Weighing pseudo-questions", len(questions))
    scores = []
    for one in questions:
        question = Question("pseudo", one.text, principals=everyone, top_k=engine.answer_passages)
        results = await sources_of(question, engine, Deadline(engine.clock, None))
        without = _without(one, results, engine)
        if without is not None:
            scores.append((await weigh(one.text, without, engine))[0])
        progress.advance()
    return refusing(scores, "pseudo-questions", promise)


def refusing(answerable: Sequence[float], asked: AskedOf, promise: Promise) -> Refusing:
    """The highest threshold that keeps the promise on questions with these scores; the default where they are too few,
    or pseudo-questions would lower it.
    """
    found = highest_threshold(answerable, share_max=promise.share_max, confidence=promise.confidence)
    bounded = None if found is None else math.floor(found.below * 1e4) / 1e4  # never above what was found
    stays = bounded is None or (asked == "pseudo-questions" and bounded < ABSTAIN_BELOW)
    return Refusing(
        below=None if stays else bounded,
        bounded=bounded,
        asked=asked,
        answerable=len(answerable),
        refused=0 if found is None else found.refused,
        share_max=promise.share_max,
        confidence=promise.confidence,
        bound=None if found is None else round(found.bound, 4),
    )


def _without(one: PseudoQuestion, results: Sequence[Result], engine: Engine) -> list[Result] | None:
    """The results, the asked sentence taken out of its passage; None where that passage was not found."""
    changed = []
    found = False
    for result in results:
        if result.passage.id == one.passage_id:
            found = True
            passage = result.passage.model_copy(update={"text": one.text_left})
            scores = result.scores
            if engine.encoder is not None:
                asked, rest = engine.encoder.encode_queries([one.text, one.rest])
                scores = scores.model_copy(update={"dense": float(asked @ rest)})
            result = result.model_copy(update={"passage": passage, "scores": scores})  # noqa: PLW2901
        changed.append(result)
    return changed if found else None
