"""Both clients: against a running service, and against one whose connections break wherever they can."""

from __future__ import annotations

import asyncio
import json
import re

import httpx2
import pytest
from footnote_client import AsyncFootnote, Footnote, Utf16, _async, _sync, errors
from given_answers import answers
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture(params=["sync", "async"])
def kind(request):
    return request.param


def run(kind, script, *args, **options):
    """Run `script(client, aid)`, an async function, with either client; `aid` hides what differs."""
    if kind == "async":

        async def asynchronous():
            async with AsyncFootnote(*args, **options) as client:
                return await script(client, _Async)

        return asyncio.run(asynchronous())
    with Footnote(*args, **options) as client:
        steps = script(client, _Sync)
        try:
            steps.send(None)
        except StopIteration as ended:
            return ended.value
        raise AssertionError("a synchronous client waited")


class _Async:
    @staticmethod
    async def result(value):
        return await value

    @staticmethod
    async def events(stream, upto=None):
        async with stream:
            got = []
            async for event in stream:
                got.append(event)
                if len(got) == upto:
                    break
            return got

    @staticmethod
    async def answer(stream):
        async with stream:
            return await stream.answer()


class _Sync:
    @staticmethod
    async def result(value):
        return value

    @staticmethod
    async def events(stream, upto=None):
        with stream:
            got = []
            for event in stream:
                got.append(event)
                if len(got) == upto:
                    break
            return got

    @staticmethod
    async def answer(stream):
        with stream:
            return stream.answer()


def http_of(kind, transport):
    return (httpx2.Client if kind == "sync" else httpx2.AsyncClient)(transport=transport)


def test_search_answer_document_index_and_ready(kind, service):
    async def script(client, aid):
        found = await aid.result(client.search("How long do refunds take?", top_k=1, filter={"path": "refunds.md"}))
        assert found["results"][0]["document"]["id"] == "docs/refunds.md"
        answer = await aid.result(client.answer("How long do refunds take?"))
        assert answer["verdict"] == "grounded"
        (citation, *_) = answer["citations"]
        document = await aid.result(client.document(citation["document_id"], citation["document_version"]))
        assert document["text"][citation["source_start"] : citation["source_end"]] == citation["quote"]
        wide = Utf16(document["text"]).offset(len(document["text"]))
        assert wide == len(document["text"].encode("utf-16-le")) // 2 > len(document["text"])
        assert (await aid.result(client.index()))["documents"] == 5
        assert (await aid.result(client.ready()))["status"] == "ready"

    run(kind, script, service)


@pytest.mark.parametrize("resumable", [False, True])
def test_the_stream_folds_to_what_the_answer_is_without_a_stream(kind, service, resumable):
    async def script(client, aid):
        messages = [{"role": "user", "content": "How long do refunds take?"}]
        stream = client.stream(messages=messages, resumable=resumable)
        streamed = await aid.answer(stream)
        assert (stream.resume_token is not None) is resumable
        whole = await aid.result(client.answer(messages=messages))
        assert stream.request_id == streamed["request_id"]
        for changing in ("request_id", "stages"):
            whole.pop(changing), streamed.pop(changing)
        assert whole == streamed
        if resumable:
            rest = await aid.events(client.resume(stream.request_id, stream.resume_token, 2))
            assert [one.id for one in rest] == [3, 4]
            with pytest.raises(errors.StreamBroken, match="read before"):
                await aid.events(client.resume(stream.request_id, stream.resume_token, 4))
            with pytest.raises(errors.NotFound):
                await aid.events(client.resume(stream.request_id, "guessed"))
            assert await aid.result(client.stop(stream.request_id, stream.resume_token)) is None
            with pytest.raises(errors.Gone):
                await aid.events(client.resume(stream.request_id, stream.resume_token))

    run(kind, script, service)


def test_problems_are_typed(kind, service):
    async def script(client, aid):
        with pytest.raises(errors.InvalidRequest) as raised:
            await aid.result(client.search("q", top_k=0))
        assert raised.value.errors[0]["loc"] == ["top_k"]
        with pytest.raises(errors.InvalidRequest):
            await aid.answer(client.stream(" "))
        with pytest.raises(errors.NotFound):
            await aid.result(client.document("no/such document?#"))
        with pytest.raises(errors.DeadlineExceeded):
            await aid.result(client.answer("q", deadline_ms=1e-3))
        with pytest.raises(TypeError):
            await aid.result(client.answer())

    run(kind, script, service)


def test_a_service_that_is_not_there_is_a_failed_connection(kind):
    async def script(client, aid):
        for ask in (lambda: aid.result(client.ready()), lambda: aid.answer(client.stream("q"))):
            with pytest.raises(errors.ConnectionFailed):
                await ask()

    run(kind, script, "http://127.0.0.1:9", timeout_s=2)


def test_a_service_that_says_nothing_is_timed_out(kind):
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()

        async def script(client, aid):
            with pytest.raises(errors.TimedOut):
                await aid.result(client.ready())

        run(kind, script, f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.1)


