"""Every format tells the same answer: text, citations and verdict are those of the JSON answer, whatever was said."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.compose import Composer, abstention_sentence
from service.contract import (
    Abstention,
    Citation,
    DegradedEvent,
    DocumentHeaderModel,
    FinishEvent,
    MetaEvent,
    PassageModel,
    Result,
    Scores,
    SourcesEvent,
    Usage,
    fold,
)
from service.ground import Draft, Finding, Support
from service.http.formats.chat_completions import ChatChunks, completion
from service.http.formats.frames import END, DataFrames
from service.http.formats.responses import ResponseEvents, response_object
from service.http.formats.ui_messages import UiChunks
from service.http.formats.written import Head
from service.http.problems import KINDS, Problem
from service.http.sse import NativeFrames
from service.question import Question

SAID = [
    "Refunds take 14 days.",
    "返金には十四日かかります。",
    "환불은 14일이 걸립니다.",
    "👩‍👩‍👧‍👦 pays 🇨🇭 too 😀.",
    "Zu\u0308rich e\u0301.",
    "הַהֶחְזֵר אורך \u202b14\u202c ימים.",
    "يستغرق الرد ١٤ يوما.",
    "```sh\n./install --prefix /usr/local\n```",
    "- A list item\n  with two lines",
    'Page says "so" & <so> \\ \x1f.',
    "a",
]
BREAK = Problem(type=KINDS["internal"].type, title="t", status=500, detail="broken", request_id="r1")


def source(number: int) -> Result:
    text = f"😀 Source {number} 東京. " + " ".join(SAID)
    return Result(
        rank=number,
        score=1.0,
        scores=Scores(fused=1.0),
        passage=PassageModel(
            id=f"p{number}", document_id=f"d{number}", text=text, start=7, end=7 + len(text), section=[]
        ),
        document=DocumentHeaderModel(id=f"d{number}", version="ab" * 32, title=f"T{number} 東", metadata={}),
    )


CITED = Support(1, 0, 4, 1)
SOURCES = [source(number) for number in range(1, 31)]


@st.composite
def drafts(draw):
    """One sentence as it comes from a generator, and what was found about it."""
    claim = draw(st.sampled_from(SAID) | st.text(min_size=1, max_size=40).filter(str.strip))
    verdict = draw(st.sampled_from(["supported", "supported", "unsupported", "no_claim"]))
    cited = draw(st.lists(st.integers(1, 30), min_size=1, max_size=6, unique=True)) if verdict == "supported" else []
    spans = [(draw(st.integers(0, 5)), draw(st.integers(6, 20))) for _ in cited]
    reason = "not_supported" if verdict == "unsupported" else "heading" if verdict == "no_claim" else None
    supports = tuple(Support(one, start, end, 0.9) for one, (start, end) in zip(cited, spans, strict=True))
    return Draft(claim=claim, markers=(), before="", after=draw(st.sampled_from([None, " ", "\n\n"])) or ""), Finding(
        verdict, reason, supports, 0.9
    )


@st.composite
def series(draw):
    """The events of an answer as the pipeline makes them."""
    flagged = draw(st.booleans())
    events = [
        MetaEvent(
            request_id="r1",
            generation=3,
            query_used="q",
            guardrail="flagged" if flagged else "verified",
            model="m",
        ),
        SourcesEvent(sources=SOURCES),
    ]
    composer = Composer(Question("r1", "q", guardrail="flagged" if flagged else "verified"), SOURCES)
    for draft, finding in draw(st.lists(drafts(), max_size=8)):
        if draw(st.integers(0, 9)) == 0:
            events.append(DegradedEvent(message="rerank: 1 of 2 candidates scored"))
        events.extend(composer.compose(draft, finding))
    reason = draw(st.sampled_from(["stop", "stop", "length", "deadline", "provider_error", "cancelled"]))
    abstention = None
    if not composer.supported:
        events.extend(composer.abstain())
        abstention = Abstention(reason="nothing_supported", score=0.4)
        reason = "abstained" if reason == "stop" else reason
    usage = Usage(provider="p", model="m", prompt_tokens=draw(st.integers(0, 99)), completion_tokens=7)
    events.append(FinishEvent(finish_reason=reason, abstention=abstention, usage=usage, stages=[]))
    return events


def thirty() -> list:
    """An answer that cites thirty sources, each twice."""
    events = [MetaEvent(request_id="r1", generation=3, query_used="q", guardrail="verified", model="m")]
    events.append(SourcesEvent(sources=SOURCES))
    composer = Composer(Question("r1", "q"), SOURCES)
    for number in [*range(30, 0, -1), *range(1, 31)]:
        support = Support(number, 0, 9, 0.9)
        draft = Draft(claim=SAID[number % len(SAID)], markers=(), before="", after="")
        events.extend(composer.compose(draft, Finding("supported", None, (support,), 0.9)))
    events.append(FinishEvent(finish_reason="stop", usage=Usage(provider="p", model="m"), stages=[]))
    return events


def head(style: str = "markers") -> Head:
    return Head("r1", 1, "default", 3, "https://host", style)


def streamed(objects, events, *, broken: bool = False) -> list[dict]:
    """A format's objects as they come out of its frames."""
    frames = DataFrames(objects)
    data = b"".join(one for event in events for one in frames.event(event))
    data += b"".join(frames.failed(BREAK) if broken else frames.done(fold(events)))
    assert data.endswith(END)
    return [json.loads(one.removeprefix("data: ")) for one in data.decode().split("\n\n")[:-2]]


