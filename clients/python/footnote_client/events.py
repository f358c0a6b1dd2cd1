"""Server-sent events: from bytes to typed events. No input or output here."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

from footnote_client import types


@dataclass(frozen=True, slots=True)
class Meta:
    """First: who answers, from what."""

    id: int | None
    data: types.MetaEvent
    name: Literal["meta"] = "meta"


@dataclass(frozen=True, slots=True)
class Sources:
    """The passages that the answer may draw on."""

    id: int | None
    data: types.SourcesEvent
    name: Literal["sources"] = "sources"


@dataclass(frozen=True, slots=True)
class Sentence:
    """One checked sentence, its citations with it."""

    id: int | None
    data: types.SentenceEvent
    name: Literal["sentence"] = "sentence"


@dataclass(frozen=True, slots=True)
class Withheld:
    """One that did not pass."""

    id: int | None
    data: types.WithheldEvent
    name: Literal["withheld"] = "withheld"


@dataclass(frozen=True, slots=True)
class Degraded:
    """A stage fell back."""

    id: int | None
    data: types.DegradedEvent
    name: Literal["degraded"] = "degraded"


@dataclass(frozen=True, slots=True)
class Done:
    """Last: the whole answer."""

    id: int | None
    data: types.AnswerResponse
    name: Literal["done"] = "done"


@dataclass(frozen=True, slots=True)
class Failed:
    """Last: a problem instead of the rest. The clients raise it."""

    id: int | None
    data: types.Problem
    name: Literal["error"] = "error"


@dataclass(frozen=True, slots=True)
class Other:
    """An event of a newer service, which this client knows nothing of."""

    id: int | None
    data: Any
    name: str


Event = Meta | Sources | Sentence | Withheld | Degraded | Done | Failed | Other
_KINDS: dict[str, Any] = {
    "meta": Meta,
    "sources": Sources,
    "sentence": Sentence,
    "withheld": Withheld,
    "degraded": Degraded,
    "done": Done,
    "error": Failed,
}


class EventParser:
    """Bytes in, in pieces of any size; events out, each once its blank line has come.

    As https://html.spec.whatwg.org/multipage/server-sent-events.html has it, comments and `retry` left out.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self._rest = ""
        self._lines: list[str] = []

    def feed(self, data: bytes) -> Iterator[Event]:
        """The events that these bytes complete."""
        text = self._rest + self._decoder.decode(data)
        held = text.endswith("\r")  # its line feed may still come
        lines = (text[:-1] if held else text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._rest = lines.pop() + ("\r" if held else "")
        for line in lines:
            if line:
                self._lines.append(line)
                continue
            event = _event(self._lines)
            self._lines = []
            if event is not None:
                yield event


def _event(lines: list[str]) -> Event | None:
    name, number = "message", None
    data: list[str] = []
    for line in lines:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif field == "id" and value.isascii() and value.isdecimal():
            number = int(value)
    if not data:
        return None
    content: Any = json.loads("\n".join(data))
    if name in _KINDS:
        return cast("Event", _KINDS[name](number, content))
    return Other(number, content, name)
