"""The asynchronous client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, cast

import httpx2

from footnote_client import requests, types
from footnote_client.errors import ConnectionFailed, StreamBroken, TimedOut, Unavailable, error_of, error_of_response
from footnote_client.events import Done, Event, EventParser, Failed
from footnote_client.fold import Fold
from footnote_client.requests import Guardrail, Mode, Rating, Request

_PAUSES_S = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Before each attempt to read on, one after the other without an event between them; the work goes on for 30 s."""


class AsyncFootnote:
    """A Footnote service.

    Every method raises the errors of `footnote_client.errors`, and no other library's.

    Args:
        base_url: where it is.
        timeout_s: longest silence; a stream is never silent for more than 15 s.
        headers: sent with every request.
        http: a client of httpx2 to use instead of an own one; it is not closed here, and has its own timeout.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8000",
        *,
        timeout_s: float = 35.0,
        headers: Mapping[str, str] | None = None,
        http: httpx2.AsyncClient | None = None,
    ) -> None:
        self._base = base_url.rstrip("/")
        self._headers = dict(headers or {})
        self._own = http is None
        self._http = httpx2.AsyncClient(timeout=timeout_s) if http is None else http

    async def __aenter__(self) -> Self:
        """The client itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        if self._own:
            await self._http.aclose()

    async def search(
        self,
        query: str,
        *,
        top_k: int | None = None,
        mode: Mode | None = None,
        rerank: bool | None = None,
        filter: Mapping[str, Any] | None = None,  # noqa: A002  # the API's word
        deadline_ms: float | None = None,
        explain: bool | None = None,
        why: str | None = None,
        segment_words: int | None = None,
        vector: Sequence[float] | None = None,
    ) -> types.SearchResponse:
        """Ranked passages."""
        asked = requests.search(
            query,
            top_k=top_k,
            mode=mode,
            rerank=rerank,
            filter=filter,
            deadline_ms=deadline_ms,
            explain=explain,
            why=why,
            segment_words=segment_words,
            vector=None if vector is None else list(vector),
        )
        return cast("types.SearchResponse", await self._call(asked))

    async def answer(
        self,
        query: str | None = None,
        *,
        messages: Sequence[types.Message] | None = None,
        top_k: int | None = None,
        mode: Mode | None = None,
        rerank: bool | None = None,
        filter: Mapping[str, Any] | None = None,  # noqa: A002  # the API's word
        deadline_ms: float | None = None,
        guardrail: Guardrail | None = None,
    ) -> types.AnswerResponse:
        """A checked answer, when it is whole."""
        asked = requests.answer(
            query,
            messages,
            top_k=top_k,
            mode=mode,
            rerank=rerank,
            filter=filter,
            deadline_ms=deadline_ms,
            guardrail=guardrail,
        )
        return cast("types.AnswerResponse", await self._call(asked))

    def stream(
        self,
        query: str | None = None,
        *,
        messages: Sequence[types.Message] | None = None,
        resumable: bool = False,
        top_k: int | None = None,
        mode: Mode | None = None,
        rerank: bool | None = None,
        filter: Mapping[str, Any] | None = None,  # noqa: A002  # the API's word
        deadline_ms: float | None = None,
        guardrail: Guardrail | None = None,
    ) -> AsyncAnswerStream:
        """A checked answer as it comes: enter the stream, then iterate over its events.

        Args:
            query: or `messages`.
            messages: a conversation whose last turn is the user's.
            resumable: read on by itself where the connection breaks.
        """
        asked = requests.answer(
            query,
            messages,
            stream=True,
            resumable=resumable or None,
            top_k=top_k,
            mode=mode,
            rerank=rerank,
            filter=filter,
            deadline_ms=deadline_ms,
            guardrail=guardrail,
        )
        return AsyncAnswerStream(self, asked)

    def resume(self, request_id: str, token: str, last_event_id: int | None = None) -> AsyncAnswerStream:
        """A resumable answer that was asked for elsewhere, as in another tab; without an event id from its start.

        Without its start the stream cannot tell the whole answer but by its `Done`.
        """
        asked = requests.events(request_id, token, last_event_id)
        return AsyncAnswerStream(self, asked, request_id, token, last_event_id)

    async def stop(self, request_id: str, token: str) -> None:
        """End the work on a resumable answer that nobody wants any more."""
        await self._call(requests.stop(request_id, token))

    async def document(self, id: str, version: str | None = None) -> types.DocumentResponse:  # noqa: A002  # API's word
        """A document with its canonical text; without a version as it is in the open snapshot."""
        return cast("types.DocumentResponse", await self._call(requests.document(id, version)))

    async def index(self) -> types.IndexResponse:
        """What the open snapshot says of itself."""
        return cast("types.IndexResponse", await self._call(Request("GET", "/v1/index")))

    async def ready(self) -> types.ReadyResponse:
        """Whether a snapshot is open and warm. Raises Unavailable while none is."""
        return cast("types.ReadyResponse", await self._call(Request("GET", "/readyz")))

    async def feedback(self, request_id: str, rating: Rating, comment: str | None = None) -> None:
        """Say whether an answer was right."""
        await self._call(requests.feedback(request_id, rating, comment))

    async def _call(self, asked: Request) -> Any:
        response = await self.send(asked)
        try:
            body = await response.aread()
        except httpx2.TimeoutException as error:
            raise TimedOut(str(error) or "the response took too long") from error
        except httpx2.RequestError as error:
            raise ConnectionFailed(str(error)) from error
        finally:
            await response.aclose()
        if not response.is_success:
            raise error_of_response(response.status_code, response.headers, body)
        try:
            return json.loads(body) if body else None
        except ValueError as error:
            raise ConnectionFailed(f"the response to {asked.path} is no JSON: is this a Footnote service?") from error

    async def send(self, asked: Request) -> httpx2.Response:
        """A response whose body is still to be read."""
        try:
            request = self._http.build_request(
                asked.method,
                self._base + asked.path,
                json=asked.body,
                params=asked.params or None,
                headers={**self._headers, **asked.headers},
            )
            return await self._http.send(request, stream=True)
        except httpx2.TimeoutException as error:
            raise TimedOut(str(error) or "the service took too long") from error
        except (httpx2.RequestError, httpx2.InvalidURL) as error:
            raise ConnectionFailed(str(error) or type(error).__name__) from error


