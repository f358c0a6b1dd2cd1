"""Chat models behind the Anthropic API."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from service.adapters.generator import Ended, EndReason, GeneratorFailed, Piece
from service.adapters.priced import usage_of
from service.adapters.prompt import prompt
from service.adapters.provider import Limits, as_failure, require, steady, without_key
from service.contract import Result, Usage
from service.evidence import Evidence

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

_ENDS: dict[str, EndReason] = {"max_tokens": "length", "refusal": "refused"}


class AnthropicMessages:
    """Asks `messages`, streamed.

    Args:
        client: of the `anthropic` package; retries are nobody's but the caller's, so it should have none.
        model: its name there.
        limits: of each call.
    """

    provider = "anthropic"

    def __init__(self, client: AsyncAnthropic, model: str, limits: Limits) -> None:
        self._client = client
        self._model = model
        self._limits = limits

    @property
    def usage(self) -> Usage:
        """Provider and model."""
        return Usage(provider=self.provider, model=self._model)

    async def generate(
        self,
        question: str,
        sources: Sequence[Result],
        evidence: Sequence[Evidence],  # noqa: ARG002  # the model reads the passages whole
    ) -> AsyncGenerator[Piece, None]:
        """The model's text as it comes, then what it took. Raises GeneratorFailed."""
        asked = prompt(question, sources, f"~{secrets.token_hex(4)}~")
        limits = self._limits
        reason: EndReason = "stop"
        prompt_tokens = completion_tokens = 0
        ended = False
        try:
            async with asyncio.timeout(limits.first_text_ms / 1000):
                stream = await self._client.messages.create(
                    model=self._model,
                    system=asked.system,
                    messages=[{"role": "user", "content": asked.user}],
                    max_tokens=limits.tokens_max,
                    stream=True,
                )
            async with (
                stream,
                aclosing(steady(self.provider, aiter(stream), limits.first_text_ms, limits.between_ms)) as events,
            ):
                async for event in events:
                    if event.type == "message_start":
                        prompt_tokens = event.message.usage.input_tokens
                    elif event.type == "content_block_delta" and event.delta.type == "text_delta":
                        if event.delta.text:
                            yield event.delta.text
                    elif event.type == "message_delta":
                        completion_tokens = event.usage.output_tokens
                        reason = _ENDS.get(event.delta.stop_reason or "", reason)
                    elif event.type == "message_stop":
                        ended = True
        except Exception as error:  # noqa: BLE001  # whatever the package or its connection throws
            raise as_failure(self.provider, error) from None
        if not ended:
            raise GeneratorFailed(self.provider, "bad_response")  # cut off without a word
        yield Ended(usage_of(self.provider, self._model, prompt_tokens, completion_tokens, limits.prices), reason)


def open_anthropic(model: str, base_url: str | None, api_key: str | None, limits: Limits) -> AnthropicMessages:
    """The model at an address with a key, those of the environment where none are given. Raises UsageError."""
    require("anthropic", of="anthropic")
    from anthropic import AsyncAnthropic

    key = api_key or os.environ.get("ANTHROPIC_API_KEY")
    if not key:
        raise without_key("anthropic", "ANTHROPIC_API_KEY")
    return AnthropicMessages(AsyncAnthropic(api_key=key, base_url=base_url, max_retries=0), model, limits)
