"""Where a chat model fails, sentences of the passages stand in; and what an answer says of it."""

from __future__ import annotations

import pytest

from service.adapters.chain import PAUSE_S_MAX, Chain
from service.adapters.extractive import Extractive
from service.adapters.generator import Ended, GeneratorFailed
from service.adapters.scripted import Scripted
from service.contract import Usage
from service.settings import ServiceSettings
from service.wiring import Service
from store.errors import UsageError

OTTER = "The otter sleeps five hours a day [1]."


class Model(Scripted):
    """A scripted model that fails as providers do, and counts what it used."""

    def __init__(self, pieces, *, failure=None, reason="stop", **more):
        super().__init__(pieces, **more)
        self._failure, self._reason = failure, reason

    @property
    def usage(self):
        return Usage(provider="openai", model="big")

    async def generate(self, question, sources, evidence):
        async for piece in super().generate(question, sources, evidence):
            yield piece
        if self._failure is not None:
            raise self._failure
        yield Ended(Usage(provider="openai", model="big", prompt_tokens=5, completion_tokens=2), self._reason)


def asked(folded, *generators):
    return folded("how long does the otter sleep", generator=Chain([*generators, Extractive()]))


def test_what_the_model_wrote_is_the_answer_and_its_usage_is_told(folded):
    response = asked(folded, Model([OTTER]))
    assert response.answer.strip() == OTTER
    assert response.usage.model_dump(exclude_none=True) == {
        "provider": "openai",
        "model": "big",
        "prompt_tokens": 5,
        "completion_tokens": 2,
    }
    assert response.degraded == []


@pytest.mark.parametrize(
    "model",
    [
        Model([], failure=GeneratorFailed("openai", "rate_limited", status=429)),
        Model([], failure=RuntimeError("sk-secret")),
        Model([]),
        Model([" ", "\n"]),
    ],
    ids=["limited", "raises", "nothing", "blank"],
)
def test_a_model_that_fails_before_its_first_word_is_stood_in_for(folded, model):
    response = asked(folded, model)
    assert response.verdict == "grounded"
    assert (response.usage.provider, response.usage.model) == ("footnote", "extractive")
    assert "The otter sleeps five hours a day" in response.answer
    (told,) = response.degraded
    assert told.startswith("generate: ")
    assert told.endswith("sentences of the passages instead")
    assert "secret" not in told


def test_a_model_that_fails_later_is_not(folded):
    response = asked(folded, Model([OTTER + " ", "The heron "], failure=GeneratorFailed("openai", "unreachable")))
    assert response.answer.strip() == OTTER
    assert (response.verdict, response.finish_reason) == ("partial", "provider_error")
    assert response.degraded == ["generate: openai: unreachable; the answer ends with what was verified"]


def test_the_sentence_in_which_it_was_cut_is_left_out(folded):
    response = asked(folded, Model([OTTER + " ", "The otter sleeps five hours"], reason="length"))
    assert response.answer.strip() == OTTER
    assert (response.verdict, response.finish_reason) == ("partial", "length")
    assert "cut at the limit of tokens" in response.degraded[0]


def test_models_stand_in_for_each_other_in_order(folded):
    response = asked(folded, Model([], failure=RuntimeError()), Model([OTTER]))
    assert response.answer.strip() == OTTER
    assert response.degraded == ["generate: RuntimeError; big instead"]


@pytest.mark.parametrize("writes", [[], [" ", "\n"]], ids=["nothing", "blank"])
def test_what_a_model_took_that_wrote_nothing_is_in_the_usage_of_the_answer(folded, writes):
    by_sentences = asked(folded, Model(writes))
    assert (by_sentences.usage.prompt_tokens, by_sentences.usage.completion_tokens) == (5, 2)
    by_another = asked(folded, Model(writes), Model(writes), Model([OTTER]))
    assert (by_another.usage.prompt_tokens, by_another.usage.completion_tokens) == (15, 6)


def test_leaving_early_closes_the_model(engine, folded):
    import asyncio

    model = Model([OTTER + " "] * 20)

    async def leave():
        text = Chain([model, Extractive()]).generate("q", [], [])
        await anext(text)
        await text.aclose()

    asyncio.run(leave())
    assert model.closed


