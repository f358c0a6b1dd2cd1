"""Where a chat model fails, sentences of the passages stand in; and what an answer says of it."""

from __future__ import annotations

import pytest

from service.adapters.chain import Chain
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