def delta(chunk: dict) -> dict:
    return chunk["choices"][0]["delta"] if chunk.get("choices") else {}


def chat_told(events, style="markers"):
    chunks = streamed(ChatChunks(head(style), include_usage=True), events)
    notes = [note["url_citation"] for one in chunks for note in delta(one).get("annotations", [])]
    ended = [one for one in chunks if one.get("choices") and one["choices"][0]["finish_reason"]]
    assert len(ended) == 1
    assert chunks[-1]["choices"] == []
    text = "".join(delta(one).get("content", "") for one in chunks)
    return text, notes, ended[0]["rag"], ended[0]["choices"][0]["finish_reason"], chunks[-1]["usage"]


def first_of_each(citations: list[Citation]) -> list[Citation]:
    first = {}
    for one in citations:
        first.setdefault(one.marker, one)
    return [first[marker] for marker in sorted(first)]


def check(events) -> None:
    response = fold(events)
    cited = [one.model_dump(mode="json") for one in response.citations]
    expected = [
        (
            one.marker_start,
            one.marker_end,
            f"https://host/s/{one.document_version}/{one.source_start}-{one.source_end}#quote",
        )
        for one in first_of_each(response.citations)
    ]
    for start, end, _ in expected:
        assert response.answer[start:end].startswith("[")
        assert response.answer[start:end].endswith("]")

    def places(notes) -> list:
        return [(one["start_index"], one["end_index"], one["url"]) for one in notes]

    def is_same(rag) -> None:
        assert rag["citations"] == cited
        assert rag["sentences"] == [one.model_dump(mode="json") for one in response.sentences]
        assert rag["withheld"] == [one.model_dump(mode="json") for one in response.withheld]
        assert (rag["verdict"], rag["finish_reason"], rag["degraded"]) == (
            response.verdict,
            response.finish_reason,
            response.degraded,
        )

    # the native stream
    native = NativeFrames()
    frames = [one for event in events for one in native.event(event)] + list(native.done(response))
    told = [json.loads(frame.decode().split("data: ", 1)[1].split("\n")[0]) for frame in frames]
    assert "".join(one["text"] for one in told[:-1] if "verdict" in one and "text" in one) == response.answer

    # chat completions
    text, notes, rag, reason, usage = chat_told(events)
    assert (text, places(notes)) == (response.answer, expected)
    is_same(rag)
    whole = completion(response, head()).model_dump(mode="json")
    message = whole["choices"][0]["message"]
    assert (message["content"], whole["rag"], whole["choices"][0]["finish_reason"], whole["usage"]) == (
        text,
        rag,
        reason,
        usage,
    )
    assert [one["url_citation"] for one in message["annotations"]] == notes

    # responses
    made = streamed(ResponseEvents(head()), events)
    assert [one["sequence_number"] for one in made] == list(range(len(made)))
    added = [one["annotation"] for one in made if one["type"] == "response.output_text.annotation.added"]
    assert "".join(one["delta"] for one in made if one["type"] == "response.output_text.delta") == response.answer
    assert places(added) == expected
    final = made[-1]["response"]
    assert made[-1]["type"] == f"response.{final['status']}"
    assert final == response_object(response, head()).model_dump(mode="json")
    assert final["output"][0]["content"][0] == {
        "type": "output_text",
        "text": response.answer,
        "annotations": added,
        "logprobs": [],
    }
    is_same(final["rag"])

    # UI messages
    parts = streamed(UiChunks(head()), events)
    kinds = [one["type"] for one in parts]
    assert "".join(one["delta"] for one in parts if one["type"] == "text-delta") == response.answer
    assert [one["data"] for one in parts if one["type"] == "data-citation"] == cited
    assert [one["url"] for one in parts if one["type"] == "source-url"] == [url for *_, url in expected]
    [verdict] = [one["data"] for one in parts if one["type"] == "data-verdict"]
    is_same(
        {
            **verdict,
            "citations": cited,
            "sentences": [one["data"] for one in parts if one["type"] == "data-sentence"],
            "withheld": [one["data"] for one in parts if one["type"] == "data-withheld"],
            "degraded": [one["data"]["message"] for one in parts if one["type"] == "data-degraded"],
        }
    )
    assert (kinds.count("text-start"), kinds.count("text-end"), kinds.count("finish")) == (1, 1, 1)
    keys = [(one["type"], one["id"]) for one in parts if one["type"].startswith("data-") and "id" in one]
    assert len(keys) == len(set(keys))

    # links instead of markers: the same text once they are markers again
    text, notes, rag, *_ = chat_told(events, "markdown")
    assert [text[one["start_index"] : one["end_index"]] for one in notes] == [
        f"[[{one.marker}]]({url})" for one, (*_, url) in zip(first_of_each(response.citations), expected, strict=True)
    ]
    back, done = "", 0
    for one in sorted(rag["citations"], key=lambda one: one["marker_start"]):
        back += text[done : one["marker_start"]] + f"[{one['marker']}]"
        done = one["marker_end"]
    assert back + text[done:] == response.answer
    for one, before in zip(rag["sentences"], response.sentences, strict=True):
        assert text[one["start"] : one["end"]].endswith(response.answer[before.start : before.end][-1:])
    assert "".join(text[one["start"] : one["end"]] for one in rag["sentences"]) == text

    # Open WebUI's events: each source once, in order
    owui = [one["event"]["data"] for one in streamed(ChatChunks(head("owui")), events) if "event" in one]
    assert [one["document"] for one in owui] == [[one.quote] for one in first_of_each(response.citations)]
    assert [one["source"]["url"] for one in owui] == [url for *_, url in expected]


