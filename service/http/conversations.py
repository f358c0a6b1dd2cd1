"""From the bodies of other people's formats to the conversation that is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.http.formats.requests import (
    Accepts,
    ChatRequest,
    Content,
    ContentPart,
    RagOptions,
    ResponsesRequest,
    UiPart,
    UiRequest,
    unsupported,
)
from service.http.formats.written import COLLECTION
from service.http.models import AnswerRequest, Message
from service.http.problems import FieldError, ProblemError, invalid

_TEXT = frozenset({"text", "input_text", "output_text", "refusal"})
_PASSED_OVER = frozenset({"reasoning", "step-start"})
_SPOKEN = ("user", "assistant")


@dataclass(frozen=True, slots=True)
class Said:
    """One message as far as it can be read.

    Args:
        role: who spoke.
        text: its text parts, joined by line ends.
        unreadable: the kind of a part that is no text; None where all are.
        loc: where it stands in the body.
        said_in: and where its text does.
    """

    role: str
    text: str
    unreadable: str | None
    loc: tuple[str | int, ...]
    said_in: tuple[str | int, ...]


def chat_said(asked: ChatRequest) -> list[Said]:
    """The messages of a chat completion."""
    return [_said(one.role, one.content, ("messages", number)) for number, one in enumerate(asked.messages)]


def responses_said(asked: ResponsesRequest) -> list[Said]:
    """The messages of a response's input; other items are passed over."""
    if isinstance(asked.input, str):
        return [Said("user", asked.input, None, ("input",), ("input",))]
    return [
        _said(one.role, one.content, ("input", number))
        for number, one in enumerate(asked.input)
        if one.type == "message" and one.role is not None
    ]


def ui_said(asked: UiRequest) -> list[Said]:
    """The messages of useChat; an answer that is to be made anew is left out."""
    said = [_parts(one.role, one.parts, ("messages", number), "parts") for number, one in enumerate(asked.messages)]
    while asked.trigger == "regenerate-message" and said and said[-1].role == "assistant":
        said.pop()
    return said


def conversation(said: Sequence[Said], rag: RagOptions) -> AnswerRequest:
    """What is answered: the turns of user and assistant that say something, the last of them the user's.

    System and developer messages, tool calls and what tools returned are left out: no message can change what is
    checked, and nothing in one is a source. Raises ProblemError (422) without a question, or where it is not text
    alone.
    """
    spoken = [one for one in said if one.role in _SPOKEN]
    turns = [one for one in spoken if one.text.strip() or one.role == "user"]
    if not turns:
        raise invalid("there is no user message", said[0].loc[0] if said else "messages")
    last = turns[-1]
    if last.role != "user":
        raise invalid("the last message must be the user's", *last.loc, "role")
    if last.unreadable is not None:
        raise invalid(f"only text can be read, and {last.unreadable!r} is not", *last.said_in)
    if not last.text.strip():
        raise invalid("must not be empty", *last.said_in)
    return AnswerRequest(
        messages=[
            Message(role="user" if one.role == "user" else "assistant", content=one.text)
            for one in turns
            if one.text.strip()
        ],
        mode=rag.mode,
        top_k=rag.top_k,
        rerank=rag.rerank,
        filter=rag.filter,
        deadline_ms=rag.deadline_ms,
        guardrail=rag.guardrail,
    )


def only_prompt(said: Sequence[Said]) -> str | None:
    """The text of a request that is one user message and nothing else but instructions; None for a conversation."""
    spoken = [one for one in said if one.role not in ("system", "developer")]
    return spoken[0].text if len(spoken) == 1 and spoken[0].role == "user" else None


def check_model(model: str, generation: int) -> None:
    """Raises ProblemError (404) where a model is neither the collection nor the generation of it that is served."""
    served = model_ids(generation)
    if model not in served:
        raise ProblemError(
            "model-not-found",
            f"The model {model[:100]!r} does not exist; there are {' and '.join(served)}.",
            errors=[FieldError(loc=["model"], msg="there is no such model")],
        )


def model_ids(generation: int) -> tuple[str, str]:
    """The names under which an index is asked: whatever is served, and exactly this generation."""
    return COLLECTION, f"{COLLECTION}@{generation}"


def check_supported(others: Mapping[str, Any], refused: Mapping[str, tuple[Accepts, str]]) -> None:
    """Raises ProblemError (400) for a parameter that promises what is not done."""
    found = unsupported(others, refused)
    if found is not None:
        name, why = found
        raise ProblemError(
            "unsupported-parameter",
            f"{name}: this value cannot be honoured. {why}",
            errors=[FieldError(loc=[name], msg=why)],
        )


def _said(role: str, content: Content | None, loc: tuple[str | int, ...]) -> Said:
    if content is None or isinstance(content, str):
        return Said(role, content or "", None, loc, (*loc, "content"))
    return _parts(role, content, loc, "content")


def _parts(role: str, parts: Sequence[ContentPart | UiPart], loc: tuple[str | int, ...], said_in: str) -> Said:
    texts = [_text(one) for one in parts if one.type in _TEXT]
    others = [
        one.type
        for one in parts
        if one.type not in _TEXT and one.type not in _PASSED_OVER and not one.type.startswith(("data-", "source-"))
    ]
    return Said(role, "\n".join(texts), others[0][:100] if others else None, loc, (*loc, said_in))


def _text(part: ContentPart | UiPart) -> str:
    refusal = part.refusal if isinstance(part, ContentPart) else None
    return part.text or refusal or ""
