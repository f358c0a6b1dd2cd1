"""What a chat model wrote, kept in a file: a stopped evaluation goes on, and one of another guardrail asks nobody."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from service.adapters.generator import Ended, EndReason, Generator, Piece, Told
from service.contract import Result, Usage
from service.evidence import Evidence
from store.errors import UsageError


class Generation(BaseModel):
    """A line of the file: what a generator wrote when it was asked something. `question` is for people."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    question: str
    text: str
    reason: EndReason
    usage: Usage


class Generations:
    """All of a file, which is made where there is none; each is in it as soon as it is whole.

    Args:
        path: JSON lines. A last line that was cut off is left out; a broken one before it is refused (UsageError).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Generation] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            *lines, cut_off = path.read_text(encoding="utf-8").split("\n")
            if cut_off:
                path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--generations {path} cannot be used: {error}") from error
        for number, line in enumerate(lines, 1):
            try:
                one = Generation.model_validate_json(line)
            except ValidationError as error:
                raise UsageError(
                    f"--generations {path}, line {number} is no generation: {error.errors()[0]['msg']}.",
                    fix="Name a file that `footnote evaluate --generations` made, or a new one.",
                ) from None
            self._known[one.key] = one

    def __len__(self) -> int:
        return len(self._known)

    def find(self, key: str) -> Generation | None:
        """What was written then."""
        return self._known.get(key)

    def add(self, one: Generation) -> None:
        """Keep it."""
        self._known[one.key] = one
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(one.model_dump_json() + "\n")


class Kept:
    """A generator that asks another one only what it was never asked before.

    What was not written to its end, and what another generator wrote in its stead, is not kept.
    """

    def __init__(self, generator: Generator, generations: Generations) -> None:
        self._generator = generator
        self._generations = generations

    @property
    def usage(self) -> Usage:
        """The other's."""
        return self._generator.usage

    async def generate(
        self, question: str, sources: Sequence[Result], evidence: Sequence[Evidence]
    ) -> AsyncGenerator[Piece, None]:
        """The other's pieces, or its whole text at once where it is known."""
        key = key_of(self._generator.usage, question, sources)
        known = self._generations.find(key)
        if known is not None:
            yield known.text
            yield Ended(known.usage, known.reason)
            return
        text, whole = "", True
        async with aclosing(self._generator.generate(question, sources, evidence)) as pieces:
            async for piece in pieces:
                if isinstance(piece, str):
                    text += piece
                elif isinstance(piece, Told):
                    whole = False
                elif whole:
                    self._generations.add(
                        Generation(key=key, question=question, text=text, reason=piece.reason, usage=piece.usage)
                    )
                yield piece


def key_of(asked: Usage, question: str, sources: Sequence[Result]) -> str:
    """Names a question to a model about these passages, in this order, as they are written out for it."""
    told = [[one.document.title, *one.passage.section, one.passage.text] for one in sources]
    whole = json.dumps([asked.provider, asked.model, question, told], ensure_ascii=False)
    return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()