def test_what_is_no_footnote_says_so(kind):
    http = http_of(kind, httpx2.MockTransport(lambda _: httpx2.Response(200, text="<html>hello</html>")))

    async def script(client, aid):
        with pytest.raises(errors.ConnectionFailed, match="no JSON"):
            await aid.result(client.ready())

    run(kind, script, http=http)
    http = http_of(kind, httpx2.MockTransport(lambda _: httpx2.Response(200, text="data: <html>\n\n")))

    async def streaming(client, aid):
        with pytest.raises(errors.StreamBroken, match="no JSON"):
            await aid.answer(client.stream("q"))

    run(kind, streaming, http=http)


@pytest.mark.parametrize("address", ["nonsense", "http://127.0.0.1:port", "ftp://127.0.0.1"])
def test_an_address_that_is_none_is_a_failed_connection(kind, address):
    async def script(client, aid):
        with pytest.raises(errors.ConnectionFailed):
            await aid.result(client.ready())

    run(kind, script, address)


def test_feedback_sends_what_was_said(kind):
    asked = []

    def answer(request):
        asked.append((request.method, request.url.path, json.loads(request.content), request.headers["authorization"]))
        return httpx2.Response(204)

    async def script(client, aid):
        await aid.result(client.feedback("r", "down", "東京"))
        await aid.result(client.feedback("r", "up"))

    run(kind, script, http=http_of(kind, httpx2.MockTransport(answer)), headers={"authorization": "Bearer x"})
    assert asked == [
        ("POST", "/v1/feedback", {"request_id": "r", "rating": "down", "comment": "東京"}, "Bearer x"),
        ("POST", "/v1/feedback", {"request_id": "r", "rating": "up"}, "Bearer x"),
    ]


