"""Chat models behind both providers' packages, against recorded shapes made of the packages' own types.

No provider can be reached from here: an HTTP transport stands in for it, below the real packages.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from email.utils import formatdate

import httpx2
import pytest
from anthropic import AsyncAnthropic
from anthropic.types import (
    Message,
    MessageDeltaUsage,
    RawContentBlockDeltaEvent,
    RawContentBlockStartEvent,
    RawMessageDeltaEvent,
    RawMessageStartEvent,
    RawMessageStopEvent,
    TextBlock,
    TextDelta,
)
from anthropic.types import Usage as AnthropicUsage
from anthropic.types.raw_message_delta_event import Delta
from openai import AsyncOpenAI
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import Choice, ChoiceDelta

from service.adapters.anthropic_messages import AnthropicMessages
from service.adapters.generator import Ended, GeneratorFailed
from service.adapters.grammar import gbnf, json_schema
from service.adapters.openai_chat import OpenAIChat
from service.adapters.priced import Price
from service.adapters.prompt import REFUSAL
from service.adapters.provider import Limits
from service.question import Turn

KEY = "sk-secret-key-0123456789"
LIMITS = Limits(
    first_text_ms=2_000, between_ms=300, tokens_max=64, prices={"m": Price(prompt=1_000.0, completion=2_000.0)}
)


def openai_chunks(texts, *, reason="stop", usage=(7, 3)):
    """The lines of a chat completions stream."""

    def chunk(**fields):
        made = ChatCompletionChunk(id="c", created=1, model="m", object="chat.completion.chunk", **fields)
        return f"data: {made.model_dump_json(exclude_none=True)}\n\n"

    yield chunk(choices=[Choice(index=0, delta=ChoiceDelta(role="assistant", content=""))])
    for text in texts:
        yield chunk(choices=[Choice(index=0, delta=ChoiceDelta(content=text))])
    if reason is not None:
        yield chunk(choices=[Choice(index=0, delta=ChoiceDelta(), finish_reason=reason)])
        yield chunk(
            choices=[],
            usage=CompletionUsage(prompt_tokens=usage[0], completion_tokens=usage[1], total_tokens=sum(usage)),
        )
        yield "data: [DONE]\n\n"


def anthropic_events(texts, *, reason="stop", usage=(7, 3)):
    """The lines of a messages stream."""
    reasons = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal", "tool_calls": "tool_use"}

    def event(made):
        return f"event: {made.type}\ndata: {made.model_dump_json()}\n\n"

    message = Message(
        id="m",
        content=[],
        model="m",
        role="assistant",
        type="message",
        stop_reason=None,
        stop_sequence=None,
        usage=AnthropicUsage(input_tokens=usage[0], output_tokens=1),
    )
    yield event(RawMessageStartEvent(message=message, type="message_start"))
    block = TextBlock(text="", type="text", citations=None)
    yield event(RawContentBlockStartEvent(content_block=block, index=0, type="content_block_start"))
    for text in texts:
        delta = TextDelta(text=text, type="text_delta")
        yield event(RawContentBlockDeltaEvent(delta=delta, index=0, type="content_block_delta"))
    if reason is not None:
        ended = Delta(stop_reason=reasons[reason], stop_sequence=None)
        spent = MessageDeltaUsage(output_tokens=usage[1])
        yield event(RawMessageDeltaEvent(delta=ended, usage=spent, type="message_delta"))
        yield event(RawMessageStopEvent(type="message_stop"))


class Stream(httpx2.AsyncByteStream):
    """A response body; waits or breaks off after so many lines."""

    def __init__(self, lines, *, stall_after=None, break_after=None):
        self.lines = list(lines)
        self.stall_after, self.break_after = stall_after, break_after
        self.closed = False

    async def __aiter__(self):
        for number, line in enumerate(self.lines):
            if number == self.stall_after:
                await asyncio.sleep(30)
            if number == self.break_after:
                raise httpx2.RemoteProtocolError("peer closed connection without sending complete message body")
            yield line if isinstance(line, bytes) else line.encode()

    async def aclose(self):
        self.closed = True


class Provider:
    """One provider's package on a transport of ours."""

    def __init__(self, name):
        self.name = name
        self.lines = openai_chunks if name == "openai" else anthropic_events
        self.requests = []

    def model(self, body=(), *, status=200, headers=None, error=None):
        def respond(request):
            self.requests.append(request)
            if error is not None:
                raise error
            stream = body if isinstance(body, Stream) else Stream(body)
            return httpx2.Response(
                status, headers={"content-type": "text/event-stream", **(headers or {})}, stream=stream
            )

        http = httpx2.AsyncClient(transport=httpx2.MockTransport(respond))
        if self.name == "openai":
            return OpenAIChat(AsyncOpenAI(api_key=KEY, http_client=http, max_retries=0), "m", LIMITS)
        return AnthropicMessages(AsyncAnthropic(api_key=KEY, http_client=http, max_retries=0), "m", LIMITS)


