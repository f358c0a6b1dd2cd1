"""A chat model that says what a file tells it to: for demonstrations, and for those who build frontends.

A line of the file is a reply: `{"pieces": ["The otter ", "sleeps [1]."], "delay_ms"?: 20, "when"?: "otter", "error"?:
"rate_limited", "stall"?: true, "prompt_tokens"?: 0, "completion_tokens"?: 2}`. A question gets the first reply whose
`when` is in it (in any case), else the next one without `when`, in turn. After its pieces the reply ends, fails as a
provider would, or is silent until a limit ends it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.adapters.chat_model import ChatModel, Said
from service.adapters.generator import FailureReason, GeneratorFailed
from service.adapters.prompt import Prompt
from service.adapters.provider import Limits
from store.errors import UsageError

MODEL = "scripted"


class Reply(BaseModel):
    """One reply. `completion_tokens` absent: one for each piece."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pieces: list[str]
    delay_ms: float = Field(0, ge=0)
    when: str | None = None
    error: FailureReason | None = None
    stall: bool = False
    prompt_tokens: int = Field(0, ge=0)
    completion_tokens: int | None = Field(None, ge=0)


class Script(ChatModel):
    """Replies as a file has them, within the limits, and at the price, of any chat model.

    Args:
        replies: not empty.
        limits: of each reply.
    """

    provider = "footnote"

    def __init__(self, replies: Sequence[Reply], limits: Limits) -> None:
        super().__init__(None, MODEL, limits)
        self._particular = [one for one in replies if one.when is not None]
        self._in_turn = itertools.cycle([one for one in replies if one.when is None])

    async def _ask(
        self,
        asked: Prompt,
        tokens_max: int,  # noqa: ARG002  # it says what it was told to
        headers: Mapping[str, str],  # noqa: ARG002
    ) -> AbstractAsyncContextManager[Any]:
        question = asked.question.casefold()
        reply = next((one for one in self._particular if (one.when or "").casefold() in question), None)
        return aclosing(_said(reply or next(self._in_turn, Reply(pieces=[]))))

    def _said(self, item: Any) -> Said:
        said: Said = item
        return said


async def _said(reply: Reply) -> AsyncGenerator[Said, None]:
    for piece in reply.pieces:
        await asyncio.sleep(reply.delay_ms / 1000)
        yield Said(piece)
    if reply.stall:
        await asyncio.Event().wait()
    if reply.error is not None:
        raise GeneratorFailed(MODEL, reply.error)
    written = len(reply.pieces) if reply.completion_tokens is None else reply.completion_tokens
    yield Said(ended=True, prompt_tokens=reply.prompt_tokens, completion_tokens=written)


def open_script(path: Path, limits: Limits) -> Script:
    """The replies of a file. Raises UsageError naming the line that is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"generator_script {path} cannot be read: {error}") from error
    replies = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            replies.append(Reply.model_validate_json(line))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "line"
            raise UsageError(f"generator_script {path}, line {number}: {where}: {first['msg']}.") from None
    if not replies:
        raise UsageError(f"generator_script {path} has no reply.")
    return Script(replies, limits)
