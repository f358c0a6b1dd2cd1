"""A real server that speaks OpenAI's API, with a real small model. Skipped where the packages are not installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.local_model import joined, missing, serve
from service.adapters.chain import Chain
from service.adapters.extractive import Extractive
from service.adapters.openai_chat import open_openai
from service.adapters.provider import Limits

lacking = missing("0.5b")
pytestmark = [
    pytest.mark.model,
    pytest.mark.slow,
    pytest.mark.skipif(bool(lacking), reason=f"not installed: {', '.join(lacking[:2])} ... (make demo-llm)"),
]


@pytest.fixture(scope="module")
def address():
    server = serve(joined("0.5b", Path("~/.cache/footnote/models").expanduser()))
    yield f"{server.listening_address}/v1"
    del server


def limits(**given):
    return Limits(**{"first_text_ms": 120_000, "between_ms": 60_000, "tokens_max": 60, **given})


def test_every_sentence_that_it_writes_is_checked(address, folded):
    model = open_openai("local", address, "none", limits())
    response = folded("how long does the otter sleep", generator=Chain([model, Extractive()]))
    assert response.usage.provider == "openai"
    assert response.usage.prompt_tokens > 100
    assert 0 < response.usage.completion_tokens <= 60
    for one in response.sentences:
        assert one.verdict in ("supported", "no_claim")
    for one in response.citations:
        (source,) = [result for result in response.sources if result.passage.id == one.passage_id]
        assert one.quote in source.passage.text


def test_cut_at_its_limit_it_says_so(address, folded):
    response = folded("otter", generator=open_openai("local", address, "none", limits(tokens_max=4)))
    assert response.finish_reason == "length"


def test_too_slow_for_its_first_word_it_is_stood_in_for(address, folded):
    model = open_openai("local", address, "none", limits(first_text_ms=1))
    response = folded("how long does the otter sleep", generator=Chain([model, Extractive()]))
    assert response.verdict == "grounded"
    assert response.degraded == ["generate: openai: timeout; sentences of the passages instead"]