@pytest.mark.parametrize("name", ["openai", "anthropic"])
def test_settings_open_a_model_and_what_lacks_is_named(name, tmp_path, monkeypatch):
    monkeypatch.delenv(f"{name.upper()}_API_KEY", raising=False)
    with pytest.raises(UsageError, match="no model is named"):
        Service(ServiceSettings(index=tmp_path, generator=name))
    with pytest.raises(UsageError, match="no key is set") as refused:
        Service(ServiceSettings(index=tmp_path, generator=name, generator_model="m"))
    assert f"{name.upper()}_API_KEY" in refused.value.fix
    service = Service(
        ServiceSettings(index=tmp_path, generator=name, generator_model="m", generator_api_key="k-secret")
    )
    assert service._generator.usage == Usage(provider=name, model="m")
    assert "k-secret" not in repr(service.settings)
    monkeypatch.setattr("service.adapters.provider.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=f"package {name} is not installed"):
        Service(ServiceSettings(index=tmp_path, generator=name, generator_model="m"))


def test_a_provider_that_asks_to_be_left_alone_is(folded):
    now = [0.0]
    limited = Model([], failure=GeneratorFailed("openai", "rate_limited", status=429, retry_after_s=7.0))
    chain = Chain([limited, Extractive()], clock=lambda: now[0])
    told = []
    for now[0] in (0.0, 6.9, 7.1):
        limited.closed = False
        told.append((folded("how long does the otter sleep", generator=chain).degraded, limited.closed))
    failed = ["generate: openai: rate_limited (HTTP 429); sentences of the passages instead"]
    left_alone = ["generate: big asked to be left alone; sentences of the passages instead"]
    assert told == [(failed, True), (left_alone, False), (failed, True)]


def test_a_provider_that_asks_for_a_day_is_asked_again_after_a_minute(folded):
    now = [0.0]
    limited = Model([], failure=GeneratorFailed("openai", "rate_limited", retry_after_s=86_400.0))
    chain = Chain([limited, Extractive()], clock=lambda: now[0])
    folded("otter", generator=chain)
    now[0], limited.closed = PAUSE_S_MAX + 1, False
    folded("otter", generator=chain)
    assert limited.closed


def test_several_models_are_set_each_with_its_share_of_the_time(tmp_path):
    script = tmp_path / "replies.jsonl"
    script.write_text('{"pieces": ["x"]}\n')
    fallbacks = [
        {"generator": "anthropic", "model": "second", "api_key": "k-second", "grammar": "json_schema"},
        {"generator": "scripted", "script": str(script)},
    ]
    settings = ServiceSettings(
        index=tmp_path,
        generator="openai",
        generator_model="first",
        generator_api_key="k-first",
        generator_fallbacks=fallbacks,
    )
    wired = Service(settings)
    *models, last = wired._generator._generators
    assert [one.usage.model for one in models] == ["first", "second", "scripted"]
    assert isinstance(last, Extractive)
    assert {one._limits.first_text_ms for one in models} == {settings.first_sentence_budget_ms / 3}
    assert wired._rewriter is models[0]
    assert "k-second" not in repr(settings)
    assert "k-second" not in settings.model_dump_json()


def test_rewriting_by_the_model_can_be_switched_off(tmp_path):
    given = {"index": tmp_path, "generator": "openai", "generator_model": "m", "generator_api_key": "k"}
    assert Service(ServiceSettings(**given, condense_with_model=False))._rewriter is None


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"generator_fallbacks": [{"generator": "openai", "model": "m"}]}, "no chat model can stand in"),
        (
            {
                "generator": "openai",
                "generator_model": "m",
                "generator_api_key": "k",
                "generator_fallbacks": [{"generator": "anthropic"}],
            },
            "no model is named",
        ),
        (
            {
                "generator": "anthropic",
                "generator_model": "m",
                "generator_api_key": "k",
                "generator_grammar": "gbnf",
            },
            "takes no gbnf",
        ),
    ],
)
def test_what_cannot_stand_in_is_refused_at_the_start(tmp_path, given, told):
    with pytest.raises(UsageError, match=told):
        Service(ServiceSettings(index=tmp_path, **given))
