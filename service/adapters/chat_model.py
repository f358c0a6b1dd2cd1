"""A chat model of any provider: one streamed call within its limits, its failures in our words, and what it took."""

from __future__ import annotations

import asyncio
import secrets
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import Any, Protocol

from service.adapters.generator import Ended, EndReason, FailureReason, GeneratorFailed, Piece
from service.adapters.grammar import GrammarKind, PlainText, SentencesJson
from service.adapters.priced import usage_of
from service.adapters.prompt import Prompt, prompt, rewriting_prompt
from service.adapters.provider import Limits, as_failure
from service.adapters.tail import Tail
from service.contract import Result, Usage
from service.evidence import Evidence
from service.question import Turn
from service.rewrite import REWRITING_CHARS_MAX, Rewriting

_REWRITING_TOKENS_MAX = 120
_COUNT_MAX = 1 << 31  # of tokens
_TOKEN_CHARS_MAX = 40
"""A server that lets a model write more than this for each token it may write is not read any further."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one item of a provider's stream says; absent is what it says nothing of."""

    text: str = ""
    ended: bool = False
    reason: EndReason | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class WatchedCall(Protocol):
    """One call, as somebody watches it. `headers` go with it."""

    headers: Mapping[str, str]

    def first_text(self) -> None:
        """There is text; told with every piece of it."""

    def ended(self, outcome: str, end: Ended | None) -> None:
        """It is over: "ok", "left" (nobody wanted it any more), or the reason of its failure."""


class CallWatcher(Protocol):
    """Is told of every call, retries and second ones included."""

    def began(self, model: ChatModel, tokens_max: int) -> WatchedCall:
        """A call begins."""


class ChatModel(ABC):
    """Knows the order of a call; a provider knows how it is asked and what its items say.

    Args:
        client: of the provider's package; retries are nobody's but the caller's, so it should have none.
        model: its name there.
        limits: of each call.
        grammar: what its server holds the model to.
        tail: what stands between a request and its calls; None makes each request one call.
    """

    provider: str

    def __init__(
        self, client: Any, model: str, limits: Limits, grammar: GrammarKind = "none", tail: Tail | None = None
    ) -> None:
        self._client = client
        self._model = model
        self._limits = limits
        self._grammar = grammar
        self.tail = tail
        self.watcher: CallWatcher | None = None

    @abstractmethod
    async def _ask(
        self, asked: Prompt, tokens_max: int, headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[Any]:
        """Begin the call: the stream of its items, which closes the connection when it is left."""

    @abstractmethod
    def _said(self, item: Any) -> Said:
        """What an item says."""

    async def aclose(self) -> None:
        """Let its connections go; nothing can be asked afterwards."""
        if self._client is not None:
            await self._client.close()

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
        as_json = self._grammar == "json_schema"
        asked = prompt(question, sources, _mark(), as_json=as_json)
        reading = SentencesJson(self.provider) if as_json else PlainText()
        async with aclosing(self._written(asked, self._limits.tokens_max)) as pieces:
            async for piece in pieces:
                if isinstance(piece, str):
                    for text in reading.feed(piece):
                        yield text
                    continue
                for text in reading.finish():
                    yield text
                yield piece

    async def rewrite(self, turns: Sequence[Turn]) -> Rewriting:
        """The conversation's last question so that it stands for itself. Raises GeneratorFailed."""
        text, usage = "", self.usage
        async with aclosing(self._written(rewriting_prompt(turns, _mark()), _REWRITING_TOKENS_MAX)) as pieces:
            async for piece in pieces:
                if isinstance(piece, str) and len(text) <= REWRITING_CHARS_MAX:
                    text += piece
                elif isinstance(piece, Ended):
                    usage = piece.usage
        return Rewriting(text, usage)

    def _written(self, asked: Prompt, tokens_max: int) -> AsyncGenerator[str | Ended, None]:
        """The text as it comes, then its end; the limit of the first text holds for all calls that it takes together.
        Raises GeneratorFailed.
        """
        first_by = asyncio.get_running_loop().time() + self._limits.first_text_ms / 1000
        if self.tail is None:
            return self._call(asked, tokens_max, first_by)
        return self.tail.run(lambda: self._call(asked, tokens_max, first_by), first_by)

    async def _call(self, asked: Prompt, tokens_max: int, first_by: float) -> AsyncGenerator[str | Ended, None]:
        """One call, watched where somebody watches. Raises GeneratorFailed."""
        if self.watcher is None:
            async with aclosing(self._unwatched(asked, tokens_max, first_by, {})) as pieces:
                async for piece in pieces:
                    yield piece
            return
        watched = self.watcher.began(self, tokens_max)
        outcome, end = "left", None
        try:
            async with aclosing(self._unwatched(asked, tokens_max, first_by, watched.headers)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Ended):
                        outcome, end = "ok", piece
                    else:
                        watched.first_text()
                    yield piece
        except GeneratorFailed as error:
            outcome = error.reason
            raise
        finally:
            watched.ended(outcome, end)

    async def _unwatched(
        self, asked: Prompt, tokens_max: int, first_by: float, headers: Mapping[str, str]
    ) -> AsyncGenerator[str | Ended, None]:
        clock = asyncio.get_running_loop().time
        end = clock() + self._limits.total_ms / 1000
        limit, over = _nearer(first_by, "first_text_timeout", end)
        reason: EndReason = "stop"
        prompt_tokens = completion_tokens = 0
        chars_left = tokens_max * _TOKEN_CHARS_MAX
        ended = False
        try:
            async with asyncio.timeout_at(limit):
                stream = await self._ask(asked, tokens_max, headers)
            async with stream as items:
                while True:
                    async with asyncio.timeout_at(limit):
                        item = await anext(items, None)
                    if item is None:
                        break
                    said = self._said(item)
                    ended, reason = ended or said.ended, said.reason or reason
                    prompt_tokens = _count(said.prompt_tokens, prompt_tokens)
                    completion_tokens = _count(said.completion_tokens, completion_tokens)
                    if not isinstance(said.text, str):  # neither package looks at what it reads
                        raise GeneratorFailed(self.provider, "bad_response")
                    if said.text:
                        yield said.text[:chars_left]
                        chars_left -= len(said.text)
                        if chars_left < 0:
                            ended, reason = True, "length"
                            break
                        limit, over = _nearer(clock() + self._limits.between_ms / 1000, "between_timeout", end)
        except TimeoutError:
            raise GeneratorFailed(self.provider, over) from None
        except Exception as error:  # noqa: BLE001  # whatever the package or its connection throws
            raise as_failure(self.provider, error) from None
        if not ended:
            raise GeneratorFailed(self.provider, "bad_response")  # cut off without a word
        yield Ended(usage_of(self.provider, self._model, prompt_tokens, completion_tokens, self._limits.prices), reason)


def _nearer(limit: float, name: FailureReason, end: float) -> tuple[float, FailureReason]:
    return (limit, name) if limit <= end else (end, "total_timeout")


def _count(told: object, before: int) -> int:
    """What a provider told, where that is a count."""
    return told if type(told) is int and 0 <= told < _COUNT_MAX else before


def _mark() -> str:
    return f"~{secrets.token_hex(4)}~"