class Breaking(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body that breaks after so many bytes: with an error, or as if it had ended."""

    def __init__(self, data, cut, clean):
        self._data = data if cut is None else data[:cut]
        self._error = cut is not None and cut < len(data) and not clean

    def __iter__(self):
        yield self._data
        if self._error:
            raise httpx2.ReadError("the connection broke")

    async def __aiter__(self):
        for one in self:
            yield one


class Resumable:
    """A service that keeps one answer, over connections that break after `cuts` bytes."""

    def __init__(self, frames, cuts, clean=False, refusals=()):
        self.frames = frames
        self.cuts = list(cuts)
        self.clean = clean
        self.refusals = list(refusals)
        self.asked = []

    def __call__(self, request):
        after = 0
        headers = {"x-request-id": "r"}
        if request.method == "POST":
            assert json.loads(request.content) == {"query": "q", "stream": True, "resumable": True}
            headers["x-resume-token"] = "t"
        else:
            assert (request.url.path, request.headers["x-resume-token"]) == ("/v1/answers/r/events", "t")
            after = int(request.headers.get("last-event-id", "0"))
            self.asked.append(after)
            if self.refusals:
                refusal = self.refusals.pop(0)
                if refusal is None:
                    raise httpx2.ConnectError("refused")
                return refusal
        cut = self.cuts.pop(0) if self.cuts else None
        return httpx2.Response(200, headers=headers, stream=Breaking(b"".join(self.frames[after:]), cut, self.clean))


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    for module in (_async, _sync):
        monkeypatch.setattr(module, "_PAUSES_S", tuple(0.0 for _ in module._PAUSES_S))


def streamed(kind, service):
    async def script(client, aid):
        stream = client.stream("q", resumable=True)
        return await aid.events(stream), stream.so_far.answer()

    return run(kind, script, http=http_of(kind, httpx2.MockTransport(service)))


@pytest.mark.parametrize("way", ["sync", "async"])
@given(given_answer=answers(), cuts=st.lists(st.integers(0, 1_500), max_size=5), clean=st.booleans())
def test_a_resumable_stream_is_whole_wherever_its_connections_break(way, given_answer, cuts, clean):
    service = Resumable(given_answer.frames, cuts, clean)
    events, answer = streamed(way, service)
    assert [one.id for one in events] == list(range(1, len(given_answer.frames) + 1))
    assert answer == given_answer.json
    assert service.asked == sorted(service.asked)


ERROR = (
    b'event: error\ndata: {"type": "urn:footnote:problem:%s", "title": "t", "status": %d, "detail": "d",'
    b' "request_id": "r"}\n'
)
FRAMES = [
    b'event: meta\ndata: {"request_id": "r"}\nid: 1\n\n',
    b'event: sources\ndata: {"sources": []}\nid: 2\n\n',
    ERROR % (b"internal", 500) + b"id: 3\n\n",
]


def problem(status, slug, **headers):
    body = {"type": f"urn:footnote:problem:{slug}", "title": "t", "status": status, "detail": "d", "request_id": "r"}
    return httpx2.Response(status, json=None if status == 204 else body, headers=headers)


def test_an_error_of_the_answer_is_raised_and_not_asked_for_again(kind):
    service = Resumable(FRAMES, [60])
    with pytest.raises(errors.ServerError):
        streamed(kind, service)
    assert service.asked == [1]


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        ((410, "answer-gone"), errors.Gone),
        ((404, "not-found"), errors.NotFound),
        ((409, "not-resumable"), errors.Conflict),
        ((204, ""), errors.StreamBroken),
    ],
)
def test_an_answer_that_is_gone_is_said_and_not_asked_for_again(kind, refusal, expected):
    service = Resumable(FRAMES, [60], refusals=[problem(*refusal) for _ in range(9)])
    with pytest.raises(expected):
        streamed(kind, service)
    assert service.asked == [1]


def test_a_service_that_is_away_for_a_while_is_asked_again_and_not_for_ever(kind):
    away = [None, problem(503, "answers-unreachable", **{"retry-after": "0"}), problem(503, "draining"), None]
    service = Resumable(FRAMES, [60], refusals=away)
    with pytest.raises(errors.ServerError):
        streamed(kind, service)
    assert service.asked == [1] * 5
    for_ever = Resumable(FRAMES, [60], refusals=[None] * 99)
    with pytest.raises(errors.StreamBroken, match="7 attempts"):
        streamed(kind, for_ever)
    assert for_ever.asked == [1] * 7


def test_an_error_without_an_id_is_about_the_reading(kind):
    lost = ERROR + b"\n"
    whole = b"".join(FRAMES)

    def service(*data):
        pieces = list(data)

        def answer(request):
            headers = {"x-request-id": "r", "x-resume-token": "t"}
            return httpx2.Response(200, headers=headers, content=pieces.pop(0))

        return answer

    with pytest.raises(errors.ServerError):
        streamed(kind, service(FRAMES[0] + lost % (b"answers-unreachable", 503), whole))
    with pytest.raises(errors.Gone):
        streamed(kind, service(FRAMES[0] + lost % (b"answer-gone", 410)))
    with pytest.raises(errors.StreamBroken):
        streamed(kind, service(*[FRAMES[0] + lost % (b"answers-unreachable", 503)] * 20))


def test_a_stream_that_is_not_resumable_and_breaks_is_broken(kind):
    def service(request):
        return httpx2.Response(200, headers={"x-request-id": "r"}, stream=Breaking(b"".join(FRAMES), 60, clean=True))

    async def script(client, aid):
        with pytest.raises(errors.StreamBroken, match="not resumable"):
            await aid.events(client.stream("q"))

    run(kind, script, http=http_of(kind, httpx2.MockTransport(service)))


def test_a_real_service_is_read_on_where_the_connection_broke(kind, service):
    class SyncCut(httpx2.SyncByteStream):
        def __init__(self, inner, left):
            self.inner, self.left = inner, left

        def __iter__(self):
            for data in self.inner:
                yield data[: self.left]
                self.left -= len(data)
                if self.left <= 0:
                    raise httpx2.ReadError("the connection broke")

        def close(self):
            self.inner.close()

    class AsyncCut(httpx2.AsyncByteStream):
        def __init__(self, inner, left):
            self.inner, self.left = inner, left

        async def __aiter__(self):
            async for data in self.inner:
                yield data[: self.left]
                self.left -= len(data)
                if self.left <= 0:
                    raise httpx2.ReadError("the connection broke")

        async def aclose(self):
            await self.inner.aclose()

    class SyncTransport(httpx2.HTTPTransport):
        cut = 1

        def handle_request(self, request):
            response = super().handle_request(request)
            if request.method == "POST":
                response.stream = SyncCut(response.stream, self.cut)
            return response

    class AsyncTransport(httpx2.AsyncHTTPTransport):
        cut = 1

        async def handle_async_request(self, request):
            response = await super().handle_async_request(request)
            if request.method == "POST":
                response.stream = AsyncCut(response.stream, self.cut)
            return response

    transport = SyncTransport() if kind == "sync" else AsyncTransport()

    async def script(client, aid):
        size = 20_000
        while transport.cut < size:
            stream = client.stream("How long do refunds take?", resumable=True)
            answer = await aid.answer(stream)
            assert (answer["verdict"], stream.last_event_id) == ("grounded", 4)
            size = min(size, len(json.dumps(answer)) * 2)
            transport.cut += 397

    run(kind, script, service, http=http_of(kind, transport))


def test_leaving_a_stream_stops_the_work(kind, service):
    async def script(client, aid):
        stream = client.stream("How long do refunds take?")
        (first,) = await aid.events(stream, upto=1)
        assert first.name == "meta"

    run(kind, script, service)


def test_both_clients_have_the_same_methods():
    def public(one):
        names = {name for name in dir(one) if not name.startswith("_")}
        return {re.sub(r"^aclose$", "close", name) for name in names}

    assert public(Footnote) == public(AsyncFootnote)
    assert public(_sync.AnswerStream) == public(_async.AsyncAnswerStream)
