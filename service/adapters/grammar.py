"""What a chat model is let write, where a server holds it to a grammar: markers of passages that were sent, no others.

gbnf          llama.cpp's grammars, which vLLM (xgrammar) reads too: text as ever, each sentence with its markers
json_schema   structured outputs of OpenAI, Anthropic, vLLM, llama.cpp and Ollama: sentences, each with its sources
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Literal

from service.adapters.generator import GeneratorFailed
from service.adapters.prompt import REFUSAL

GrammarKind = Literal["none", "gbnf", "json_schema"]

_OBJECT_CHARS_MAX = 20_000
_OPENS = re.compile(r'\s*\{\s*"sentences"\s*:\s*\[')
_DOTTED = re.compile(
    r"\b(?:[A-Za-z]\.){2,}|\b[A-Z][a-z]{0,2}\.(?= [A-Z])|[A-Za-z0-9_/-]*[A-Za-z_](?:\.[A-Za-z0-9_/-]+)+"
)
_DOTTED_MAX = 32
_DOTTED_CHARS_MAX = 40
_BETWEEN = re.compile(r"[\s,]*")


def gbnf(sources: int, passages: str = "") -> str:
    """The refusal, or sentences: each ends with markers of 1 to `sources`. No other bracket can be written, and after a
    full stop comes nothing but markers, save in decimals and in words that the passages have with one inside
    (`postgresql.conf`, `e.g.`): a small model that is not let end otherwise goes on after the stop, in nonsense.
    """
    ids = " | ".join(f'"{number}"' for number in range(1, sources + 1))
    words = " | ".join(json.dumps(word) for word in _dotted(passages))
    return rf"""root ::= {json.dumps(REFUSAL)} | sentence ([ \n] sentence){{0,11}}
sentence ::= start text* stop? " "? marker+ "."?
start ::= [^\[\].!?。！？\x00-\x20]{" | dotted" if words else ""}
text ::= [^\[\].!?。！？\x00-\x1F] | "." [0-9]{" | dotted" if words else ""}
stop ::= [.!?。！？]
marker ::= "[" ({ids}) "]"
{f"dotted ::= {words}" if words else ""}
"""  # noqa: RUF001


def _dotted(text: str) -> list[str]:
    found = dict.fromkeys(word[0] for word in _DOTTED.finditer(text) if len(word[0]) <= _DOTTED_CHARS_MAX)
    return list(found)[:_DOTTED_MAX]


def json_schema(sources: int) -> dict[str, Any]:
    """Sentences with the numbers of their sources; in the part of JSON Schema that all providers take."""
    sentence = {
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "sources": {"type": "array", "items": {"type": "integer", "enum": list(range(1, sources + 1))}},
        },
        "required": ["text", "sources"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"sentences": {"type": "array", "items": sentence}},
        "required": ["sentences"],
        "additionalProperties": False,
    }


class PlainText:
    """Text as it comes."""

    def feed(self, text: str) -> Iterator[str]:
        """The same text."""
        yield text

    def finish(self) -> Iterator[str]:
        """Nothing is held back."""
        return iter(())


class SentencesJson:
    """Turns an arriving JSON answer into lines of text with markers, each when its object closes; an empty one into the
    refusal. Text that is no such JSON, of a server that does not hold its model to a schema, is left as it is.
    """

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._buffer = ""
        self._state: Literal["before", "within", "after", "plain"] = "before"
        self._sentences = 0

    def feed(self, text: str) -> Iterator[str]:
        """Take more text; yields what is now whole. Raises GeneratorFailed where it is no JSON any more."""
        if self._state == "plain":
            yield text
            return
        if self._state == "after":
            return
        self._buffer += text
        if self._state == "before":
            yield from self._open()
        if self._state == "within" and ("}" in text or "]" in text):
            yield from self._sentences_in()
        if len(self._buffer) > _OBJECT_CHARS_MAX:
            raise GeneratorFailed(self._provider, "bad_response")

    def finish(self) -> Iterator[str]:
        """What is left at the end: nothing of an object that did not close."""
        if self._state == "before" and self._buffer.strip():
            yield self._buffer
        if self._state == "after" and not self._sentences:
            yield REFUSAL

    def _open(self) -> Iterator[str]:
        opened = _OPENS.match(self._buffer)
        if opened:
            self._state, self._buffer = "within", self._buffer[opened.end() :]
            yield from self._sentences_in()
        elif self._buffer.strip() and not self._buffer.lstrip().startswith("{"):
            self._state = "plain"
            yield self._buffer

    def _sentences_in(self) -> Iterator[str]:
        while True:
            start = _BETWEEN.match(self._buffer)
            self._buffer = self._buffer[start.end() if start else 0 :]
            if self._buffer.startswith("]"):
                self._state = "after"
                return
            if not self._buffer:
                return
            try:
                found, end = json.JSONDecoder().raw_decode(self._buffer)
            except RecursionError as error:
                raise GeneratorFailed(self._provider, "bad_response") from error
            except ValueError:  # not whole yet
                return
            self._buffer = self._buffer[end:]
            yield from self._line(found)

    def _line(self, found: Any) -> Iterator[str]:
        if not isinstance(found, dict) or not isinstance(found.get("text"), str):
            raise GeneratorFailed(self._provider, "bad_response")
        sources = found.get("sources")
        markers = "".join(f"[{one}]" for one in sources if type(one) is int) if isinstance(sources, list) else ""
        text = found["text"].strip()
        if text:
            self._sentences += 1
            yield f"{text} {markers}\n" if markers else f"{text}\n"
