"""Chat models behind the Anthropic API."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from service.adapters.chat_model import ChatModel, Said
from service.adapters.generator import EndReason
from service.adapters.grammar import GrammarKind, json_schema
from service.adapters.prompt import Prompt
from service.adapters.provider import Limits, key_of, require
from service.adapters.tail import Tail
from store.errors import UsageError

_ENDS: dict[str, EndReason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refused",
    "pause_turn": "refused",
    "tool_use": "tool_call",
}


class AnthropicMessages(ChatModel):
    """Asks `messages` of an `anthropic.AsyncAnthropic`."""

    provider = "anthropic"

    async def _ask(
        self, asked: Prompt, tokens_max: int, headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[Any]:
        held_to: dict[str, Any] = {}
        if asked.sources and self._grammar == "json_schema":
            schema = json_schema(asked.sources)
            held_to = {"output_config": {"format": {"type": "json_schema", "schema": schema}}}
        stream: AbstractAsyncContextManager[Any] = await self._client.messages.create(
            model=self._model,
            system=asked.system,
            messages=[{"role": "user", "content": asked.user}],
            max_tokens=tokens_max,
            stream=True,
            extra_headers=headers,
            **held_to,
        )
        return stream

    def _said(self, item: Any) -> Said:
        match item.type:
            case "message_start":
                return Said(prompt_tokens=item.message.usage.input_tokens)
            case "content_block_delta" if item.delta.type == "text_delta":
                return Said(item.delta.text)
            case "message_delta":
                reason = _ENDS.get(item.delta.stop_reason or "")
                return Said(reason=reason, completion_tokens=item.usage.output_tokens)
            case _:
                return Said(ended=item.type == "message_stop")


def open_anthropic(
    model: str,
    base_url: str | None,
    api_key: str | None,
    limits: Limits,
    grammar: GrammarKind = "none",
    tail: Tail | None = None,
) -> AnthropicMessages:
    """The model at an address with a key, those of the environment where none are given. Raises UsageError."""
    if grammar == "gbnf":
        raise UsageError("generator is anthropic, which takes no gbnf grammar.", fix="Use json_schema or none.")
    require("anthropic", of="anthropic")
    from anthropic import AsyncAnthropic, Timeout

    key = key_of("anthropic", api_key, "ANTHROPIC_API_KEY")
    timeout = Timeout(None, connect=limits.connect_ms / 1000)
    client = AsyncAnthropic(api_key=key, base_url=base_url, max_retries=0, timeout=timeout)
    return AnthropicMessages(client, model, limits, grammar, tail)
