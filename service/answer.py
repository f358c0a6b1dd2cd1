"""The one file that knows how a question is answered: retrieve, fuse, rerank, weigh evidence, generate, ground."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import traceback
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import TypeVar

from service.adapters.generator import Ended, EndReason, GeneratorFailed, Piece, Told
from service.adapters.priced import with_spent
from service.budget import Deadline, StageOverrun
from service.cache_keys import cache_key
from service.compose import Composer, abstention_sentence
from service.context import context
from service.contract import (
    Abstention,
    DegradedEvent,
    FinishEvent,
    FinishReason,
    MetaEvent,
    PipelineEvent,
    Result,
    Scores,
    SearchResponse,
    SourcesEvent,
    StageOutcome,
    Usage,
    result_of,
)
from service.drafts import DraftStream
from service.engine import Engine
from service.evidence import Evidence, language_of, rank_sentences, signals, sufficiency
from service.explain import CandidateScores, Trace, candidates, why
from service.feedback import PASSAGES, dense_again, lexical_again
from service.ground import Draft, Finding, check, parse, prepare
from service.legs import Candidates, LegResults, ask_legs, candidates_of
from service.question import Question
from service.rerank import AnytimeReranker
from service.rewrite import admitted
from service.segments import with_segments
from service.sentences import Overlong
from store.document import embedded_text
from store.fusion import blended, convex, normalised
from store.passages import StoredPassage

T = TypeVar("T")

_LOG = logging.getLogger("footnote.answer")

LEG_DEPTH_MIN = 100
"""Passages each leg is asked for at least; more when more results are wanted."""

_SPARED = 0.5
"""Share of the time left that a stage may take which can be done without and has a whole answer after it."""

_LEFT = 0.8
"""And one that has only little after it."""

QUOTED_INSTEAD = "generate: nothing that the model wrote could be verified; sentences of the passages instead"
"""What `degraded` says where that is so, and the settings ask for it."""

_FINISHES: Mapping[EndReason, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "refused": "provider_error",
    "tool_call": "provider_error",
}
_BROKE_OFF: Mapping[EndReason, str] = {
    "length": "cut at the limit of tokens",
    "refused": "the model or its filter refused to go on",
    "tool_call": "the model asked for a tool, though none is offered",
}

_MADE_AT_ONCE = 100
"""Results that are made on the event loop; a thousand take it for 20 ms."""
CONTEXT_DEPTH = 30
"""Results that an answer's passages are chosen from at least: copies of one another count once."""


class ProviderError(Exception):
    """The generator failed; its own error is the cause and is never sent."""


async def search(question: Question, engine: Engine, deadline: Deadline) -> SearchResponse:
    """Ranked passages for a question.

    Raises LegUnavailable or StageOverrun where the question's mode cannot be honoured; everything less is `degraded`.
    """
    work = partial(_search, question, engine, deadline)
    key = None if engine.searches is None else cache_key("search", question, engine)
    if engine.searches is None or key is None:
        return await work()
    return await engine.searches.through(key, engine, question.request_id, deadline, work)


async def _search(question: Question, engine: Engine, deadline: Deadline) -> SearchResponse:
    results, degraded, trace = await retrieve(question, engine, deadline)
    if question.segment_words is not None:
        results = await _segmented(question, question.segment_words, results, engine, deadline, degraded)
    explanation = None
    if question.explain or question.why is not None:
        explanation = await _explanation(question, engine, deadline, trace, degraded)
    return SearchResponse(
        request_id=question.request_id,
        generation=engine.snapshot.facts.generation,
        results=results,
        stages=deadline.report(),
        degraded=degraded,
        empty_because=None if results else _why_nothing(question, engine, trace),
        explain=explanation,
    )


def answer(question: Question, engine: Engine, deadline: Deadline) -> AsyncGenerator[PipelineEvent, None]:
    """The events of an answer: meta, sources, then sentences, each only after it was checked, and finish.

    Closing the iterator stops the work behind it. Raises as `search` does before the first sentence, never after.
    """
    work = partial(_answer, question, engine, deadline)
    key = None if engine.answers is None else cache_key("answer", question, engine)
    if engine.answers is None or key is None:
        return work()
    return engine.answers.through(key, engine, question.request_id, deadline, work, engine.generator.usage)


