"""The tools: what they take and give, and how a call is answered. Folds over the same events as every other format."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field, ValidationError
from starlette.requests import Request

from service.answer import answer, search
from service.contract import AnswerResponse, GuardrailMode, PipelineEvent, SearchResponse, SentenceEvent, fold
from service.http.admission import Pool
from service.http.exchange import exchange_of, principals_of, public_base
from service.http.log import note
from service.http.metrics import Metrics
from service.http.models import AnswerRequest, Asked, Body, DocumentResponse, SearchRequest
from service.http.problems import Problem, log_problem, problem_of
from service.http.questions import answer_question, deadline_of, refused, search_question
from service.http.routes_documents import VERSION, document_response, find_document
from service.http.routes_questions import heard, traced
from service.mcp.texts import answer_text, document_text, search_text
from service.result_cache import was_worked_on
from service.wiring import Service
from store.text import canonical

Progress = Callable[[int, str], Awaitable[None]]
"""Told each sentence that was checked: how many there are, and its text."""


class SearchArguments(Asked):
    """Arguments of `search`."""

    query: str = Field(description="what to look for, in words; at most 64 kB")


class AnswerArguments(Asked):
    """Arguments of `answer`."""

    query: str = Field(description="the question, standing for itself; at most 64 kB")
    guardrail: GuardrailMode | None = Field(
        None, description="verified: unsupported sentences are withheld; flagged: they are shown and marked"
    )


class FetchArguments(Body):
    """Arguments of `fetch`."""

    id: str = Field(min_length=1, max_length=4_096, description="a document's id, as search and answer name it")
    version: str | None = Field(
        None, pattern=VERSION, description="a citation's document_version; absent: the one that is current"
    )


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as it is announced."""

    name: str
    title: str
    description: str
    arguments: type[Body]
    output: type[BaseModel]


TOOLS: Mapping[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool(
            "search",
            "Search the documents",
            "Ranked passages of the indexed documents for a query: words and meaning are both compared. Use it to find "
            "out what the documents hold; fetch reads a whole document by its id. A filter narrows by metadata, as in "
            '{"lang": "en", "year": {"$gte": 2020}}.',
            SearchArguments,
            SearchResponse,
        ),
        Tool(
            "answer",
            "Answer from the documents",
            "An answer made from the indexed documents alone. Every sentence was checked before it is given: its "
            "citations quote a document word for word, with offsets. Where the documents do not hold the answer, it "
            "says so (verdict abstained) and lists the nearest sources; sentences that could not be supported are "
            "withheld and counted.",
            AnswerArguments,
            AnswerResponse,
        ),
        Tool(
            "fetch",
            "Read a document",
            "One document with its whole text, which the offsets of passages and citations refer to, its metadata and "
            "its url.",
            FetchArguments,
            DocumentResponse,
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call came to.

    Args:
        text: for models and people: an answer with its sources, or what is wrong.
        structured: the whole response, as the HTTP route gives it; None where there is a problem.
        problem: what is wrong.
    """

    text: str
    structured: dict[str, Any] | None = None
    problem: Problem | None = None


class Tools:
    """Answers calls, with the limits, pools and deadlines of the HTTP routes.

    Args:
        service: leases the engine that a call keeps to its end.
        metrics: told what stages took.
        pools: "search" and "answer", where a call waits for its turn.
        remember: told each whole answer, with the request and the question as it was asked.
        with_source_pages: whether citations can be linked to this service's own pages.
    """

    def __init__(
        self,
        service: Service,
        metrics: Metrics,
        pools: Mapping[str, Pool],
        remember: Callable[[Request, str, AnswerResponse], None],
        *,
        with_source_pages: bool,
    ) -> None:
        self._service = service
        self._metrics = metrics
        self._pools = pools
        self._remember = remember
        self._with_source_pages = with_source_pages

    async def call(self, tool: Tool, arguments: Mapping[str, Any], request: Request, progress: Progress) -> Outcome:
        """Answer a call; whatever goes wrong is a problem in the outcome. Cancelling it stops the work behind it."""
        try:
            try:
                asked = tool.arguments.model_validate(dict(arguments))
            except ValidationError as error:
                raise refused(error) from None
            if isinstance(asked, SearchArguments):
                return await self._search(asked, request)
            if isinstance(asked, AnswerArguments):
                return await self._answer(asked, request, progress)
            assert isinstance(asked, FetchArguments)
            return await self._fetch(asked, request)
        except Exception as error:  # noqa: BLE001  # told as a problem, and logged where nobody foresaw it
            problem = problem_of(error, exchange_of(request).request_id)
            log_problem(error, problem)
            return Outcome(f"{problem.title}: {problem.detail}\n(request {problem.request_id})", None, problem)

    async def _search(self, arguments: SearchArguments, request: Request) -> Outcome:
        asked = SearchRequest(**arguments.model_dump())
        with self._service.holder.lease() as engine:
            question = search_question(request, asked, self._service.settings, engine)
            deadline = deadline_of(request, asked.deadline_ms, engine, engine.budgets.total_ms)
            traced(request, question, engine)
            with self._metrics.counted(deadline):
                async with self._pools["search"].place(deadline) as place:
                    response = await search(question, engine, deadline)
                    if was_worked_on(response.stages):
                        place.ended_well()
        self._metrics.stages(response.stages, response.degraded)
        self._note(request, response, question.text)
        return Outcome(search_text(response), response.model_dump(mode="json"))

    async def _answer(self, arguments: AnswerArguments, request: Request, progress: Progress) -> Outcome:
        asked = AnswerRequest(**arguments.model_dump())
        events: list[PipelineEvent] = []
        with self._service.holder.lease() as engine:
            question = answer_question(request, asked, self._service.settings)
            deadline = deadline_of(request, asked.deadline_ms, engine, engine.budgets.total_ms)
            traced(request, question, engine)
            with self._metrics.counted(deadline):
                place = await self._pools["answer"].enter(deadline)
            with ExitStack() as leaving:
                leaving.callback(place.leave)
                sentences = 0
                making = heard(answer(question, engine, deadline), exchange_of(request), self._metrics, deadline)
                async with aclosing(making) as open_events:
                    async for event in open_events:
                        events.append(event)
                        if isinstance(event, SentenceEvent):
                            sentences += 1
                            await progress(sentences, event.text)
                response = fold(events)
                if was_worked_on(response.stages):
                    place.ended_well()
        self._metrics.answered(response)
        self._remember(request, arguments.query, response)
        self._note(request, response, response.query_used)
        base = public_base(request, self._service.settings) if self._with_source_pages else None
        return Outcome(answer_text(response, base), response.model_dump(mode="json"))

    def _note(self, request: Request, response: AnswerResponse | SearchResponse, query: str) -> None:
        note(exchange_of(request), response, query if self._service.settings.log_queries else None)

    async def _fetch(self, arguments: FetchArguments, request: Request) -> Outcome:
        found = await find_document(self._service, canonical(arguments.id), arguments.version, principals_of(request))
        response = document_response(found)
        return Outcome(document_text(response), response.model_dump(mode="json"))
