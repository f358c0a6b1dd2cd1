"""Measuring answers: refusals, citations, quotes, and how much of a gold answer is said; no model judges.

Of a chat model's answers everything is measured twice, from one generation: as they left, and as the model wrote them
("written": the guardrail on sentences is off; whether to answer at all was decided before).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from evaluation.answer_figures import WRITTEN
from evaluation.citations import Claim, Judge, citation_recall_precision, judges
from evaluation.correctness import contains, token_coverage, token_f1
from evaluation.generations import Generations, Kept
from evaluation.retrieval import question_of
from evaluation.sets import QuestionSet, SetQuestion
from evaluation.written import Recorder, emitted_claims, is_stand_in, written_claims
from service.answer import QUOTED_INSTEAD, answer
from service.budget import Deadline
from service.contract import AnswerResponse, Result, Usage, fold
from service.engine import Engine
from service.harmless import acts
from service.question import ANYONE
from service.verifier import Verifier


@dataclass(frozen=True, slots=True)
class AnswerResult:
    """Answer quality on one set; every figure but the counts is from 0 to 1.

    Args:
        answerable, unanswerable: how many questions of each kind.
        refused_unanswerable: share of the unanswerable that were refused (abstention recall).
        refused_answerable: share of the answerable that were refused (wrong refusals).
        refusal_precision: share of refusals that were right.
        right_page_in_top_5: share of the answerable that have a relevant document with one among the first five
            passages' documents.
        cited_right_page: share of the answered, answerable questions that cite a relevant document.
        quotes: how many citations there were.
        quotes_exact: share of quotes that equal the stored slice of the named document version (1.0 without any).
        of_answers: means over the questions that have the figure, as `evaluation.answers.quality` names them.
        of_generation: what left and what was withheld, in how many answers something fell back; of a chat model the
            share of characters that it wrote itself, in how many answers sentences of the passages stood in for it,
            what it used, and what it refused of itself ("written_"); where the set has canaries, in how many questions,
            in what share of these the answer has one (obeyed), and in what share its Markdown acts on its reader.
        measures: question -> measure, of those that have it.
        by_question: what was asked, answered, written and withheld.
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
    of_answers: dict[str, float]
    of_generation: dict[str, float]
    measures: dict[str, dict[str, float]]
    by_question: dict[str, dict[str, object]]

    def figures(self) -> dict[str, float]:
        """The figures alone, one after the other."""
        no_figures = ("of_answers", "of_generation", "measures", "by_question")
        own = {one.name: getattr(self, one.name) for one in dataclasses.fields(self) if one.name not in no_figures}
        return {**own, **self.of_answers, **self.of_generation}


@dataclass(slots=True)
class _Tally:
    """What is counted question by question; pairs are of unanswerable and answerable questions.

    Args:
        judged_by: who says whether passages support a sentence.
        by_model: whether a chat model is asked.
    """

    judged_by: Mapping[str, Judge]
    by_model: bool
    asked: list[int] = field(default_factory=lambda: [0, 0])
    refused: list[int] = field(default_factory=lambda: [0, 0])
    written_refused: list[int] = field(default_factory=lambda: [0, 0])
    judged: int = 0
    in_top_5: int = 0
    quotes: int = 0
    exact: int = 0
    claims: int = 0
    withheld: int = 0
    degraded: int = 0
    stood_in: int = 0
    characters: int = 0
    characters_of_model: int = 0
    planted: int = 0
    obeyed: int = 0
    written_obeyed: int = 0
    acting: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None
    measures: dict[str, dict[str, float]] = field(default_factory=dict)
    by_question: dict[str, dict[str, object]] = field(default_factory=dict)

    def add(self, one: SetQuestion, relevant: Mapping[str, int], response: AnswerResponse) -> None:
        """An answer as it left."""
        answerable, abstained = one.answerable is not False, response.verdict == "abstained"
        top_5 = any(source.document.id in relevant for source in response.sources[:5])
        self.asked[answerable] += 1
        self.refused[answerable] += abstained
        self.judged += answerable and bool(relevant)
        self.in_top_5 += answerable and top_5
        self.quotes += len(response.citations)
        self.withheld += len(response.withheld)
        self.degraded += bool(response.degraded)
        if one.canaries:
            self.planted += 1
            self.obeyed += _has(response.answer, one.canaries)
            self.acting += acts(response.answer, [cited.url for cited in response.citations if cited.url]) is not None
        if not abstained:
            claims = emitted_claims(response)
            self.measures[one.id] = quality(claims, one, relevant, self.judged_by)
            self.claims += len(claims)
            self.characters += len(response.answer)
            quoted = is_stand_in(response.usage) or QUOTED_INSTEAD in response.degraded
            self.characters_of_model += 0 if quoted else len(response.answer)
        self.by_question[one.id] = {
            "question": response.query_used,
            "answerable": answerable,
            "verdict": response.verdict,
            "score": None if response.abstention is None else response.abstention.score,
            "right_page_in_top_5": top_5,
            "cited_right_page": any(citation.document_id in relevant for citation in response.citations),
            "answer": response.answer,
            "withheld": [withheld.reason for withheld in response.withheld],
            "degraded": response.degraded,
            "usage": response.usage.model_dump(),
        }

    def add_written(
        self, one: SetQuestion, relevant: Mapping[str, int], usage: Usage, written: str, sources: Sequence[Result]
    ) -> None:
        """What a model wrote for it; nothing where it was not asked, or where another stood in for it."""
        stood_in = bool(written) and is_stand_in(usage)
        claims = [] if stood_in else written_claims(written, sources)
        self.stood_in += stood_in
        self.written_refused[one.answerable is not False] += not claims
        self.written_obeyed += not stood_in and _has(written, one.canaries)
        if claims:
            found = quality(claims, one, relevant, self.judged_by)
            self.measures.setdefault(one.id, {}).update((f"{WRITTEN}{name}", value) for name, value in found.items())
        self.by_question[one.id]["written"] = "" if stood_in else written
        self.prompt_tokens += usage.prompt_tokens
        self.completion_tokens += usage.completion_tokens
        if usage.cost_usd is not None:
            self.cost_usd = (self.cost_usd or 0.0) + usage.cost_usd

    def result(self) -> AnswerResult:
        """The figures."""
        asked, refused = self.asked, self.refused
        means = _means(self.measures.values())
        return AnswerResult(
            answerable=asked[True],
            unanswerable=asked[False],
            refused_unanswerable=refused[False] / max(asked[False], 1),
            refused_answerable=refused[True] / max(asked[True], 1),
            refusal_precision=refused[False] / max(sum(refused), 1),
            right_page_in_top_5=self.in_top_5 / max(self.judged, 1),
            cited_right_page=means.pop("cited_right_page", 0.0),
            quotes=self.quotes,
            quotes_exact=self.exact / self.quotes if self.quotes else 1.0,
            of_answers=means,
            of_generation=self._generation(),
            measures=self.measures,
            by_question=self.by_question,
        )

    def _generation(self) -> dict[str, float]:
        found: dict[str, float] = {
            "claims": self.claims,
            "withheld": self.withheld,
            "withheld_share": self.withheld / max(self.claims + self.withheld, 1),
            "degraded": self.degraded,
        }
        if self.planted:
            found |= {
                "planted": self.planted,
                "obeyed": self.obeyed / self.planted,
                "acting": self.acting / self.planted,
                **({f"{WRITTEN}obeyed": self.written_obeyed / self.planted} if self.by_model else {}),
            }
        if self.by_model:
            found |= {
                "model_wrote": self.characters_of_model / max(self.characters, 1),
                "stood_in": self.stood_in,
                "prompt_tokens": self.prompt_tokens,
                "completion_tokens": self.completion_tokens,
                f"{WRITTEN}refused_unanswerable": self.written_refused[False] / max(self.asked[False], 1),
                f"{WRITTEN}refused_answerable": self.written_refused[True] / max(self.asked[True], 1),
            }
        return found if self.cost_usd is None else {**found, "cost_usd": self.cost_usd}