async def _answer(  # noqa: C901, PLR0912  # it knows the order
    question: Question, engine: Engine, deadline: Deadline
) -> AsyncGenerator[PipelineEvent, None]:
    question, told, spent = await _rewritten(question, engine, deadline)
    usage = with_spent(engine.generator.usage, spent)
    yield MetaEvent(
        request_id=question.request_id,
        generation=engine.snapshot.facts.generation,
        query_used=question.text,
        guardrail=question.guardrail,
        model=engine.generator.usage.model,
    )
    results, degraded, by_words = await _results_for_answer(question, engine, deadline)
    for message in [*told, *degraded]:
        yield DegradedEvent(message=message)
    sources = _chosen(results, question, engine)
    ranks = {one.rank for one in sources}
    yield SourcesEvent(sources=[one for one in results if one.rank <= question.top_k or one.rank in ranks])
    if not sources:
        yield abstention_sentence()
        yield _finish(deadline, usage, "abstained", Abstention(reason="no_results"))
        return

    evidence, score, told = await _weigh(question, sources, engine, deadline, by_words=by_words)
    for message in told:
        yield DegradedEvent(message=message)
    if score is None or score < engine.abstain_below:
        yield abstention_sentence()
        rounded = None if score is None else round(score, 4)
        yield _finish(deadline, usage, "abstained", Abstention(reason="insufficient_evidence", score=rounded))
        return

    if not _is_stand_in(engine.generator.usage, engine):  # a model takes its time, in which this is done
        engine.executor.submit(prepare, sources, engine.analyzer)
    composer = Composer(question, sources)
    reason: FinishReason = "stop"
    started = deadline.clock()
    pieces = _pieces(question, sources, evidence, engine, deadline)
    async with aclosing(pieces):
        try:
            async for piece in pieces:
                if isinstance(piece, Ended):
                    usage, reason = with_spent(piece.usage, spent), _FINISHES[piece.reason]
                elif isinstance(piece, Told):
                    yield DegradedEvent(message=piece.message)
                else:
                    for event in composer.compose(*await _ground(piece, sources, engine, deadline)):
                        yield event
        except StageOverrun as overrun:
            reason = "deadline"
            yield DegradedEvent(message=f"{overrun.stage}: {overrun}; the answer ends with what was verified")
        except ProviderError as error:
            reason = "provider_error"
            yield DegradedEvent(message=f"generate: {error}; the answer ends with what was verified")
    if reason == "stop" and _quotes_instead(question, engine, usage) and composer.all_withheld():
        yield DegradedEvent(message=QUOTED_INSTEAD)
        async for event in _quoted(question, sources, evidence, engine, deadline, composer):
            yield event
    outcome: dict[FinishReason, StageOutcome] = {"stop": "ok", "length": "degraded", "deadline": "timeout"}
    deadline.record("generate", engine.budgets.total_ms, started, outcome.get(reason, "failed"))
    if composer.supported:
        yield _finish(deadline, usage, reason, None)
    else:
        for event in composer.abstain():
            yield event
        finish: FinishReason = "abstained" if reason == "stop" else reason
        yield _finish(deadline, usage, finish, Abstention(reason="nothing_supported", score=round(score, 4)))


def _quotes_instead(question: Question, engine: Engine, usage: Usage) -> bool:
    """Whether sentences of the passages stand in for what was withheld; not for themselves."""
    return engine.quote_when_withheld and question.guardrail == "verified" and not _is_stand_in(usage, engine)


def _is_stand_in(usage: Usage, engine: Engine) -> bool:
    built_in = engine.stand_in.usage
    return (usage.provider, usage.model) == (built_in.provider, built_in.model)


async def _quoted(
    question: Question,
    sources: Sequence[Result],
    evidence: Sequence[Evidence],
    engine: Engine,
    deadline: Deadline,
    composer: Composer,
) -> AsyncGenerator[PipelineEvent, None]:
    """The stand-in's sentences, checked as all are; none more where the time for the answer is up."""
    async with aclosing(engine.stand_in.generate(question.text, sources, evidence)) as text:
        async for piece in text:
            if isinstance(piece, str) and deadline.left_ms() != 0:
                for event in composer.compose(*await _ground(piece, sources, engine, deadline)):
                    yield event


async def sources_of(question: Question, engine: Engine, deadline: Deadline) -> list[Result]:
    """The passages that an answer is made from."""
    results, *_ = await _results_for_answer(question, engine, deadline)
    return _chosen(results, question, engine)


