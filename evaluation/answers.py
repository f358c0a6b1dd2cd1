"""Measuring answers: right refusals, wrong refusals, citations of the right page, and quotes that are exact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from evaluation.retrieval import question_of
from evaluation.sets import QuestionSet
from service.answer import answer
from service.budget import Deadline
from service.contract import AnswerResponse, fold
from service.engine import Engine
from service.question import ANYONE


@dataclass(frozen=True, slots=True)
class AnswerResult:
    """Answer quality on one set; every figure is a share from 0 to 1.

    Args:
        answerable, unanswerable: how many questions of each kind.
        refused_unanswerable: share of the unanswerable that were refused (abstention recall).
        refused_answerable: share of the answerable that were refused (wrong refusals).
        refusal_precision: share of refusals that were right.
        right_page_in_top_5: share of the answerable with a relevant document among the first five passages' documents.
        cited_right_page: share of the answered, answerable questions that cite a relevant document.
        quotes: how many citations there were.
        quotes_exact: share of quotes that equal the stored slice of the named document version (1.0 without any).
    """

    answerable: int
    unanswerable: int
    refused_unanswerable: float
    refused_answerable: float
    refusal_precision: float
    right_page_in_top_5: float
    cited_right_page: float
    quotes: int
    quotes_exact: float
    by_question: dict[str, dict[str, object]]

    def figures(self) -> dict[str, float]:
        """The figures alone."""
        return {key: value for key, value in asdict(self).items() if key != "by_question"}


async def measure_answers(questions: QuestionSet, engine: Engine, advance: Callable[[], None]) -> AnswerResult:
    """Answer every question of a set; those without an `answerable` flag count as answerable."""
    by_question: dict[str, dict[str, object]] = {}
    refused = {True: 0, False: 0}
    asked = {True: 0, False: 0}
    in_top_5 = cited = answered = quotes = exact = 0
    for one in questions.questions:
        question = question_of(one, "hybrid", max(engine.answer_passages, 5))
        events = [event async for event in answer(question, engine, Deadline(engine.clock, None))]
        response = fold(events)
        answerable = one.answerable is not False
        abstained = response.verdict == "abstained"
        asked[answerable] += 1
        refused[answerable] += abstained
        relevant = questions.qrels.get(one.id, {})
        top_5 = any(source.document.id in relevant for source in response.sources[:5])
        hit = any(citation.document_id in relevant for citation in response.citations)
        right = await _exact_quotes(response, engine)
        quotes += len(response.citations)
        exact += right
        if answerable:
            in_top_5 += top_5
            answered += not abstained
            cited += hit
        by_question[one.id] = {
            "question": question.text,
            "answerable": answerable,
            "verdict": response.verdict,
            "score": None if response.abstention is None else response.abstention.score,
            "right_page_in_top_5": top_5,
            "cited_right_page": hit,
            "answer": response.answer,
        }
        advance()
    refusals = refused[True] + refused[False]
    return AnswerResult(
        answerable=asked[True],
        unanswerable=asked[False],
        refused_unanswerable=refused[False] / max(asked[False], 1),
        refused_answerable=refused[True] / max(asked[True], 1),
        refusal_precision=refused[False] / max(refusals, 1),
        right_page_in_top_5=in_top_5 / max(asked[True], 1),
        cited_right_page=cited / max(answered, 1),
        quotes=quotes,
        quotes_exact=exact / quotes if quotes else 1.0,
        by_question=by_question,
    )


async def _exact_quotes(response: AnswerResponse, engine: Engine) -> int:
    right = 0
    for citation in response.citations:
        document = await engine.snapshot.document(
            id=citation.document_id, version=citation.document_version, principals=ANYONE
        )
        if document is not None and document.text[citation.source_start : citation.source_end] == citation.quote:
            right += 1
    return right