@pytest.fixture(params=["openai", "anthropic"])
def provider(request):
    return Provider(request.param)


@pytest.fixture
def sources(folded):
    from service.adapters.scripted import Scripted

    return folded("otter heron fish", generator=Scripted([])).sources


def written(model, sources, question="How long does the otter sleep?"):
    async def read():
        return [piece async for piece in model.generate(question, sources, [])]

    return asyncio.run(read())


def test_text_comes_as_it_is_written_and_then_what_it_took(provider, sources):
    *texts, ended = written(provider.model(provider.lines(["The otter ", "sleeps [1]", "."])), sources)
    assert texts == ["The otter ", "sleeps [1]", "."]
    assert isinstance(ended, Ended)
    assert ended.reason == "stop"
    assert ended.usage.model_dump() == {
        "provider": provider.name,
        "model": "m",
        "prompt_tokens": 7,
        "completion_tokens": 3,
        "cost_usd": pytest.approx(0.013),
    }


def test_a_model_without_a_price_has_no_cost(provider, sources):
    model = provider.model(provider.lines(["x"]))
    model._model = "unpriced"
    assert written(model, sources)[-1].usage.cost_usd is None


@pytest.mark.parametrize(
    ("reason", "told"), [("length", "length"), ("content_filter", "refused"), ("tool_calls", "tool_call")]
)
def test_why_it_ended_is_told(provider, sources, reason, told):
    assert written(provider.model(provider.lines(["x"], reason=reason)), sources)[-1].reason == told


def test_the_passages_are_numbered_and_marked_as_data_with_a_mark_of_its_own_each_time(provider, sources):
    marks = []
    for _ in range(2):
        written(provider.model(provider.lines(["x"])), sources)
        body = json.loads(provider.requests[-1].content)
        system = body["system"] if provider.name == "anthropic" else body["messages"][0]["content"]
        user = body["messages"][-1]["content"]
        marks.append(next(word for word in system.split() if word.startswith("~")).rstrip("."))
        for number, source in enumerate(sources, 1):
            assert f"{marks[-1]} passage [{number}]" in user
            assert source.passage.text in user
        assert user.endswith("Question: How long does the otter sleep?")
        assert REFUSAL in system
        assert body["stream"] is True
        assert body["max_tokens"] == 64
    assert marks[0] != marks[1]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (formatdate(time.time() + 36_000, usegmt=True), pytest.approx(36_000, abs=3_600)),
        (formatdate(time.time() - 30, usegmt=True), 0.0),
        ("soon", None),
        ("inf", None),
        ("-3", 0.0),
    ],
)
def test_retry_after_may_be_a_date_too(provider, sources, header, seconds):
    model = provider.model(["{}"], status=429, headers={"content-type": "application/json", "retry-after": header})
    with pytest.raises(GeneratorFailed) as failed:
        written(model, sources)
    assert failed.value.retry_after_s == seconds


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, "refused_request"),
        (401, "not_authorised"),
        (403, "not_authorised"),
        (404, "refused_request"),
        (429, "rate_limited"),
        (500, "server_error"),
        (529, "server_error"),
    ],
)
def test_a_status_is_told_in_our_words_and_without_the_key(provider, sources, status, reason, caplog):
    body = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}", "type": "x", "code": "y"}})
    model = provider.model([body], status=status, headers={"content-type": "application/json", "retry-after": "7"})
    with caplog.at_level(logging.DEBUG, "footnote"), pytest.raises(GeneratorFailed) as failed:
        written(model, sources)
    assert (failed.value.reason, failed.value.status, failed.value.retry_after_s) == (reason, status, 7.0)
    assert KEY not in str(failed.value)
    assert KEY not in caplog.text
    assert len(provider.requests) == 1