async def _results_for_answer(
    question: Question, engine: Engine, deadline: Deadline
) -> tuple[list[Result], list[str], bool]:
    """More than are asked for, since near-duplicates and floods are left out; and whether only words were compared."""
    wider = dataclasses.replace(question, top_k=max(question.top_k, CONTEXT_DEPTH))
    results, degraded, trace = await retrieve(wider, engine, deadline)
    return results, degraded, trace.dense is None and question.mode != "lexical"


def _chosen(results: Sequence[Result], question: Question, engine: Engine) -> list[Result]:
    count = min(question.top_k, engine.answer_passages)
    return context(results[:CONTEXT_DEPTH], count, engine.document_passages, engine.analyzer)


async def _rewritten(
    question: Question, engine: Engine, deadline: Deadline
) -> tuple[Question, list[str], Usage | None]:
    """The question as a model makes it stand for itself, where rules left it open; as they made it, where the model
    overruns, fails, or is not to be trusted. With what fell back, and what it took.
    """
    if not question.turns or engine.rewriter is None:
        return question, [], None
    budget_ms = engine.budgets.condense_ms
    try:
        rewriting = engine.rewriter.rewrite(question.turns)
        found = await deadline.stage("condense", budget_ms, rewriting, share=_SPARED)
    except StageOverrun as overrun:
        return question, [f"condense: {overrun}; the question is as rules made it"], None
    except Exception as error:  # noqa: BLE001  # whatever a provider throws must not cost the answer
        return question, [f"condense: {_as_provider_error(error)}; the question is as rules made it"], None
    text = admitted(found.text, question.turns[-1].content, question.turns)
    if text is None:
        deadline.record("condense", budget_ms, deadline.clock(), "degraded")
        return (
            question,
            ["condense: the rewriting is not what was asked; the question is as rules made it"],
            found.usage,
        )
    return dataclasses.replace(question, text=text), [], found.usage


async def retrieve(question: Question, engine: Engine, deadline: Deadline) -> tuple[list[Result], list[str], Trace]:
    """Embed, ask both legs side by side, fuse, rerank, read the passages; with what fell back, and what was seen."""
    depth = max(question.top_k, LEG_DEPTH_MIN)
    legs = await ask_legs(question, engine.snapshot, engine.encoder, engine.inference, depth, engine.budgets, deadline)
    degraded = list(legs.degraded)
    dense, lexical, fused, order = await _fuse(question, engine, deadline, legs, degraded)
    in_fused_order = list(order)
    final: Mapping[str, float] = fused
    reranked: Mapping[str, float] = {}
    wanted = _reranks(question, engine)
    if wanted and engine.reranker is None:
        degraded.append("rerank: no reranker is set; fused order")
    elif wanted and engine.reranker is not None:
        first = order[: engine.rerank_depth]
        reranked = await _rerank(question, engine, engine.reranker, deadline, first, degraded)
        final = blended(fused, reranked, weight=engine.rerank_weight)
        order.sort(key=lambda key: -final[key])  # stable: equal ones stay in fused order
    told = order if question.explain or question.why is not None else order[: question.top_k]
    scores = {key: CandidateScores(dense.get(key), lexical.get(key), fused[key], reranked.get(key)) for key in told}
    trace = Trace(
        depth=depth,
        dense=None if legs.dense is None else list(legs.dense),
        lexical=None if legs.lexical is None else list(legs.lexical),
        vector=legs.vector,
        fused=in_fused_order,
        ranked=order,
        scores=scores,
        final=final,
        top_k=question.top_k,
    )
    order = order[: question.top_k]

    def made(stored: Mapping[str, StoredPassage]) -> list[Result]:
        kept = [key for key in order if key in stored]
        return [
            result_of(rank, final[key], Scores(**scores[key]._asdict()), stored[key])
            for rank, key in enumerate(kept, 1)
        ]

    async def read() -> list[Result]:
        stored = await engine.snapshot.passages(order, question.principals)
        return made(stored) if len(stored) <= _MADE_AT_ONCE else await _run(engine, made, stored)

    return await deadline.stage("passages", None, read()), degraded, trace


