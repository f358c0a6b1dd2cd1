"""What a model's tokens cost."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from service.contract import Usage


class Price(BaseModel):
    """US dollars for a million tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: float = Field(ge=0)
    completion: float = Field(ge=0)


def usage_of(
    provider: str, model: str, prompt_tokens: int, completion_tokens: int, prices: Mapping[str, Price]
) -> Usage:
    """Tokens, and what they cost where the model has a price."""
    price = prices.get(model)
    cost = None
    if price is not None:
        cost = round((prompt_tokens * price.prompt + completion_tokens * price.completion) / 1e6, 8)
    return Usage(
        provider=provider,
        model=model,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        cost_usd=cost,
    )


def with_spent(usage: Usage, spent: Usage | None) -> Usage:
    """What a whole request took: the answer's, and what was spent before it, whoever it was paid to."""
    if spent is None:
        return usage
    costs = [one.cost_usd for one in (usage, spent) if one.cost_usd is not None]
    return usage.model_copy(
        update={
            "prompt_tokens": usage.prompt_tokens + spent.prompt_tokens,
            "completion_tokens": usage.completion_tokens + spent.completion_tokens,
            "cost_usd": round(sum(costs), 8) if costs else None,
        }
    )
