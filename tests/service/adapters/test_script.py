"""The chat model that says what a file tells it to."""

from __future__ import annotations

import json

import pytest

from service.adapters.chain import Chain
from service.adapters.extractive import Extractive
from service.adapters.generator import Ended
from service.adapters.priced import Price
from service.adapters.provider import Limits
from service.adapters.script import open_script
from service.settings import ServiceSettings
from service.wiring import Service
from store.errors import UsageError

OTTER = ["The otter ", "sleeps five hours ", "a day [1]."]


@pytest.fixture
def script(tmp_path):
    """Writes replies; returns the model, and where they are."""

    def write(*replies, **limits):
        path = tmp_path / "replies.jsonl"
        path.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in replies))
        given = {"first_text_ms": 200, "between_ms": 100, "tokens_max": 60, **limits}
        return open_script(path, Limits(**given)), path

    return write


def test_it_says_what_it_is_told_and_is_called_what_it_is(folded, script):
    model, _ = script({"pieces": OTTER, "prompt_tokens": 7}, prices={"scripted": Price(prompt=1e6, completion=1.0)})
    response = folded("how long does the otter sleep", generator=Chain([model, Extractive()]))
    assert response.answer.strip() == "".join(OTTER)
    assert response.usage.model_dump() == {
        "provider": "footnote",
        "model": "scripted",
        "prompt_tokens": 7,
        "completion_tokens": 3,
        "cost_usd": 7.000003,
    }


def test_replies_come_in_turn_but_for_those_of_a_question(folded, script):
    model, _ = script({"pieces": ["One."]}, {"pieces": ["Otters!"], "when": "OTTER"}, {"pieces": ["Two."]})

    async def said(question):
        return [piece async for piece in model.generate(question, [], []) if not isinstance(piece, Ended)]

    import asyncio

    asked = ["heron", "the otter", "fish", "fish"]
    assert [asyncio.run(said(one)) for one in asked] == [["One."], ["Otters!"], ["Two."], ["One."]]


def test_a_stall_ends_within_the_limits(folded, script):
    model, _ = script({"pieces": [*OTTER, "\nMore "], "stall": True})
    response = folded("how long does the otter sleep", generator=Chain([model, Extractive()]))
    assert response.finish_reason == "provider_error"
    assert response.answer.strip() == "".join(OTTER)
    assert any("timeout" in one for one in response.degraded)


def test_a_failure_before_the_first_word_is_stood_in_for(folded, script):
    model, _ = script({"pieces": [], "error": "rate_limited"})
    response = folded("how long does the otter sleep", generator=Chain([model, Extractive()]))
    assert response.verdict == "grounded"
    assert response.degraded == ["generate: scripted: rate_limited; sentences of the passages instead"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "line 2"),
        ({"pieces": "x"}, "line 2: pieces"),
        ({"pieces": [], "error": "mood"}, "line 2: error"),
        ({"pieces": [], "speed": 1}, "line 2: speed"),
        ({"pieces": [], "delay_ms": -1}, "line 2: delay_ms"),
    ],
)
def test_a_line_that_is_no_reply_is_named(script, line, told):
    with pytest.raises(UsageError, match=told):
        script({"pieces": []}, line)


def test_a_file_without_replies_or_none_at_all_is_refused(script, tmp_path):
    with pytest.raises(UsageError, match="has no reply"):
        script()
    with pytest.raises(UsageError, match="cannot be read"):
        open_script(tmp_path / "missing.jsonl", Limits(1, 1, 1))


def test_settings_choose_it(script, tmp_path):
    _, path = script({"pieces": OTTER})
    wired = Service(ServiceSettings(index=tmp_path, generator="scripted", generator_script=path))
    assert wired._generator.usage.model == "scripted"
    assert wired._rewriter is None
    wired.close()
    with pytest.raises(UsageError, match="no script"):
        Service(ServiceSettings(index=tmp_path, generator="scripted"))
