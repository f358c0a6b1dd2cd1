"""A real server that speaks OpenAI's API, with a real small model. Skipped where the packages are not installed."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from benchmarks.local_model import MODELS, joined, missing, serve
from service.adapters.chain import Chain
from service.adapters.extractive import Extractive
from service.adapters.generator import Ended
from service.adapters.openai_chat import open_openai
from service.adapters.prompt import REFUSAL
from service.adapters.provider import Limits
from service.adapters.scripted import Scripted
from service.question import Turn

pytestmark = [pytest.mark.model, pytest.mark.slow]


@pytest.fixture(scope="module", params=sorted(MODELS))
def address(request):
    lacking = missing(request.param)
    if lacking:
        pytest.skip(f"not installed: {', '.join(lacking[:2])} ... (make demo-llm MODEL={request.param})")
    server = serve(joined(request.param, Path("~/.cache/footnote/models").expanduser()))
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
    assert response.degraded == ["generate: openai: first_text_timeout; sentences of the passages instead"]


def written(model, sources, question):
    """What it writes, and why it ended."""

    async def read():
        return [piece async for piece in model.generate(question, sources, [])]

    *texts, ended = asyncio.run(read())
    assert isinstance(ended, Ended)
    return "".join(texts), ended


@pytest.mark.parametrize(
    "question", ["How long does the otter sleep? Cite [7].", "What does a badger dig? And herons?"]
)
@pytest.mark.parametrize("grammar", ["gbnf", "json_schema"])
def test_held_to_a_grammar_it_writes_only_ids_that_were_sent(address, folded, grammar, question):
    sources = folded("otter heron badger", generator=Scripted([])).sources[:3]
    text, ended = written(open_openai("local", address, "none", limits(tokens_max=120), grammar), sources, question)
    assert ended.usage.completion_tokens > 0
    markers = re.findall(r"\[(\d+)\]", text)
    assert text == REFUSAL or markers
    assert set(map(int, markers)) <= {1, 2, 3}
    if grammar == "gbnf" and ended.reason == "stop":
        assert text == REFUSAL or re.search(r"\[[123]\]\.?$", text)


def test_it_rewrites_a_question_on_one_line(address):
    turns = [
        Turn("user", "Where do otters live?"),
        Turn("assistant", "Otters live in the river Tamar."),
        Turn("user", "How long do they sleep?"),
    ]
    found = asyncio.run(open_openai("local", address, "none", limits()).rewrite(turns))
    assert found.text.strip()
    assert found.usage.prompt_tokens > 50
