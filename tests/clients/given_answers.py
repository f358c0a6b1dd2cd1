"""Answers that a service might give, for property tests: as pipeline events, on the wire, and as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass

from hypothesis import strategies as st

from service.contract import (
    Abstention,
    Checks,
    Citation,
    DegradedEvent,
    FinishEvent,
    MetaEvent,
    SentenceEvent,
    SourcesEvent,
    StageReport,
    Usage,
    WithheldEvent,
    fold,
)
from service.http.sse import frame

WORDS = st.text(st.sampled_from("ab \n東京é\u0301\U0001f600\U0001f1ee\U0001f1f8שלום`\u2028\r"), min_size=1, max_size=12)


@dataclass(frozen=True)
class Given:
    """One answer: `frames` are the events on the wire, `json` what the service gives without a stream."""

    frames: list[bytes]
    json: dict


@st.composite
def answers(draw):
    """Sentences with citations in any script, withheld ones, degradations, abstentions."""
    events = [
        MetaEvent(request_id="r", generation=7, query_used=draw(WORDS), guardrail="verified", model="m"),
        SourcesEvent(sources=[]),
    ]
    at = index = number = 0
    for _ in range(draw(st.integers(0, 5))):
        kind = draw(st.sampled_from(["sentence", "sentence", "withheld", "degraded"]))
        if kind == "degraded":
            events.append(DegradedEvent(message=draw(WORDS)))
        elif kind == "withheld":
            events.append(WithheldEvent(index=index, reason="not_supported", chars=draw(st.integers(1, 99))))
            index += 1
        else:
            claim = draw(WORDS)
            citations = []
            text = claim
            for marker in range(1, draw(st.integers(0, 3)) + 1):
                number += 1
                begin = at + len(text)
                text += f"[{marker}]"
                citations.append(
                    Citation(
                        id=f"c{number}",
                        marker=marker,
                        answer_start=at,
                        answer_end=at + len(claim),
                        marker_start=begin,
                        marker_end=begin + 3,
                        document_id="d",
                        document_version="v",
                        title=draw(WORDS),
                        passage_id="p",
                        quote=claim,
                        source_start=0,
                        source_end=len(claim),
                        support=0.5,
                        checks=Checks(known=True, exact=True, supported=True),
                    )
                )
            text += ". "
            events.append(
                SentenceEvent(
                    index=index,
                    text=text,
                    start=at,
                    end=at + len(text),
                    verdict="supported" if citations else "no_claim",
                    reason=None if citations else "heading",
                    citations=citations,
                )
            )
            at += len(text)
            index += 1
    abstains = draw(st.booleans()) and number == 0
    events.append(
        FinishEvent(
            finish_reason="abstained" if abstains else draw(st.sampled_from(["stop", "length", "deadline"])),
            abstention=Abstention(reason="nothing_supported", score=0.25) if abstains else None,
            usage=Usage(provider="p", model="m", cost_usd=0.1),
            stages=[StageReport(name="fuse", budget_ms=None, took_ms=0.25, outcome="ok")],
        )
    )
    response = fold(events)
    frames = [frame(number, one.type, one, without_type=True) for number, one in enumerate(events[:-1], 1)]
    frames.append(frame(len(events), "done", response))
    return Given(frames, json.loads(response.model_dump_json()))
