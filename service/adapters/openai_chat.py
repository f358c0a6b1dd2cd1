"""Chat models behind the OpenAI API: OpenAI itself, and servers that speak it (vLLM, Ollama, llama.cpp ...)."""

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
    from openai import AsyncOpenAI

_ENDS: dict[str, EndReason] = {"length": "length", "content_filter": "refused"}


class OpenAIChat:
    """Asks `chat/completions`, streamed.

    Args:
        client: of the `openai` package; retries are nobody's but the caller's, so it should have none.
        model: its name there.
        limits: of each call.
    """

    provider = "openai"

    def __init__(self, client: AsyncOpenAI, model: str, limits: Limits) -> None:
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
        used = (0, 0)
        ended = False
        try:
            async with asyncio.timeout(limits.first_text_ms / 1000):
                stream = await self._client.chat.completions.create(
                    model=self._model,
                    messages=[{"role": "system", "content": asked.system}, {"role": "user", "content": asked.user}],
                    max_tokens=limits.tokens_max,
                    temperature=0,
                    stream=True,
                    stream_options={"include_usage": True},
                )
            async with (
                stream,
                aclosing(steady(self.provider, aiter(stream), limits.first_text_ms, limits.between_ms)) as chunks,
            ):
                async for chunk in chunks:
                    if chunk.usage is not None:
                        used = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
                    for choice in chunk.choices[:1]:
                        if choice.delta.content:
                            yield choice.delta.content
                        if choice.delta.refusal:
                            reason = "refused"
                        if choice.finish_reason is not None:
                            ended, reason = True, _ENDS.get(choice.finish_reason, reason)
        except Exception as error:  # noqa: BLE001  # whatever the package or its connection throws
            raise as_failure(self.provider, error) from None
        if not ended:
            raise GeneratorFailed(self.provider, "bad_response")  # cut off without a word
        yield Ended(usage_of(self.provider, self._model, *used, limits.prices), reason)


def open_openai(model: str, base_url: str | None, api_key: str | None, limits: Limits) -> OpenAIChat:
    """The model at an address with a key, those of the environment where none are given. Raises UsageError."""
    require("openai", of="openai")
    from openai import AsyncOpenAI

    key = api_key or os.environ.get("OPENAI_API_KEY")
    if not key:
        raise without_key("openai", "OPENAI_API_KEY")
    return OpenAIChat(AsyncOpenAI(api_key=key, base_url=base_url, max_retries=0), model, limits)