@pytest.mark.parametrize(
    ("error", "reason"),
    [(httpx2.ConnectError("no route"), "unreachable"), (httpx2.ReadTimeout("slow"), "timeout")],
)
def test_a_provider_that_cannot_be_reached_is_told(provider, sources, error, reason):
    with pytest.raises(GeneratorFailed) as failed:
        written(provider.model(error=error), sources)
    assert failed.value.reason == reason


def test_what_is_no_stream_is_a_bad_response(provider, sources):
    for body in (["<html>hello</html>"], ["data: {not json}\n\n"], [b"data: \xff\xfe\n\n"], []):
        with pytest.raises(GeneratorFailed) as failed:
            written(provider.model(body), sources)
        assert failed.value.reason == "bad_response"


def test_a_stream_that_breaks_off_or_just_stops_fails_after_what_it_said(provider, sources):
    lines = list(provider.lines(["The otter ", "sleeps."]))
    for body in (
        Stream(lines, break_after=len(lines) - 1),
        Stream(provider.lines(["The otter ", "sleeps."], reason=None)),
    ):
        model, seen = provider.model(body), []

        async def read(model=model, seen=seen):
            async for piece in model.generate("q", sources, []):
                seen.append(piece)

        with pytest.raises(GeneratorFailed):
            asyncio.run(read())
        assert seen[:2] == ["The otter ", "sleeps."]


def test_a_stall_ends_within_its_limit_and_the_connection_is_closed(provider, sources):
    lines = list(provider.lines(["The otter ", "sleeps."]))
    body = Stream(lines, stall_after=len(lines) - 2)
    began = time.monotonic()
    with pytest.raises(GeneratorFailed) as failed:
        written(provider.model(body), sources)
    assert failed.value.reason == "between_timeout"
    assert time.monotonic() - began < 2
    assert body.closed


def test_items_without_text_do_not_put_off_the_limit_of_the_first_text(provider, sources):
    silent = Limits(first_text_ms=150, between_ms=5_000, tokens_max=64)
    body = Stream(provider.lines(["The otter"]), stall_after=1)
    model = provider.model(body)
    model._limits = silent
    began = time.monotonic()
    with pytest.raises(GeneratorFailed) as failed:
        written(model, sources)
    assert failed.value.reason == "first_text_timeout"
    assert time.monotonic() - began < 2


def test_leaving_early_closes_the_connection(provider, sources):
    body = Stream(provider.lines(["word "] * 50))

    async def leave():
        text = provider.model(body).generate("q", sources, [])
        await anext(text)
        await text.aclose()

    asyncio.run(leave())
    assert body.closed


def test_a_tool_call_writes_nothing(sources):
    call = {"index": 0, "id": "t", "type": "function", "function": {"name": "rm", "arguments": "{}"}}
    chunk = {"id": "c", "created": 1, "model": "m", "object": "chat.completion.chunk"}
    body = [
        f"data: {json.dumps({**chunk, 'choices': [{'index': 0, 'delta': {'tool_calls': [call]}}]})}\n\n",
        f"data: {json.dumps({**chunk, 'choices': [{'index': 0, 'delta': {}, 'finish_reason': 'tool_calls'}]})}\n\n",
        "data: [DONE]\n\n",
    ]
    (ended,) = written(Provider("openai").model(body), sources)
    assert ended.reason == "tool_call"


def held_to(provider, grammar, lines, sources):
    model = provider.model(lines)
    model._grammar = grammar
    pieces = written(model, sources)
    return json.loads(provider.requests[-1].content), pieces


def test_a_grammar_is_sent_where_llama_cpp_and_where_vllm_look_for_it(sources):
    body, pieces = held_to(Provider("openai"), "gbnf", openai_chunks(["The otter sleeps [1]."]), sources)
    assert (
        body["grammar"] == body["structured_outputs"]["grammar"] == gbnf(len(sources), body["messages"][1]["content"])
    )
    assert pieces[0] == "The otter sleeps [1]."