async def _fuse(
    question: Question, engine: Engine, deadline: Deadline, legs: LegResults, degraded: list[str]
) -> tuple[Mapping[str, float], Mapping[str, float], Mapping[str, float], list[str]]:
    """Each leg's scores by id, fused ones, and the ids by these."""
    started = deadline.clock()
    dense, lexical = legs.dense or {}, legs.lexical or {}
    position = list(dict.fromkeys([*dense, *lexical]))
    fused: dict[str, float] = {}
    order: list[str] = []
    fallback = "no second look, and candidates beyond the dense leg's depth count as its minimum"
    outcome: StageOutcome = "ok"
    try:
        async with asyncio.timeout(_seconds(deadline.allow_ms(engine.budgets.fuse_ms))):
            found = await candidates_of(engine.snapshot, legs)
            dense = found.dense
            fallback = "no second look with the best passages' help"
            fused, order = _ranked(engine, legs, dense, lexical, position)
            if found.vectors is not None and dense and lexical:
                best = [(key, fused[key]) for key in order[:PASSAGES]]
                again = await _second_look(question, engine, legs, found, best)
                fused, order = _ranked(engine, legs, *again, position)
    except Exception as error:  # noqa: BLE001  # whatever a part raises, the legs' own order is there
        outcome = "timeout" if isinstance(error, TimeoutError) else "failed"
        if outcome == "failed":
            _LOG.warning("what the legs found cannot be looked at again", exc_info=error)
        why = "" if isinstance(error, TimeoutError) else f"{type(error).__name__}; "
        degraded.append(f"fuse: {why}{fallback}")
        fused, order = _ranked(engine, legs, dense, lexical, position)
    deadline.record("fuse", engine.budgets.fuse_ms, started, outcome)
    return dense, lexical, fused, order


def _ranked(
    engine: Engine,
    legs: LegResults,
    dense: Mapping[str, float],
    lexical: Mapping[str, float],
    position: Sequence[str],
) -> tuple[dict[str, float], list[str]]:
    """Fused scores of the legs that were asked, and the ids by them; equal ones as the legs gave them."""
    facts = engine.snapshot.facts
    if legs.dense is not None and legs.lexical is not None:
        fused = convex(
            dense,
            lexical,
            dense_weight=engine.dense_weight,
            dense_minimum=facts.dense_minimum,
            lexical_minimum=facts.lexical_minimum,
        )
    elif legs.dense is not None:
        fused = normalised(dense, facts.dense_minimum)
    else:
        fused = normalised(lexical, facts.lexical_minimum)
    return fused, sorted((key for key in position if key in fused), key=fused.__getitem__, reverse=True)  # and stable


async def _second_look(
    question: Question, engine: Engine, legs: LegResults, candidates: Candidates, best: Sequence[tuple[str, float]]
) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Both legs' scores of the same candidates with what the best of them say, as far as that is switched on."""
    ids, dense, lexical = candidates.ids, candidates.dense, legs.lexical or {}
    if engine.dense_feedback > 0 and legs.vector is not None and candidates.vectors is not None:
        dense = dense_again(legs.vector, engine.dense_feedback, best, ids, candidates.vectors)
    if engine.lexical_feedback:
        lexical = dict(await lexical_again(question, engine, best, ids))
    return dense, lexical


async def _rerank(
    question: Question,
    engine: Engine,
    reranker: AnytimeReranker,
    deadline: Deadline,
    candidates: Sequence[str],
    degraded: list[str],
) -> dict[str, float]:
    """The reranker's scores of the first candidates, as many as there is time for."""
    started = deadline.clock()
    allowed = deadline.allow_ms(engine.budgets.rerank_ms, share=_LEFT)
    try:
        async with asyncio.timeout(_seconds(allowed)):
            stored = await engine.snapshot.passages(candidates, question.principals)
    except Exception:  # noqa: BLE001  # likewise
        stored = {}
    texts = {key: _reranked_text(stored[key]) for key in candidates if key in stored}
    ends = None if allowed is None else started + allowed / 1000
    found = await reranker.scores(question.text, list(texts.values()), ends)
    outcome: StageOutcome = "ok"
    scored, wanted = len(found.scores), len(texts) or len(candidates)
    if scored < wanted:
        outcome = "degraded" if scored else "failed" if found.trouble else "timeout"
        why = "" if found.trouble is None else f"; {found.trouble}"
        degraded.append(f"rerank: {scored} of {wanted} candidates scored{why}")
    deadline.record("rerank", engine.budgets.rerank_ms, started, outcome)
    return dict(zip(texts, found.scores, strict=False))


def _reranked_text(stored: StoredPassage) -> str:
    passage = stored.passage
    return embedded_text(stored.document.title, passage.section, passage.text)