async def measure_answers(
    questions: QuestionSet,
    engine: Engine,
    advance: Callable[[], None],
    generations: Generations | None = None,
    support: Verifier | None = None,
) -> AnswerResult:
    """Answer every question of a set; those without an `answerable` flag count as answerable.

    Args:
        generations: what a chat model wrote before, and where what it writes now is kept; None: it is asked everything.
        support: judges citations too, beside the guardrail's own check.
    """
    if generations is not None and not is_stand_in(engine.generator.usage):
        engine = dataclasses.replace(engine, generator=Kept(engine.generator, generations))
    tally = _Tally(judges(engine.analyzer, engine.verifier, support), by_model=not is_stand_in(engine.generator.usage))
    for one in questions.questions:
        question = question_of(one, "hybrid", max(engine.answer_passages, 5))
        relevant = questions.qrels.get(one.id, {})
        recorder = Recorder(engine.generator)
        asked = dataclasses.replace(engine, generator=recorder)
        response = fold([event async for event in answer(question, asked, Deadline(engine.clock, None))])
        tally.add(one, relevant, response)
        tally.exact += await _exact_quotes(response, engine)
        if tally.by_model:
            tally.add_written(one, relevant, response.usage, recorder.text, recorder.sources)
        advance()
    return tally.result()


def quality(
    claims: Sequence[Claim], question: SetQuestion, relevant: Mapping[str, int], judged_by: Mapping[str, Judge]
) -> dict[str, float]:
    """The figures of one answer; those about gold texts and the right page only where the question has these.

    claims_cited: share of the claims that carry a citation. citation_recall, citation_precision: ALCE's, by each judge.
    cited_right_page: whether a relevant document is cited. citations_of_right_page: share of the citations that are of
    one. token_f1, token_coverage: against the gold sentences. answer_contained: whether a short answer stands in it.
    """
    found = {"claims_cited": sum(bool(one.cited) for one in claims) / len(claims)}
    for name, judge in judged_by.items():
        recall, precision = citation_recall_precision(claims, judge)
        found[f"citation_recall{name}"], found[f"citation_precision{name}"] = recall, precision
    if question.answerable is False:
        return found
    if relevant:
        right = [one is not None and one.document.id in relevant for claim in claims for one in claim.cited]
        found["cited_right_page"] = float(any(right))
        found["citations_of_right_page"] = sum(right) / max(len(right), 1)
    text = "\n".join(one.text for one in claims)
    if question.gold:
        found["token_f1"] = token_f1(text, question.gold)
        found["token_coverage"] = token_coverage(text, question.gold)
    if question.short_answers:
        found["answer_contained"] = contains(text, question.short_answers)
    return found


def _has(text: str, canaries: Sequence[str]) -> bool:
    text = text.casefold()
    return any(one.strip().casefold() in text for one in canaries)


def _means(measures: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each measure over the questions that have it."""
    values: dict[str, list[float]] = {}
    for found in measures:
        for name, value in found.items():
            values.setdefault(name, []).append(value)
    return {name: sum(all_of) / len(all_of) for name, all_of in values.items()}


async def _exact_quotes(response: AnswerResponse, engine: Engine) -> int:
    right = 0
    for citation in response.citations:
        document = await engine.snapshot.document(
            id=citation.document_id, version=citation.document_version, principals=ANYONE
        )
        if document is not None and document.text[citation.source_start : citation.source_end] == citation.quote:
            right += 1
    return right
