"""A model's rewriting of a question: what is admitted, and what an answer says of what is not."""

from __future__ import annotations

import asyncio

import pytest

from service.adapters.generator import GeneratorFailed
from service.adapters.scripted import Scripted
from service.budget import Budgets
from service.contract import Usage
from service.question import Question, Turn
from service.rewrite import REWRITING_CHARS_MAX, Rewriting, admitted

TURNS = (
    Turn("user", "Where do otters of the Tamar live?"),
    Turn("assistant", "In 12 rivers [1]."),
    Turn("user", "How long do they sleep in 2023?"),
)
ASKED = TURNS[-1].content
GOOD = "How long do otters of the Tamar sleep in 2023?"
SPENT = Usage(provider="openai", model="big", prompt_tokens=50, completion_tokens=10, cost_usd=0.25)


def test_a_rewriting_that_keeps_to_the_conversation_is_admitted():
    assert admitted(f' "{GOOD}" [1]\n', ASKED, TURNS) == GOOD


@pytest.mark.parametrize(
    "written",
    [
        "",
        "?!",
        f"Standalone question:\n{GOOD}",
        "How long do otters sleep?",  # the number is dropped
        "How long do otters of the Tamar sleep in 2023 or 2024?",  # a number nobody said
        "How long do otters of the Thames sleep in 2023?",  # a name nobody said
        f"{GOOD} \u202etxet",
        f"{GOOD} {'x' * REWRITING_CHARS_MAX}",
    ],
)
def test_what_drops_or_adds_is_not_admitted(written):
    assert admitted(written, ASKED, TURNS) is None


def test_a_name_of_the_question_must_stay():
    assert admitted("How long do they sleep?", "How long do they sleep at the Tamar?", TURNS) is None


class Model:
    def __init__(self, text="", *, error=None, waits=False):
        self.text, self.error, self.waits = text, error, waits
        self.stopped = False

    async def rewrite(self, turns):
        try:
            if self.waits:
                await asyncio.sleep(30)
            if self.error:
                raise self.error
            return Rewriting(self.text, SPENT)
        finally:
            self.stopped = True


QUESTION = Question("r", "How long do they sleep in 2023? (otters Tamar live)", turns=TURNS, top_k=5)


def stage(response, name="condense"):
    return next((one for one in response.stages if one.name == name), None)


def test_the_rewriting_is_what_is_asked_and_its_tokens_are_counted(events):
    from service.contract import fold

    found = events(
        "", question=QUESTION, rewriter=Model(GOOD), generator=Scripted(["The otter sleeps five hours. [1]"])
    )
    assert found[0].type == "meta"
    response = fold(found)
    assert found[0].query_used == response.query_used == GOOD
    assert stage(response).outcome == "ok"
    assert response.degraded == []
    assert (response.usage.model, response.usage.prompt_tokens, response.usage.cost_usd) == ("scripted", 50, 0.25)


@pytest.mark.parametrize(
    ("model", "outcome", "told"),
    [
        (Model("How long do they sleep?"), "degraded", "condense: the rewriting is not what was asked"),
        (
            Model(error=GeneratorFailed("openai", "rate_limited", status=429)),
            "failed",
            "condense: openai: rate_limited",
        ),
        (Model(error=RuntimeError("sk-secret")), "failed", "condense: RuntimeError"),
    ],
)
def test_where_it_is_of_no_use_the_question_is_as_rules_made_it(folded, model, outcome, told, caplog):
    response = folded("", question=QUESTION, rewriter=model)
    assert response.query_used == QUESTION.text
    assert stage(response).outcome == outcome
    (message,) = response.degraded
    assert message.startswith(told)
    assert message.endswith("the question is as rules made it")
    assert "sk-secret" not in message


def test_a_model_that_is_too_slow_is_stopped_within_its_budget(folded):
    model = Model(waits=True)
    response = folded("", question=QUESTION, rewriter=model, budgets=Budgets(condense_ms=30, first_sentence_ms=None))
    assert response.query_used == QUESTION.text
    assert stage(response).outcome == "timeout"
    assert stage(response).budget_ms == 30
    assert any("condense did not end within 30 ms" in one for one in response.degraded)
    assert model.stopped


def test_without_a_model_or_where_rules_sufficed_none_is_asked(folded):
    assert stage(folded("", question=QUESTION)) is None
    model = Model(GOOD)
    assert stage(folded("otter", rewriter=model)) is None
    assert not model.stopped
