"""POST /v1/search and POST /v1/answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import ExitStack, aclosing
from functools import partial
from typing import cast

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from service.answer import answer, search
from service.budget import Deadline
from service.contract import AnswerResponse, PipelineEvent, SearchResponse, SentenceEvent, fold
from service.engine import Engine
from service.http.admission import Place, Pool
from service.http.exchange import Exchange, exchange_of
from service.http.log import note
from service.http.metrics import Metrics
from service.http.models import AnswerRequest, SearchRequest
from service.http.questions import answer_question, deadline_of, read_model, search_question
from service.http.sse import EventStream, Pump, until_gone
from service.question import Question
from service.wiring import Service


class QuestionRoutes:
    """What is asked of an index.

    Args:
        service: leases the engine that a request keeps to its end.
        metrics: told what stages took.
        pools: "search" and "answer", where a request waits for its turn.
        ping_s: seconds between comments on a silent stream.
    """

    def __init__(self, service: Service, metrics: Metrics, pools: Mapping[str, Pool], ping_s: float) -> None:
        self._service = service
        self._metrics = metrics
        self._pools = pools
        self._ping_s = ping_s

    async def search(self, request: Request) -> Response:
        """Ranked passages for a query."""
        settings = self._service.settings
        asked = await read_model(request, SearchRequest, settings.body_bytes_max)
        with self._service.holder.lease() as engine:
            question = search_question(request, asked, settings, engine)
            deadline = deadline_of(request, asked.deadline_ms, engine, None)
            _traced(request, question, engine)
            response = await until_gone(request.receive, self._searched(question, engine, deadline))
        self._metrics.stages(response.stages, response.degraded)
        note(exchange_of(request), response, question.text if settings.log_queries else None)
        return json_response(response)

    async def _searched(self, question: Question, engine: Engine, deadline: Deadline) -> SearchResponse:
        async with self._pools["search"].place(deadline) as place:
            response = await search(question, engine, deadline)
            place.ended_well()
        return response

    async def answer(self, request: Request) -> Response:
        """An answer whose every sentence was checked, as JSON or as a stream of events."""
        settings = self._service.settings
        asked = await read_model(request, AnswerRequest, settings.body_bytes_max)
        with ExitStack() as lease:
            engine = lease.enter_context(self._service.holder.lease())
            question = answer_question(request, asked, settings)
            deadline = deadline_of(request, asked.deadline_ms, engine, engine.budgets.total_ms)
            _traced(request, question, engine)
            place = await until_gone(request.receive, self._placed(deadline, lease))
            events = heard(answer(question, engine, deadline), exchange_of(request), self._metrics)
            finished = partial(self._answered, place=place, exchange=exchange_of(request))
            if asked.stream:
                return await self._stream(request, events, lease, finished)
            response = fold(await until_gone(request.receive, _all(events)))
            finished(response)
        return json_response(response)

    async def _placed(self, deadline: Deadline, lease: ExitStack) -> Place:
        """A place that is left with the lease, whatever happens meanwhile."""
        place = await self._pools["answer"].enter(deadline)
        lease.callback(place.leave)
        return place

    def _answered(self, response: AnswerResponse, place: Place, exchange: Exchange) -> None:
        place.ended_well()
        self._metrics.answered(response)
        note(exchange, response, response.query_used if self._service.settings.log_queries else None)

    async def _stream(
        self,
        request: Request,
        events: AsyncIterator[PipelineEvent],
        lease: ExitStack,
        finished: Callable[[AnswerResponse], None],
    ) -> EventStream:
        """Wait for the first event (what fails before it is a problem), then hand the lease on to the stream."""
        pump = Pump(events)
        try:
            first = await until_gone(request.receive, pump.next())
        except BaseException:
            await pump.close()
            raise
        return EventStream(
            first,
            pump,
            exchange_of(request),
            finished=finished,
            release=lease.pop_all().close,
            ping_s=self._ping_s,
        )


def json_response(model: BaseModel) -> Response:
    """A model as it is: it was checked when it was made."""
    return Response(model.model_dump_json(), media_type="application/json")


def _traced(request: Request, question: Question, engine: Engine) -> None:
    trace = exchange_of(request).trace
    if trace is not None:
        trace.asked(question.text, engine)


async def heard(
    events: AsyncIterator[PipelineEvent], exchange: Exchange, metrics: Metrics
) -> AsyncGenerator[PipelineEvent, None]:
    """The events as they are; when the first sentence came is noted."""
    waiting = True
    async with aclosing(cast("AsyncGenerator[PipelineEvent, None]", events)) as open_events:
        async for event in open_events:
            if waiting and isinstance(event, SentenceEvent):
                waiting = False
                metrics.first_sentence(exchange.elapsed_ms() / 1000)
            yield event


async def _all(events: AsyncIterator[PipelineEvent]) -> list[PipelineEvent]:
    async with aclosing(cast("AsyncGenerator[PipelineEvent, None]", events)) as open_events:
        return [event async for event in open_events]
