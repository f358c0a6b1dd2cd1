"""POST /v1/chat/ui: what useChat of Vercel's AI SDK talks to."""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import Response

from service.engine import Engine
from service.http.conversations import conversation, ui_said
from service.http.exchange import exchange_of, public_base
from service.http.formats.frames import DataFrames
from service.http.formats.requests import UiRequest
from service.http.formats.ui_messages import HEADERS, UiChunks
from service.http.formats.written import COLLECTION, Head
from service.http.questions import answer_question, read_model
from service.http.routes_questions import Form, QuestionRoutes
from service.wiring import Service


class UiRoutes:
    """What useChat calls.

    Args:
        service: whose index is asked.
        questions: answers.
    """

    def __init__(self, service: Service, questions: QuestionRoutes) -> None:
        self._service = service
        self._questions = questions

    async def chat_ui(self, request: Request) -> Response:
        """An answer as a UI message stream."""
        settings = self._service.settings
        asked = await read_model(request, UiRequest, settings.body_bytes_max)
        turns = conversation(ui_said(asked), asked.rag)

        def form(engine: Engine) -> Form:
            head = Head(
                request_id=exchange_of(request).request_id,
                created=int(time.time()),
                model=COLLECTION,
                generation=engine.snapshot.facts.generation,
                base=public_base(request, settings),
                style=asked.rag.citation_style,
            )
            return DataFrames(UiChunks(head), headers=HEADERS)

        return await self._questions.reply(
            request, lambda _: answer_question(request, turns, settings), turns.deadline_ms, form
        )