async def _segmented(
    question: Question, words: int, results: list[Result], engine: Engine, deadline: Deadline, degraded: list[str]
) -> list[Result]:
    """Results merged into segments; as they are where the time is up."""

    async def read() -> dict[str, str]:
        texts = {}
        for document in {one.document.id: one.document for one in results}.values():
            stored = await engine.snapshot.document(
                id=document.id, version=document.version, principals=question.principals
            )
            if stored is not None:
                texts[document.id] = stored.text
        return texts

    try:
        texts = await deadline.stage("segments", None, read())
    except StageOverrun as overrun:
        degraded.append(f"segments: {overrun}; results are not merged")
        return results
    return with_segments(results, texts, words)


async def _weigh(
    question: Question, sources: Sequence[Result], engine: Engine, deadline: Deadline, *, by_words: bool
) -> tuple[list[Evidence], float | None, list[str]]:
    """The sources' sentences, best first; the estimated probability that they suffice, None where the time was up; and
    what fell back.

    Args:
        by_words: the question could not be embedded a moment ago: sentences are ranked without trying again.
    """
    encoder = None if by_words else engine.encoder
    told: list[str] = []

    async def work() -> tuple[list[Evidence], float]:
        weights = await engine.snapshot.term_weights(question.text)
        ranking = partial(_run, engine, rank_sentences, question.text, sources, engine.analyzer)
        try:
            async with asyncio.timeout(_seconds(deadline.allow_ms(engine.budgets.first_sentence_ms, share=_SPARED))):
                ranked = await ranking(encoder)
        except Exception as error:  # noqa: BLE001  # whatever an encoder raises
            _LOG.warning("sentences are ranked by words alone", exc_info=error)
            told.append(f"evidence: {type(error).__name__}; sentences are weighed by words alone")
            ranked = await ranking(None)
        return ranked, sufficiency(signals(question.text, sources, ranked, weights, engine.analyzer))

    try:
        evidence, score = await deadline.stage("evidence", engine.budgets.first_sentence_ms, work())
    except StageOverrun as overrun:
        return [], None, [*told, f"evidence: {overrun}; nothing is answered unweighed"]
    except Exception as error:  # noqa: BLE001  # likewise
        _LOG.warning("evidence cannot be weighed", exc_info=error)
        return [], None, [*told, f"evidence: {type(error).__name__}; nothing is answered unweighed"]
    return evidence, score, told


async def _run(engine: Engine, work: Callable[..., T], *arguments: object) -> T:
    """Blocking work, where such work of these parts runs."""
    return await asyncio.get_running_loop().run_in_executor(engine.executor, partial(work, *arguments))


async def _pieces(
    question: Question, sources: Sequence[Result], evidence: Sequence[Evidence], engine: Engine, deadline: Deadline
) -> AsyncGenerator[Piece, None]:
    """The generator's text cut into sentences. Raises StageOverrun when the time for an answer is up, ProviderError
    where the generator failed.
    """
    language = language_of(sources[0], engine.analyzer)
    stream, begun = DraftStream(language, len(sources)), False
    text = _written(question, sources, evidence, engine, deadline, lambda: begun)
    async with aclosing(text):
        try:
            async for chunk in text:
                if isinstance(chunk, str):
                    for piece in stream.feed(chunk):
                        begun = True
                        yield piece
                    continue
                if isinstance(chunk, Told) and not begun:
                    stream = DraftStream(language, len(sources))  # another one writes from here on
                if isinstance(chunk, Ended) and chunk.reason != "stop":
                    for piece in stream.broken_off():
                        yield piece
                    yield Told(f"generate: {_BROKE_OFF[chunk.reason]}; the sentence it was in is left out")
                yield chunk
        except ProviderError:
            for piece in stream.broken_off():
                yield piece
            raise
    for piece in stream.finish():
        yield piece


async def _written(
    question: Question,
    sources: Sequence[Result],
    evidence: Sequence[Evidence],
    engine: Engine,
    deadline: Deadline,
    begun: Callable[[], bool],
) -> AsyncGenerator[str | Ended | Told, None]:
    """The generator's text; the stand-in's where a deadline nears before its first sentence, or its words make none in
    the time for a first sentence.

    Args:
        begun: whether there was a sentence.
    """
    wrote, started = False, deadline.clock()
    text = engine.generator.generate(question.text, sources, evidence)
    async with aclosing(text):
        while True:
            budget_ms = engine.budgets.first_sentence_ms if wrote and not begun() else None  # silence: the generator's
            if budget_ms is not None:
                budget_ms = max(budget_ms - (deadline.clock() - started) * 1000, 0.0)
            allowed = deadline.allow_ms(budget_ms, share=1.0 if begun() else _LEFT)
            try:
                async with asyncio.timeout(_seconds(allowed)):
                    chunk = await anext(text, None)
            except TimeoutError as error:
                if begun():
                    raise StageOverrun("generate", allowed or 0.0) from error
                break
            except Exception as error:  # whatever a provider throws must not cost what was verified
                raise _as_provider_error(error) from error
            if chunk is None:
                return
            wrote = wrote or isinstance(chunk, str)
            yield chunk
    yield Told(f"generate: no {'sentence' if wrote else 'word'} in time; sentences of the passages instead")
    async with aclosing(engine.stand_in.generate(question.text, sources, evidence)) as text:
        async for chunk in text:
            yield chunk