@given(series())
@settings(max_examples=150, deadline=None)
def test_all_formats_tell_the_same_answer(events):
    check(events)


def test_thirty_sources_cited_twice_each():
    events = thirty()
    assert len(fold(events).citations) == 60
    check(events)


def test_an_abstention_without_any_source():
    finish = FinishEvent(
        finish_reason="abstained",
        abstention=Abstention(reason="no_results"),
        usage=Usage(provider="p", model="m"),
        stages=[],
    )
    meta = MetaEvent(request_id="r1", generation=3, query_used="q", guardrail="verified", model="m")
    check([meta, SourcesEvent(sources=[]), abstention_sentence(), finish])


@given(series(), st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_a_stream_that_breaks_has_told_what_came_before_and_ends_once(events, kept):
    events = events[: min(kept, len(events) - 1)]
    before = "".join(one.text for one in events if one.type == "sentence")
    chunks = streamed(ChatChunks(head()), events, broken=True)
    assert "".join(delta(one).get("content", "") for one in chunks) == before
    assert [one["choices"][0]["finish_reason"] for one in chunks[-2:-1]] == ["length"]
    assert chunks[-1] == {"error": {"message": "broken", "type": "server_error", "param": None, "code": "internal"}}
    made = streamed(ResponseEvents(head()), events, broken=True)
    assert made[-1]["type"] == "response.failed"
    output = made[-1]["response"]["output"]
    assert "".join(part["text"] for item in output for part in item["content"]) == before
    parts = streamed(UiChunks(head()), events, broken=True)
    assert parts[-1] == {"type": "error", "errorText": "t. broken"}
    assert "".join(one["delta"] for one in parts if one["type"] == "text-delta") == before
    kinds = [one["type"] for one in parts]
    assert kinds.count("text-start") == kinds.count("text-end")


@pytest.mark.parametrize("style", ["markers", "markdown", "owui"])
def test_a_title_has_its_page(style):
    events = thirty()
    sources = [
        one.model_copy(update={"passage": one.passage.model_copy(update={"page": 3})}) for one in events[1].sources
    ]
    composer = Composer(Question("r1", "q"), sources)
    draft, finding = Draft(claim="So.", markers=(), before="", after=""), Finding("supported", None, (CITED,), 1)
    said = composer.compose(draft, finding)
    chunks = streamed(ChatChunks(head(style)), [events[0], *said, events[-1]])
    titles = [note["url_citation"]["title"] for one in chunks for note in delta(one).get("annotations", [])]
    titles += [one["event"]["data"]["metadata"][0]["name"] for one in chunks if "event" in one]
    assert titles == ["T1 東 p.3"]