class AsyncAnswerStream:
    """An answer as it comes. Iterating gives typed events, to `Done`; an `error` event is raised as what it is.

    Where it is resumable a connection that breaks is opened anew, and no event is lost or comes twice. Leaving the
    stream before its end closes the connection; the work behind it stops, at once or, resumable, after a while.
    """

    def __init__(
        self,
        client: AsyncFootnote,
        asked: Request,
        request_id: str | None = None,
        token: str | None = None,
        last_event_id: int | None = None,
    ) -> None:
        self._client = client
        self._asked = asked
        self._response: httpx2.Response | None = None
        self._events: AsyncGenerator[Event, None] | None = None
        self._fold = Fold()
        self.request_id = request_id
        """Of the answer; None before the stream was entered."""
        self.resume_token = token
        """What it takes to read this answer from elsewhere; None where it is not resumable."""
        self.last_event_id = last_event_id
        """Of the last event that was given out."""

    @property
    def so_far(self) -> Fold:
        """The answer as far as it has come."""
        return self._fold

    async def __aenter__(self) -> Self:
        """Ask; raises what the service says instead of a stream."""
        await self._connect(self._asked)
        self._events = self._follow()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        if self._events is not None:
            await self._events.aclose()
        await self._disconnect()

    def __aiter__(self) -> Self:
        """The events."""
        return self

    async def __anext__(self) -> Event:
        """The next event."""
        if self._events is None:
            raise RuntimeError("enter the stream first: with client.stream(...) as stream")
        return await anext(self._events)

    async def answer(self) -> types.AnswerResponse:
        """The whole answer, once the rest of the events have come."""
        async for _ in self:
            pass
        return self._fold.answer()

    async def _follow(self) -> AsyncGenerator[Event, None]:
        failures = 0
        while True:
            why: Exception | None = None
            try:
                async for event in self._read():
                    if isinstance(event, Failed) and event.id is None:  # about this reading, not about the answer
                        raise error_of(event.data)
                    if event.id is not None:
                        if event.id <= (self.last_event_id or 0):
                            continue
                        self.last_event_id = event.id
                    failures = 0
                    self._fold.add(event)
                    yield event
                    if isinstance(event, Done):
                        return
            except (httpx2.RequestError, Unavailable) as error:
                why = error
            await self._disconnect()
            failures = await self._again(failures, why)

    async def _again(self, failures: int, why: Exception | None) -> int:
        """Read on. Raises what cannot be helped by that; how often it failed since the last event."""
        if isinstance(why, Unavailable) and why.slug != "answers-unreachable":
            raise why
        request_id, token = self.request_id, self.resume_token
        if request_id is None or token is None:
            raise StreamBroken("the stream ended before its end; it is not resumable") from why
        after_s = None
        while failures < len(_PAUSES_S):
            await asyncio.sleep(max(_PAUSES_S[failures], after_s or 0.0))
            failures += 1
            try:
                await self._connect(requests.events(request_id, token, self.last_event_id))
            except StreamBroken:
                raise
            except ConnectionFailed as error:
                why = error
            except Unavailable as error:
                why, after_s = error, error.retry_after_s
            else:
                return failures
        raise StreamBroken(f"the stream broke, and {failures} attempts to read on failed") from why

    async def _connect(self, asked: Request) -> None:
        response = await self._client.send(asked)
        if response.status_code != 200:
            try:
                body = await response.aread()
            except httpx2.RequestError as error:
                raise ConnectionFailed(str(error)) from error
            finally:
                await response.aclose()
            if response.status_code == 204:
                raise StreamBroken("all events of this answer were read before")
            raise error_of_response(response.status_code, response.headers, body)
        self._response = response
        if asked.method == "POST":
            self.request_id = response.headers.get("x-request-id")
            self.resume_token = response.headers.get("x-resume-token")

    async def _disconnect(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            await response.aclose()

    async def _read(self) -> AsyncGenerator[Event, None]:
        """The events of one connection."""
        parser = EventParser()
        if self._response is not None:
            async for data in self._response.aiter_bytes():
                try:
                    events = list(parser.feed(data))
                except ValueError as error:
                    raise StreamBroken("an event is no JSON: is this a Footnote service?") from error
                for event in events:
                    yield event
