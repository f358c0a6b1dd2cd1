"""POST /v1/search and POST /v1/answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import ExitStack, aclosing
from functools import partial
from typing import cast

from pydantic import BaseModel
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from service.answer import answer, search
from service.budget import Deadline
from service.contract import AnswerResponse, FinishEvent, PipelineEvent, SearchResponse, SentenceEvent, fold
from service.engine import Engine
from service.http.admission import Place, Pool
from service.http.exchange import Exchange, exchange_of
from service.http.log import note
from service.http.metrics import Metrics
from service.http.models import AnswerRequest, SearchRequest
from service.http.questions import answer_question, deadline_of, read_model, search_question
from service.http.resume import Resumption
from service.http.sse import EventStream, Frames, NativeFrames, Pump, until_gone
from service.question import Question
from service.result_cache import was_worked_on
from service.wiring import Service

Form = Frames | Callable[[AnswerResponse], Response]
"""How an answer leaves: as frames of a stream, or as what a function makes of the whole."""


class QuestionRoutes:
    """What is asked of an index.

    Args:
        service: leases the engine that a request keeps to its end.
        metrics: told what stages took.
        pools: "search" and "answer", where a request waits for its turn.
        resumption: keeps answers for clients that come back.
        ping_s: seconds between comments on a silent stream.
        remember: told each whole answer, with its request and the question as it was asked, or as rules made it.
    """

    def __init__(
        self,
        service: Service,
        metrics: Metrics,
        pools: Mapping[str, Pool],
        resumption: Resumption,
        ping_s: float,
        remember: Callable[[Request, str, AnswerResponse], None],
    ) -> None:
        self._service = service
        self._metrics = metrics
        self._pools = pools
        self._resumption = resumption
        self._ping_s = ping_s
        self._remember = remember

    async def search(self, request: Request) -> Response:
        """Ranked passages for a query."""
        settings = self._service.settings
        asked = await read_model(request, SearchRequest, settings.body_bytes_max)
        with self._service.holder.lease() as engine:
            question = search_question(request, asked, settings, engine)
            deadline = deadline_of(request, asked.deadline_ms, engine, engine.budgets.total_ms)
            traced(request, question, engine)
            with self._metrics.counted(deadline):
                response = await until_gone(request.receive, self._searched(question, engine, deadline))
        answer = json_response(response)
        answer.background = BackgroundTask(self._noted, request, question, response)
        return answer

    async def _noted(self, request: Request, question: Question, response: SearchResponse) -> None:
        """Count and note a search, once its answer has left."""
        self._metrics.stages(response.stages, response.degraded)
        note(exchange_of(request), response, question.text if self._service.settings.log_queries else None)

    async def _searched(self, question: Question, engine: Engine, deadline: Deadline) -> SearchResponse:
        async with self._pools["search"].place(deadline) as place:
            response = await search(question, engine, deadline)
            if was_worked_on(response.stages):
                place.ended_well()
        return response

    async def answer(self, request: Request) -> Response:
        """An answer whose every sentence was checked, as JSON or as a stream of events."""
        settings = self._service.settings
        asked = await read_model(request, AnswerRequest, settings.body_bytes_max)
        if asked.resumable:
            self._resumption.require_room(stream=asked.stream)
        return await self.reply(
            request,
            lambda _: answer_question(request, asked, settings),
            asked.deadline_ms,
            lambda _: NativeFrames() if asked.stream else json_response,
            resumable=asked.resumable,
        )

    async def reply(
        self,
        request: Request,
        question_of: Callable[[Engine], Question],
        deadline_ms: float | None,
        form_of: Callable[[Engine], Form],
        *,
        resumable: bool = False,
    ) -> Response:
        """An answer in any wire format.

        Args:
            request: who asks.
            question_of: the question, by the engine that will answer it. May raise ProblemError or FilterError.
            deadline_ms: what the body says of it.
            form_of: how the answer leaves: as frames of a stream, or as what a function makes of the whole.
            resumable: the stream is kept for a client that comes back; there must be room for it.
        """
        with ExitStack() as lease:
            engine = lease.enter_context(self._service.holder.lease())
            question, form = question_of(engine), form_of(engine)
            deadline = deadline_of(request, deadline_ms, engine, engine.budgets.total_ms)
            traced(request, question, engine)
            with self._metrics.counted(deadline):
                place = await until_gone(request.receive, self._placed(deadline, lease))
            events = heard(answer(question, engine, deadline), exchange_of(request), self._metrics, deadline)
            told = partial(self._answered, request=request, question=question, place=place)
            if not callable(form):
                ping_s = None if resumable else self._ping_s
                stream = await self._stream(request, events, form, lease, told, ping_s)
                return await self._resumption.first(stream, request) if resumable else stream
            response = fold(await until_gone(request.receive, _all(events)))
            told(response)
        return form(response)

    async def _placed(self, deadline: Deadline, lease: ExitStack) -> Place:
        """A place that is left with the lease, whatever happens meanwhile."""
        place = await self._pools["answer"].enter(deadline)
        lease.callback(place.leave)
        return place

    def _answered(self, response: AnswerResponse, *, request: Request, question: Question, place: Place) -> None:
        if was_worked_on(response.stages):
            place.ended_well()
        self._metrics.answered(response)
        self._remember(request, question.turns[-1].content if question.turns else question.text, response)
        note(exchange_of(request), response, response.query_used if self._service.settings.log_queries else None)

    async def _stream(
        self,
        request: Request,
        events: AsyncIterator[PipelineEvent],
        frames: Frames,
        lease: ExitStack,
        finished: Callable[[AnswerResponse], None],
        ping_s: float | None,
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
            frames=frames,
            finished=finished,
            release=lease.pop_all().close,
            ping_s=ping_s,
            send_s=self._service.settings.client_stall_ms / 1000,
        )


def json_response(model: BaseModel) -> Response:
    """A model as it is: it was checked when it was made."""
    return Response(model.model_dump_json(), media_type="application/json")


def traced(request: Request, question: Question, engine: Engine) -> None:
    """Tell the request's trace, where it has one, what is asked of what."""
    trace = exchange_of(request).trace
    if trace is not None:
        trace.asked(question.text, engine)


async def heard(
    events: AsyncIterator[PipelineEvent], exchange: Exchange, metrics: Metrics, deadline: Deadline
) -> AsyncGenerator[PipelineEvent, None]:
    """The events as they are; when the first sentence came is noted, and what stages took where no finish tells it."""
    waiting, whole = True, False
    try:
        async with aclosing(cast("AsyncGenerator[PipelineEvent, None]", events)) as open_events:
            async for event in open_events:
                if waiting and isinstance(event, SentenceEvent):
                    waiting = False
                    metrics.first_sentence(exchange.elapsed_ms() / 1000)
                whole = whole or isinstance(event, FinishEvent)
                yield event
    finally:
        if not whole:
            metrics.stages(deadline.report(), ())


async def _all(events: AsyncIterator[PipelineEvent]) -> list[PipelineEvent]:
    async with aclosing(cast("AsyncGenerator[PipelineEvent, None]", events)) as open_events:
        return [event async for event in open_events]
