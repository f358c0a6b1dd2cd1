"""Reading a kept answer: the stream of its first reader, and GET /v1/answers/{request_id}/events for those after; and
DELETE /v1/answers/{request_id}, where nobody wants it any more.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from http import HTTPStatus
from typing import Annotated

from fastapi import Header, Path, Query
from fastapi.sse import KEEPALIVE_COMMENT
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.adapters.answer_log import AnswerGone, AnswerLog, AnswersUnreachable, Batch
from service.http.exchange import Exchange, exchange_of, principals_of
from service.http.kept import KeptAnswers, gone, unreachable
from service.http.problems import ProblemError, invalid, problem_of
from service.http.sse import HEADERS, MEDIA_TYPE, EventStream, frame, send_chunks, until_gone

TOKEN_HEADER = "x-resume-token"  # noqa: S105  # a header's name
RequestId = Annotated[str, Path(description="the answer's request id")]
TokenHeader = Annotated[str | None, Header(description="as the answer's first response told it")]
TokenQuery = Annotated[str | None, Query(description="the same, for those who set no headers")]
_NUMBER = re.compile(r"[0-9]{1,15}")


class KeptStream(Response):
    """A response that follows a kept answer to its end. Its client may leave: the work does not notice.

    Args:
        answer: to read.
        after: the number of the last event that the client has.
        exchange: the request.
        token: what it takes to come back, told in a header; None: the client knows.
        ping_s: a comment is sent after so many seconds without an event.
        send_s: a client that takes no bytes for so long counts as gone.
    """

    media_type = MEDIA_TYPE

    def __init__(
        self,
        answer: AnswerLog,
        after: int,
        exchange: Exchange,
        *,
        token: str | None = None,
        ping_s: float,
        send_s: float,
    ) -> None:
        self.status_code = HTTPStatus.OK
        self.background = None
        self.init_headers(HEADERS if token is None else {**HEADERS, TOKEN_HEADER: token})
        self._answer = answer
        self._after = after
        self._exchange = exchange
        self._ping_s = ping_s
        self._send_s = send_s
        self._cut: Exception | None = None
        self._waiting: asyncio.Timeout | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # ASGI's signature
        """Send the stream until it ends or the client leaves."""
        self._exchange.cut = self._cut_off
        try:
            with self._answer.reading():
                await until_gone(receive, send_chunks(send, self, self._chunks(), self._send_s))
        except (OSError, ClientDisconnect):
            self._exchange.gone = True

    def _cut_off(self, error: Exception) -> None:
        """End the stream with this error, and not the answer: who is alive may read on elsewhere."""
        self._cut = error
        if self._waiting is not None:
            self._waiting.reschedule(asyncio.get_running_loop().time())

    async def _news(self, number: int) -> Batch | None:
        """The frames after that number; None where there is none for a while, or the stream is cut off."""
        try:
            async with asyncio.timeout(self._ping_s) as self._waiting:
                return await self._answer.after(number)
        except TimeoutError:
            return None
        finally:
            self._waiting = None

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        """Frames and pings. Where what is kept is lost on the way the terminal event is an `error` without an id: the
        last event that the client has stays what it was.
        """
        number, last = self._after, False
        try:
            while not last:
                batch = await self._news(number)
                if batch is not None:
                    for one in batch.frames:
                        yield one
                    number, last = number + len(batch.frames), batch.last
                if self._cut is not None and not last:
                    yield frame(None, "error", problem_of(self._cut, self._exchange.request_id))
                    return
                if batch is None:
                    yield KEEPALIVE_COMMENT
        except AnswerGone:
            yield frame(None, "error", problem_of(gone(), self._exchange.request_id))
        except AnswersUnreachable:
            yield frame(None, "error", problem_of(unreachable(), self._exchange.request_id))


class Resumption:
    """Answers for clients that come back.

    Args:
        kept: all of them.
        ping_s: seconds between comments on a silent stream.
        send_s: a client that takes no bytes for so long counts as gone.
    """

    def __init__(self, kept: KeptAnswers, ping_s: float, send_s: float) -> None:
        self._kept = kept
        self._ping_s = ping_s
        self._send_s = send_s

    def require_room(self, *, stream: bool) -> None:
        """Raises ProblemError where an answer cannot be kept: before any work is spent on it."""
        if not stream:
            raise invalid("only a stream can be resumed", "resumable")
        self._kept.make_room()

    async def first(self, source: EventStream, request: Request) -> KeptStream:
        """The stream for the client that asked; others, and itself later, come with its token."""
        exchange = exchange_of(request)
        try:
            token, answer = self._kept.keep(source, exchange.request_id, principals_of(request))
        except BaseException:
            await source.close()
            raise
        return KeptStream(answer, 0, exchange, token=token, ping_s=self._ping_s, send_s=self._send_s)

    async def events(
        self,
        request: Request,
        request_id: RequestId,
        x_resume_token: TokenHeader = None,
        resume_token: TokenQuery = None,
        last_event_id: Annotated[
            str | None, Header(description="id of the last event that the client has; absent: none")
        ] = None,
        after: Annotated[
            str | None, Query(alias="last_event_id", description="the same; the header counts where both are there")
        ] = None,
    ) -> Response:
        """What follows the last event that a client has, to the answer's end; 204 where it has the terminal event."""
        token = _token(x_resume_token, resume_token)
        given = after if last_event_id is None else last_event_id
        number = 0 if given is None else _number_of(given)
        answer = await self._kept.find(request_id, token, principals_of(request))
        try:
            batch = await answer.reached(number)
        except LookupError:
            raise invalid("no such event was sent", "header", "last-event-id") from None
        except AnswerGone:
            raise gone() from None
        except AnswersUnreachable:
            raise unreachable() from None
        if batch.last and not batch.frames:
            return Response(status_code=HTTPStatus.NO_CONTENT)
        return KeptStream(answer, number, exchange_of(request), ping_s=self._ping_s, send_s=self._send_s)

    async def stop(
        self,
        request: Request,
        request_id: RequestId,
        x_resume_token: TokenHeader = None,
        resume_token: TokenQuery = None,
    ) -> Response:
        """End the work on an answer, and keep nothing of it: who still reads it is told that it is gone."""
        await self._kept.stop(request_id, _token(x_resume_token, resume_token), principals_of(request))
        return Response(status_code=HTTPStatus.NO_CONTENT)


def _token(header: str | None, query: str | None) -> str:
    token = header or query
    if not token:
        raise ProblemError("not-found", f"Send the {TOKEN_HEADER} that came with the answer.")
    return token


def _number_of(given: str) -> int:
    if not _NUMBER.fullmatch(given.strip()):
        raise invalid("must be the id of an event: a whole number", "header", "last-event-id")
    return int(given)
