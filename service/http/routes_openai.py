"""POST /v1/chat/completions, POST /v1/responses and GET /v1/models: the same answers for clients of OpenAI's API."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from service.engine import Engine
from service.http.conversations import (
    chat_said,
    check_model,
    check_supported,
    conversation,
    model_ids,
    only_prompt,
    responses_said,
)
from service.http.exchange import exchange_of, public_base
from service.http.formats.chat_completions import ChatChunks, completion, task_chunks, task_completion
from service.http.formats.frames import END, DataFrames, data_frame
from service.http.formats.requests import CHAT_REFUSED, RESPONSES_REFUSED, ChatRequest, ResponsesRequest
from service.http.formats.responses import ResponseEvents, response_object
from service.http.formats.tasks import Background, background
from service.http.formats.written import Head
from service.http.models import AnswerRequest, ModelCard, ModelList
from service.http.questions import answer_question, read_model
from service.http.routes_questions import Form, QuestionRoutes, json_response
from service.http.sse import HEADERS, MEDIA_TYPE
from service.question import Question
from service.wiring import Service
from store.local import LocalSnapshot


class OpenAIRoutes:
    """What OpenAI's clients call.

    Args:
        service: whose index is asked.
        questions: answers.
    """

    def __init__(self, service: Service, questions: QuestionRoutes) -> None:
        self._service = service
        self._questions = questions

    async def chat_completions(self, request: Request) -> Response:
        """An answer as a chat completion, whole or as chunks."""
        asked = await read_model(request, ChatRequest, self._service.settings.body_bytes_max)
        said = chat_said(asked)
        prompt = only_prompt(said)
        task = None if prompt is None else background(prompt)
        if task is not None:
            return self._task(request, asked, task)
        check_supported(asked.others, CHAT_REFUSED)
        turns = conversation(said, asked.rag)

        def form(engine: Engine) -> Form:
            head = head_of(request, engine, self._service, asked)
            if asked.stream:
                return DataFrames(ChatChunks(head, include_usage=_wants_usage(asked)))
            return lambda response: json_response(completion(response, head))

        return await self._questions.reply(request, self._question(request, asked, turns), turns.deadline_ms, form)

    async def responses(self, request: Request) -> Response:
        """An answer as a response of OpenAI's, whole or as events."""
        asked = await read_model(request, ResponsesRequest, self._service.settings.body_bytes_max)
        check_supported(asked.others, RESPONSES_REFUSED)
        turns = conversation(responses_said(asked), asked.rag)

        def form(engine: Engine) -> Form:
            head = head_of(request, engine, self._service, asked)
            if asked.stream:
                return DataFrames(ResponseEvents(head), named=True, ends=False)
            return lambda response: json_response(response_object(response, head))

        return await self._questions.reply(request, self._question(request, asked, turns), turns.deadline_ms, form)

    async def models(self) -> Response:
        """The names under which the index can be asked."""
        with self._service.holder.lease() as engine:
            return json_response(ModelList(data=_cards(engine)))

    async def model(self, model: str) -> Response:
        """One of these names."""
        with self._service.holder.lease() as engine:
            check_model(model, engine.snapshot.facts.generation)
            return json_response(next(one for one in _cards(engine) if one.id == model))

    def _question(
        self, request: Request, asked: ChatRequest | ResponsesRequest, turns: AnswerRequest
    ) -> Callable[[Engine], Question]:
        def question(engine: Engine) -> Question:
            check_model(asked.model, engine.snapshot.facts.generation)
            return answer_question(request, turns, self._service.settings)

        return question

    def _task(self, request: Request, asked: ChatRequest, task: Background) -> Response:
        """What a frontend asks beside the conversation, answered from that alone."""
        with self._service.holder.lease() as engine:
            check_model(asked.model, engine.snapshot.facts.generation)
            head = head_of(request, engine, self._service, asked)
        if not asked.stream:
            return json_response(task_completion(task.text, task.task, head))
        chunks = task_chunks(task.text, task.task, head, include_usage=_wants_usage(asked))
        body = b"".join(data_frame(one) for one in chunks) + END
        return Response(body, headers=dict(HEADERS), media_type=MEDIA_TYPE)


def head_of(request: Request, engine: Engine, service: Service, asked: ChatRequest | ResponsesRequest) -> Head:
    """What the answer has before its first word."""
    return Head(
        request_id=exchange_of(request).request_id,
        created=int(time.time()),
        model=asked.model,
        generation=engine.snapshot.facts.generation,
        base=public_base(request, service.settings),
        style=asked.rag.citation_style,
    )


def _wants_usage(asked: ChatRequest) -> bool:
    return bool(asked.stream_options and asked.stream_options.include_usage)


def _cards(engine: Engine) -> list[ModelCard]:
    snapshot = engine.snapshot
    made = snapshot.manifest.created_at if isinstance(snapshot, LocalSnapshot) else None
    created = 0 if made is None else int(datetime.fromisoformat(made).timestamp())
    return [ModelCard(id=name, created=created) for name in model_ids(snapshot.facts.generation)]