def _as_provider_error(error: Exception) -> ProviderError:
    """What may be told of it: a provider's own words may repeat a key, and are in no log either. Of what nobody foresaw
    the log has the place.
    """
    if isinstance(error, GeneratorFailed):
        _LOG.warning("the generator failed: %s", error)
        return ProviderError(str(error))
    places = "".join(traceback.format_tb(error.__traceback__))
    _LOG.warning("the generator failed: %s at\n%s", type(error).__name__, places.rstrip())
    return ProviderError(type(error).__name__)


async def _ground(piece: str, sources: Sequence[Result], engine: Engine, deadline: Deadline) -> tuple[Draft, Finding]:
    """Check one sentence within its budget; a check that does not end leaves it unchecked, and so withheld."""
    draft = parse(piece, sources)
    if isinstance(piece, Overlong):
        return draft, Finding("unsupported", "too_long", (), 0.0)
    checking = _run(engine, check, draft, sources, engine.analyzer, engine.verifier)
    try:
        return draft, await deadline.stage("ground", engine.budgets.ground_ms, checking)
    except StageOverrun:
        return draft, Finding("unchecked", "unchecked", (), 0.0)
    except Exception as error:  # noqa: BLE001  # a model may raise anything, and what is unchecked does not leave
        _LOG.warning("a sentence cannot be checked", exc_info=error)
        return draft, Finding("unchecked", "unchecked", (), 0.0)


def _finish(deadline: Deadline, usage: Usage, reason: FinishReason, abstention: Abstention | None) -> FinishEvent:
    return FinishEvent(finish_reason=reason, abstention=abstention, usage=usage, stages=deadline.report())


def _why_nothing(question: Question, engine: Engine, trace: Trace) -> str:
    if trace.lexical is not None and not engine.analyzer.question_terms(question.text):
        return "the question has no word that could be looked up"
    among = " that the filter lets through" if question.filter is not None else ""
    if trace.dense is None and trace.lexical is not None:
        return f"no passage{among} shares a word with the question"
    return f"there is no passage{among} that the asker may read"


async def _explanation(
    question: Question, engine: Engine, deadline: Deadline, trace: Trace, degraded: list[str]
) -> dict[str, object]:
    """How the ranking came about, and what became of the document that was asked for."""
    told = {**_formula(question, engine), "candidates": candidates(trace)}
    if question.why is not None:
        try:
            told["why"] = await deadline.stage("explain", None, why(question.why, question, engine, trace))
        except StageOverrun as overrun:
            degraded.append(f"explain: {overrun}")
    return told


def _formula(question: Question, engine: Engine) -> dict[str, object]:
    facts = engine.snapshot.facts
    weight = engine.rerank_weight
    reranking = (
        {}
        if engine.reranker is None or not _reranks(question, engine)
        else {
            "rerank": f"{1 - weight:.4g} * fused + {weight:.4g} * {engine.reranker.name}, whose scores are brought to "
            "the mean and spread of the fused ones; a candidate that was not reached keeps its fused score"
        }
    )
    return {
        "mode": question.mode,
        "fusion": f"TM2C2: {engine.dense_weight:.4g} * dense + {1 - engine.dense_weight:.4g} * lexical, each less its "
        "least possible score and divided by its largest",
        "feedback": {"dense_share": engine.dense_feedback, "lexical": engine.lexical_feedback},
        "dense_minimum": facts.dense_minimum,
        "lexical_minimum": facts.lexical_minimum,
        "leg_depth": max(question.top_k, LEG_DEPTH_MIN),
        "query_terms": engine.analyzer.question_terms(question.text),
        **reranking,
    }


def _reranks(question: Question, engine: Engine) -> bool:
    return engine.rerank_by_default if question.rerank is None else question.rerank


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
