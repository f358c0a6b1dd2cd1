"""POST /v1/feedback: what people think of answers."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.requests import Request
from starlette.responses import Response

from service.contract import AnswerResponse
from service.http.exchange import principals_of
from service.http.models import FeedbackRequest, FeedbackResponse
from service.http.problems import ProblemError
from service.http.questions import read_model
from service.http.routes_questions import json_response
from service.ratings import AnswerUnknown, NewRating, Rated, Ratings
from service.wiring import Service
from store.text import canonical

WAITS_S = (0.2, 0.8)
"""Seconds after which a rating of an unknown answer is tried again."""


class FeedbackRoutes:
    """Takes ratings of answers that this service gave.

    Args:
        service: its settings.
        ratings: what keeps them.
    """

    def __init__(self, service: Service, ratings: Ratings) -> None:
        self._service = service
        self._ratings = ratings

    async def feedback(self, request: Request) -> Response:
        """Keep a rating of an answer, or of one sentence of it."""
        asked = await read_model(request, FeedbackRequest, self._service.settings.body_bytes_max)
        comment = None if asked.comment is None else canonical(asked.comment).strip() or None
        given = NewRating(asked.request_id, asked.rating, comment, asked.sentence_index, principals_of(request))
        if self._ratings.busy:
            raise ProblemError("overloaded", "More ratings come in than can be written. Send it again in 2 s.")
        kept = await self._kept(given)
        return json_response(
            FeedbackResponse(
                request_id=kept.answer.request_id,
                sentence_index=kept.sentence_index,
                rating=kept.rating,
                comment=kept.comment,
                rated=kept.rated,
            )
        )

    async def _kept(self, given: NewRating) -> Rated:
        """Keep it; an answer that another worker has given just now may not be in the file yet."""
        for wait_s in WAITS_S:
            with suppress(AnswerUnknown):
                return await asyncio.to_thread(self._ratings.rate, given)
            await asyncio.sleep(wait_s)
        return await asyncio.to_thread(self._ratings.rate, given)


def remember(service: Service, request: Request, question: str, response: AnswerResponse) -> None:
    """Note an answer that was given, so that it can be rated; `question` is as it was asked."""
    if service.ratings is not None:
        service.ratings.remember(canonical(question), principals_of(request), response)
