"""OpenAI's own Python client: chat completions and responses, whole and streamed, synchronous and asynchronous."""

from __future__ import annotations

import asyncio
import http.client
from urllib.parse import urlsplit

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from .conftest import ANSWER, QUESTION

MESSAGES = [{"role": "user", "content": QUESTION}]


@pytest.fixture
def client(served):
    with openai.OpenAI(base_url=f"{served.address}/v1", api_key="none", max_retries=0, timeout=30) as client:
        yield client


def asked(question: str) -> list:
    return [{"role": "user", "content": question}]


def opened(url: str) -> str:
    """The page that a citation links to."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    connection.request("GET", parts.path)
    response = connection.getresponse()
    assert response.status == 200
    text = response.read().decode()
    connection.close()
    return text


def check_citations(text: str, citations: list) -> None:
    """One citation for each source, in the order of the markers, each around its marker and leading to its quote."""
    assert [text[one.start_index : one.end_index] for one in citations] == ["[1]", "[2]"]
    assert [one.title for one in citations] == ["Returns", "Shipping"]
    pages = [opened(one.url) for one in citations]
    assert "<mark" in pages[0]
    assert "Refunds take 14 days after the parcel has reached us." in pages[0]
    assert "A parcel may weigh 20 kg." in pages[1]


def check_whole(found: ChatCompletion, models: set[str]) -> None:
    ChatCompletion.model_validate(found.model_dump(), strict=True)
    choice = found.choices[0]
    assert (choice.message.content, choice.finish_reason) == (ANSWER, "stop")
    check_citations(ANSWER, [one.url_citation for one in choice.message.annotations])
    assert (found.usage.prompt_tokens, found.usage.completion_tokens, found.usage.total_tokens) == (40, 20, 60)
    rag = found.model_extra["rag"]
    assert (rag["verdict"], rag["withheld"][0]["reason"], len(rag["citations"])) == ("partial", "not_supported", 3)
    assert found.model in models


def test_models_are_listed(client):
    names = [one.id for one in client.models.list()]
    assert names == ["default", "default@1"]
    assert client.models.retrieve("default@1").created > 0
    with pytest.raises(openai.NotFoundError) as refused:
        client.models.retrieve("default@2")
    assert refused.value.code == "model_not_found"


@pytest.mark.parametrize("model", ["default", "default@1"])
def test_chat_whole(client, model):
    check_whole(client.chat.completions.create(model=model, messages=MESSAGES), {model})


def check_chunks(chunks: list[ChatCompletionChunk], *, with_usage: bool) -> None:
    for one in chunks:
        ChatCompletionChunk.model_validate(one.model_dump(), strict=True)
    spoken = [one for one in chunks if one.choices]
    assert spoken[0].choices[0].delta.role == "assistant"
    assert "".join(one.choices[0].delta.content or "" for one in spoken) == ANSWER
    assert [one.choices[0].finish_reason for one in spoken if one.choices[0].finish_reason] == ["stop"]
    assert spoken[-1].choices[0].finish_reason == "stop"
    assert spoken[-1].model_extra["rag"]["verdict"] == "partial"
    annotations = [note for one in spoken for note in (one.choices[0].delta.model_extra or {}).get("annotations", [])]
    assert [one["type"] for one in annotations] == ["url_citation"] * 2
    cited = [
        openai.types.chat.chat_completion_message.AnnotationURLCitation(**one["url_citation"]) for one in annotations
    ]
    check_citations(ANSWER, cited)
    usages = [one.usage for one in chunks if one.usage is not None]
    assert [one.total_tokens for one in usages] == ([60] if with_usage else [])
    assert (chunks[-1].choices == []) == with_usage
    assert len({one.id for one in chunks}) == 1


@pytest.mark.parametrize("with_usage", [False, True])
def test_chat_streamed(client, with_usage):
    options = {"stream_options": {"include_usage": True}} if with_usage else {}
    stream = client.chat.completions.create(model="default", messages=MESSAGES, stream=True, **options)
    check_chunks(list(stream), with_usage=with_usage)


def test_chat_streamed_through_the_clients_own_accumulator(client):
    with client.chat.completions.stream(model="default", messages=MESSAGES) as stream:
        final = stream.get_final_completion()
    message = final.choices[0].message
    assert (message.content, final.choices[0].finish_reason) == (ANSWER, "stop")
    check_citations(ANSWER, [one.url_citation for one in message.annotations])


def test_chat_asynchronous(served):
    async def ask() -> tuple:
        async with openai.AsyncOpenAI(base_url=f"{served.address}/v1", api_key="none", max_retries=0) as client:
            whole = await client.chat.completions.create(model="default", messages=MESSAGES)
            stream = await client.chat.completions.create(model="default", messages=MESSAGES, stream=True)
            return whole, [one async for one in stream]

    whole, chunks = asyncio.run(ask())
    check_whole(whole, {"default"})
    check_chunks(chunks, with_usage=False)


def test_indexes_are_code_points_beyond_the_basic_plane_too(client):
    message = (
        client.chat.completions.create(model="default", messages=asked("When do parcels arrive?")).choices[0].message
    )
    [note] = message.annotations
    assert "東京 😀" in message.content
    assert message.content[note.url_citation.start_index : note.url_citation.end_index] == "[1]"


def test_markdown_links_lead_to_the_quote_and_are_what_indexes_bound(client):
    body = {"rag": {"citation_style": "markdown"}}
    whole = client.chat.completions.create(model="default", messages=MESSAGES, extra_body=body)
    text = whole.choices[0].message.content
    chunks = client.chat.completions.create(model="default", messages=MESSAGES, extra_body=body, stream=True)
    assert "".join(one.choices[0].delta.content or "" for one in chunks) == text
    for note in whole.choices[0].message.annotations:
        cited = note.url_citation
        marker = text[cited.start_index : cited.end_index]
        assert marker in (f"[[1]]({cited.url})", f"[[2]]({cited.url})")
    for one in whole.model_extra["rag"]["citations"]:
        assert text[one["marker_start"] : one["marker_end"]].startswith(f"[[{one['marker']}]](http")
    for one in whole.model_extra["rag"]["sentences"]:
        assert text[one["start"] : one["end"]].endswith("). ")


def test_an_abstention_is_an_answer_and_says_so(client):
    found = client.chat.completions.create(model="default", messages=asked("What is the moon made of?"))
    assert found.choices[0].finish_reason == "stop"
    assert found.choices[0].message.content == "The indexed documents do not answer this question."
    assert found.choices[0].message.annotations == []
    assert found.model_extra["rag"]["verdict"] == "abstained"


def test_an_answer_that_its_model_cut_short_says_so(client):
    found = client.chat.completions.create(model="default", messages=asked("What fails about refunds?"))
    assert found.choices[0].finish_reason == "length"
    assert found.model_extra["rag"]["finish_reason"] == "provider_error"
    assert found.choices[0].message.content.startswith("Refunds take 14 days")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("wrong", "kind", "param", "code"),
    [
        ({"model": "gpt-4o"}, openai.NotFoundError, "model", "model_not_found"),
        ({"model": "default@7"}, openai.NotFoundError, "model", "model_not_found"),
        ({"messages": []}, openai.BadRequestError, "messages", "invalid_request"),
        ({"messages": asked(" ")}, openai.BadRequestError, "messages.0.content", "invalid_request"),
        ({"n": 2}, openai.BadRequestError, "n", "unsupported_parameter"),
        ({"extra_body": {"rag": {"top_k": 0}}}, openai.BadRequestError, "rag.top_k", "invalid_request"),
        ({"extra_body": {"rag": {"filter": {"a": {"$x": 1}}}}}, openai.BadRequestError, None, "invalid_filter"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_chat_errors_are_what_the_client_raises(client, wrong, kind, param, code, stream):
    with pytest.raises(kind) as refused:
        client.chat.completions.create(**({"model": "default", "messages": MESSAGES, "stream": stream} | wrong))
    assert (refused.value.param, refused.value.code) == (param, code)
    assert refused.value.type == "invalid_request_error"


def test_a_chat_stream_that_breaks_raises_after_a_terminal_chunk(client, breaking):
    seen = []
    with pytest.raises(openai.APIError) as broken:
        seen.extend(client.chat.completions.create(model="default", messages=MESSAGES, stream=True))
    assert seen[-1].choices[0].finish_reason == "length"
    assert (broken.value.type, broken.value.code) == ("server_error", "internal")
    assert "secret" not in str(broken.value)


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_ends_the_call_of_the_chat_model(client, served, stream):
    messages = asked("What stalls a refund?")
    if stream:
        answer = client.chat.completions.create(model="default", messages=messages, stream=True)
        assert any(chunk.choices[0].delta.content for chunk in answer)  # read up to the first sentence
        assert served.calls == ["open"]
        answer.close()
    else:
        with pytest.raises(openai.APITimeoutError):
            client.with_options(timeout=1).chat.completions.create(model="default", messages=messages)
    served.calls_end()


EVENTS = TypeAdapter(ResponseStreamEvent)


def check_response(found: Response) -> None:
    Response.model_validate(found.model_dump(), strict=True)
    assert (found.output_text, found.status, found.error) == (ANSWER, "completed", None)
    check_citations(ANSWER, found.output[0].content[0].annotations)
    assert (found.usage.input_tokens, found.usage.output_tokens, found.usage.total_tokens) == (40, 20, 60)
    assert found.model_extra["rag"]["verdict"] == "partial"


def test_responses_whole(client):
    check_response(client.responses.create(model="default", input=QUESTION))
    check_response(client.responses.create(model="default", input=MESSAGES, instructions="Be brief."))


def check_events(events: list) -> None:
    for one in events:
        EVENTS.validate_python(one.model_dump(), strict=True)
    names = [one.type.removeprefix("response.") for one in events]
    assert names == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.annotation.added",
        "output_text.delta",
        "output_text.annotation.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [one.sequence_number for one in events] == list(range(len(events)))
    assert "".join(one.delta for one in events if one.type == "response.output_text.delta") == ANSWER
    added = [one for one in events if one.type == "response.output_text.annotation.added"]
    assert [one.annotation_index for one in added] == [0, 1]
    final = events[-1].response
    noted = [one.model_dump() for one in final.output[0].content[0].annotations]
    assert [one.annotation.model_dump() for one in added] == noted
    assert {one.item_id for one in events if hasattr(one, "item_id")} == {final.output[0].id}
    check_response(final)


def test_responses_streamed(client):
    check_events(list(client.responses.create(model="default", input=QUESTION, stream=True)))


def test_responses_streamed_through_the_clients_own_accumulator(client):
    with client.responses.stream(model="default", input=QUESTION) as stream:
        assert stream.get_final_response().output_text == ANSWER


def test_responses_asynchronous(served):
    async def ask() -> tuple:
        async with openai.AsyncOpenAI(base_url=f"{served.address}/v1", api_key="none", max_retries=0) as client:
            whole = await client.responses.create(model="default", input=QUESTION)
            stream = await client.responses.create(model="default", input=QUESTION, stream=True)
            return whole, [one async for one in stream]

    whole, events = asyncio.run(ask())
    check_response(whole)
    check_events(events)


def test_a_response_that_its_model_cut_short_is_incomplete(client):
    question = "What fails about refunds?"
    assert client.responses.create(model="default", input=question).status == "incomplete"
    *_, last = client.responses.create(model="default", input=question, stream=True)
    assert (last.type, last.response.incomplete_details.reason) == ("response.incomplete", "max_output_tokens")
    assert last.response.model_extra["rag"]["finish_reason"] == "provider_error"


@pytest.mark.parametrize(
    ("wrong", "kind", "param", "code"),
    [
        ({"model": "gpt-4o"}, openai.NotFoundError, "model", "model_not_found"),
        ({"input": []}, openai.BadRequestError, "input", "invalid_request"),
        ({"input": ""}, openai.BadRequestError, "input", "invalid_request"),
        ({"previous_response_id": "resp_1"}, openai.BadRequestError, "previous_response_id", "unsupported_parameter"),
    ],
    ids=lambda value: str(value)[:40],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_of_responses_are_what_the_client_raises(client, wrong, kind, param, code, stream):
    with pytest.raises(kind) as refused:
        client.responses.create(**({"model": "default", "input": QUESTION, "stream": stream} | wrong))
    assert refused.value.code == code
    assert refused.value.param == param


def test_a_stream_of_responses_that_breaks_ends_as_failed(client, breaking):
    events = list(client.responses.create(model="default", input=QUESTION, stream=True))
    for one in events:
        EVENTS.validate_python(one.model_dump(), strict=True)
    assert events[-1].type == "response.failed"
    assert events[-1].response.error.code == "server_error"
    assert "secret" not in events[-1].response.error.message
    assert events[-1].response.output[0].status == "incomplete"


def test_a_client_of_responses_that_goes_away_ends_the_call_of_the_chat_model(client, served):
    stream = client.responses.create(model="default", input="What stalls a refund?", stream=True)
    assert any(one.type == "response.output_text.delta" for one in stream)
    assert served.calls == ["open"]
    stream.close()
    served.calls_end()
