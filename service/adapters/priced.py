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
