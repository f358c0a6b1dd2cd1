"""Chat models behind the OpenAI API: OpenAI itself, and servers that speak it (vLLM, Ollama, llama.cpp ...)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from service.adapters.chat_model import ChatModel, Said
from service.adapters.generator import EndReason
from service.adapters.grammar import GrammarKind, gbnf, json_schema
from service.adapters.prompt import Prompt
from service.adapters.provider import Limits, key_of, require
from service.adapters.tail import Tail

_ENDS: dict[str, EndReason] = {
    "length": "length",
    "content_filter": "refused",
    "tool_calls": "tool_call",
    "function_call": "tool_call",
}


class OpenAIChat(ChatModel):
    """Asks `chat/completions` of an `openai.AsyncOpenAI`."""

    provider = "openai"
    _reasons = False

    async def _ask(
        self, asked: Prompt, tokens_max: int, headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[Any]:
        from openai import BadRequestError

        try:
            return await self._create(asked, tokens_max, headers)
        except BadRequestError as error:
            if self._reasons or error.param not in ("max_tokens", "temperature"):
                raise
            self._reasons = True  # OpenAI's reasoning models take neither; it says so, and nothing was written
            return await self._create(asked, tokens_max, headers)

    async def _create(
        self, asked: Prompt, tokens_max: int, headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[Any]:
        limits = (
            {"max_completion_tokens": tokens_max} if self._reasons else {"max_tokens": tokens_max, "temperature": 0}
        )
        stream: AbstractAsyncContextManager[Any] = await self._client.chat.completions.create(
            model=self._model,
            messages=[{"role": "system", "content": asked.system}, {"role": "user", "content": asked.user}],
            stream=True,
            extra_headers=headers,
            stream_options={"include_usage": True},
            **limits,
            **self._held_to(asked),
        )
        return stream

    def _held_to(self, asked: Prompt) -> dict[str, Any]:
        """The grammar of an answer: llama.cpp reads `grammar`, vLLM `structured_outputs`; each ignores the other's."""
        if not asked.sources or self._grammar == "none":
            return {}
        if self._grammar == "gbnf":
            rules = gbnf(asked.sources, asked.user)
            return {"extra_body": {"grammar": rules, "structured_outputs": {"grammar": rules}}}
        schema = {"name": "answer", "strict": True, "schema": json_schema(asked.sources)}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}

    def _said(self, item: Any) -> Said:
        used, choice = item.usage, item.choices[0] if item.choices else None
        prompt_tokens, completion_tokens = (
            (None, None) if used is None else (used.prompt_tokens, used.completion_tokens)
        )
        if choice is None:  # the last item, with the usage alone
            return Said(prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)
        return Said(
            choice.delta.content or "",
            ended=choice.finish_reason is not None,
            reason="refused" if choice.delta.refusal else _ENDS.get(choice.finish_reason or ""),
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
        )


def open_openai(
    model: str,
    base_url: str | None,
    api_key: str | None,
    limits: Limits,
    grammar: GrammarKind = "none",
    tail: Tail | None = None,
) -> OpenAIChat:
    """The model at an address with a key, those of the environment where none are given. Raises UsageError."""
    require("openai", of="openai")
    from openai import AsyncOpenAI, Timeout

    key = key_of("openai", api_key, "OPENAI_API_KEY")
    timeout = Timeout(None, connect=limits.connect_ms / 1000)
    client = AsyncOpenAI(api_key=key, base_url=base_url, max_retries=0, timeout=timeout)
    return OpenAIChat(client, model, limits, grammar, tail)