def test_a_schema_is_sent_as_each_provider_takes_it_and_its_json_becomes_text(provider, sources):
    texts = ['{"sentences": [{"text": "The otter sleeps.", ', '"sources": [1]}', "]}"]
    body, pieces = held_to(provider, "json_schema", provider.lines(texts), sources)
    if provider.name == "openai":
        form = body["response_format"]
        assert (form["type"], form["json_schema"]["strict"]) == ("json_schema", True)
        sent, system = form["json_schema"]["schema"], body["messages"][0]["content"]
    else:
        sent, system = body["output_config"]["format"]["schema"], body["system"]
    assert sent == json_schema(len(sources))
    assert '{"sentences": []}' in system
    assert pieces[:-1] == ["The otter sleeps. [1]\n"]
    assert pieces[-1].usage.completion_tokens == 3


def test_without_a_grammar_nothing_of_one_is_sent(provider, sources):
    body, _ = held_to(provider, "none", provider.lines(["x"]), sources)
    assert {"grammar", "structured_outputs", "response_format", "output_config"}.isdisjoint(body)


def test_json_that_is_no_answer_is_a_bad_response(provider, sources):
    with pytest.raises(GeneratorFailed) as failed:
        held_to(provider, "json_schema", provider.lines(['{"sentences": [5]}']), sources)
    assert failed.value.reason == "bad_response"


def test_a_question_is_rewritten_from_turns_that_are_marked_as_data(provider):
    turns = [Turn("system", "Obey."), Turn("user", "Where do otters live?"), Turn("assistant", "x" * 5_000)]
    model = provider.model(provider.lines(["How long do ", "otters sleep?"]))
    model._grammar = "json_schema"
    found = asyncio.run(model.rewrite([*turns, Turn("user", "How long do they sleep?")]))
    assert found.text == "How long do otters sleep?"
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (7, 3)
    body = json.loads(provider.requests[-1].content)
    user = body["messages"][-1]["content"]
    assert user.endswith("Last question: How long do they sleep?")
    assert "Obey." not in user
    assert len(user) < 1_500
    assert {"response_format", "output_config"}.isdisjoint(body)


def test_a_rewriting_without_end_is_not_collected(provider):
    model = provider.model(provider.lines(["word " * 100] * 50))
    assert len(asyncio.run(model.rewrite([Turn("user", "q")])).text) < 1_000


def test_a_connection_that_does_not_come_about_is_named(provider, sources):
    with pytest.raises(GeneratorFailed) as failed:
        written(provider.model(error=httpx2.ConnectTimeout("slow")), sources)
    assert failed.value.reason == "connect_timeout"


@pytest.mark.parametrize("stall_after", [0, -2])
def test_the_limit_of_a_whole_call_holds_before_and_after_the_first_text(provider, sources, stall_after):
    lines = list(provider.lines(["The otter ", "sleeps."]))
    body = Stream(lines, stall_after=stall_after % len(lines))
    model = provider.model(body)
    model._limits = Limits(first_text_ms=5_000, between_ms=5_000, tokens_max=64, total_ms=100)
    with pytest.raises(GeneratorFailed) as failed:
        written(model, sources)
    assert failed.value.reason == "total_timeout"


def test_a_reasoning_model_s_own_parameters_are_used_once_it_asked_for_them(sources):
    """The shape of OpenAI's refusal of `max_tokens`, then an answer; the second question is not refused again."""
    told = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    refusal = {"message": told, "type": "invalid_request_error", "param": "max_tokens", "code": "unsupported_parameter"}
    bodies = []

    def respond(request):
        bodies.append(json.loads(request.content))
        if "max_tokens" in bodies[-1]:
            return httpx2.Response(400, json={"error": refusal})
        lines = Stream(openai_chunks(["It sleeps."]))
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=lines)

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(respond))
    model = OpenAIChat(AsyncOpenAI(api_key=KEY, http_client=http, max_retries=0), "o9", LIMITS)
    for asked in (2, 3):
        assert "It sleeps." in written(model, sources)
        assert len(bodies) == asked
    assert bodies[-1]["max_completion_tokens"] == 64
    assert not {"max_tokens", "temperature"} & bodies[-1].keys()


def test_another_refusal_of_a_request_is_not_asked_again(sources):
    asked = []

    def respond(request):
        asked.append(request)
        return httpx2.Response(400, json={"error": {"message": "no", "param": "messages", "code": "x"}})

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(respond))
    with pytest.raises(GeneratorFailed, match="refused_request"):
        written(OpenAIChat(AsyncOpenAI(api_key=KEY, http_client=http, max_retries=0), "m", LIMITS), sources)
    assert len(asked) == 1
