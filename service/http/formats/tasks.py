"""What frontends ask a model for beside the conversation: titles, tags, follow-ups. Recognised by their prompts, and
answered from the conversation alone, without retrieval and without a model.

Open WebUI's prompts begin with `### Task:`, carry the conversation in `<chat_history>` and say which JSON they expect
(its templates of version 0.6); LibreChat's are three fixed sentences. A prompt that somebody reworded is a question
like any other.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from store.detection import likeliest
from store.language import UNSPACED
from store.stop_words import stop_words

Task = Literal["title", "tags", "follow_ups", "queries", "prompt", "text"]

TITLE_WORDS_MAX = 6
TITLE_CHARS_MAX = 60
_UNSPACED_CHARS_MAX = 20
TAGS_MAX = 3

_OPEN_WEBUI = re.compile(r"\s*#{3}\s*Task:", re.IGNORECASE)
_EXPECTED = re.compile(r'JSON format:\s*`?\s*\{\s*"(title|tags|follow_ups|queries|prompt|text)"', re.IGNORECASE)
_HISTORY = re.compile(r"<chat_history>(.*)</chat_history>", re.DOTALL)
_TURN = re.compile(r"^(USER|ASSISTANT|SYSTEM):[ \t]*", re.MULTILINE)

_LIBRECHAT = (
    re.compile(r"\s*Provide a concise, 5-word-or-less title for the conversation\b.*?Conversation:\n", re.DOTALL),
    re.compile(r"\s*Please generate a concise title \(max 40 characters\) for a conversation that starts with:\n"),
)
_LIBRECHAT_JSON = re.compile(
    r"\s*Analyze this conversation and provide:.*?detected language.*?concise title[^\n]*\n", re.DOTALL
)
_SPEAKER = re.compile(r"^\s*(?:User|Human):[ \t]*", re.IGNORECASE)
_NEXT_SPEAKER = re.compile(r"\n\s*(?:AI|Assistant|Title):", re.IGNORECASE)

_SENTENCE_END = re.compile(r"(?<=[.!?])\s|(?<=[\u3002\uff01\uff1f])|\n")
_WORD = re.compile(r"[^\W\d_][\w'-]{3,}")
_IS_UNSPACED = re.compile(f"[{UNSPACED}]")


@dataclass(frozen=True, slots=True)
class Background:
    """A background task and its answer, in the shape that its frontend reads."""

    task: Task
    text: str


def background(prompt: str) -> Background | None:
    """The background task that a prompt is, answered; None where it is a question."""
    found = _EXPECTED.search(prompt) if _OPEN_WEBUI.match(prompt) else None
    history = _HISTORY.search(prompt)
    if found is not None and history is not None:
        return _open_webui(found[1].lower(), history[1])
    for one in _LIBRECHAT:
        asked = one.match(prompt)
        if asked is not None:
            return Background("title", title(_librechat_said(prompt[asked.end() :])))
    asked = _LIBRECHAT_JSON.match(prompt)
    if asked is not None:
        said = _librechat_said(prompt[asked.end() :])
        return Background("title", _json(language=_language(said).title(), title=title(said)))
    return None


def title(said: str) -> str:
    """The beginning of what was said first, short enough for a list of conversations."""
    first = _SENTENCE_END.split(said.strip(), maxsplit=1)[0]
    words = " ".join(first.split()[:TITLE_WORDS_MAX])
    most = _UNSPACED_CHARS_MAX if _IS_UNSPACED.search(words) else TITLE_CHARS_MAX
    return words[:most].strip(" \t.,;:!?\"'\u3002\uff01\uff1f") or "New chat"


def tags(said: str) -> list[str]:
    """The words that occur most, the longest first among equals; "General" where there are none."""
    ignored = stop_words().get(_language(said), frozenset())
    counted = Counter(word.casefold() for word in _WORD.findall(said) if word.casefold() not in ignored)
    best = sorted(counted, key=lambda word: (-counted[word], -len(word)))
    return [word.capitalize() for word in best[:TAGS_MAX]] or ["General"]


def _open_webui(expected: str, history: str) -> Background:
    asked = _asked(history)
    first, last = (asked[0], asked[-1]) if asked else ("", "")
    match expected:
        case "title":
            return Background("title", _json(title=title(first)))
        case "tags":
            return Background("tags", _json(tags=tags("\n".join(asked))))
        case "follow_ups":  # what the documents could answer is not known without asking them
            return Background("follow_ups", _json(follow_ups=[]))
        case "queries":
            return Background("queries", _json(queries=[last] if last else []))
        case "prompt":
            return Background("prompt", _json(prompt=last))
        case _:  # nobody's sentence is finished for them
            return Background("text", _json(text=""))


def _asked(history: str) -> list[str]:
    """What the user said, in order."""
    parts = _TURN.split(history)[1:]
    turns = zip(parts[::2], parts[1::2], strict=True)
    return [said for who, text in turns if who == "USER" and (said := text.strip())]


def _librechat_said(conversation: str) -> str:
    return _NEXT_SPEAKER.split(_SPEAKER.sub("", conversation), maxsplit=1)[0].strip()


def _language(said: str) -> str:
    return likeliest(said[:600], list(stop_words()))


def _json(**values: object) -> str:
    return json.dumps(values, ensure_ascii=False)
