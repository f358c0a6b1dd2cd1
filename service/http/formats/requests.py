"""The request bodies of other people's formats. What they call parameters of a model is mostly beside the point here:
`unsupported` says which values would promise something that is not done; everything else is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, FiniteFloat, Tag

from service.contract import GuardrailMode, Mode
from service.http.formats.written import CitationStyle
from service.http.models import MESSAGES_MAX, TAG, Body

PARTS_MAX = 1_000


class Lenient(BaseModel):
    """A body of somebody else's making: what is not known is kept aside."""

    model_config = ConfigDict(frozen=True, strict=True, extra="allow")

    @property
    def others(self) -> Mapping[str, Any]:
        """The fields that are not known."""
        return self.model_extra or {}


class RagOptions(Body):
    """What an answer can be asked for beyond what other people's formats have; unknown fields are refused."""

    filter: dict[str, Any] | None = Field(
        None,
        validation_alias=AliasChoices("filter", "filters"),
        description="metadata filter, applied inside both legs; `filters` is the same",
    )
    top_k: int | None = Field(None, ge=1, le=1000, description="passages listed as sources")
    mode: Mode = Field("hybrid", description="which legs to ask; an explicit one never becomes the other")
    rerank: bool | None = Field(None, description="absent: the service's default")
    guardrail: GuardrailMode | None = Field(
        None, description="withhold unsupported sentences (verified) or flag them; absent: what the service is set to"
    )
    citation_style: CitationStyle = Field(
        "markers", description="[1]; markdown: [[1]](link to the quote); owui: sources as Open WebUI's own events"
    )
    deadline_ms: Annotated[FiniteFloat, Field(gt=0)] | None = Field(
        None, description="milliseconds from receipt; the smaller of this and X-Request-Deadline-Ms counts"
    )


Rag = Annotated[RagOptions, BeforeValidator(lambda value: {} if value is None else value)]
"""null is as good as nothing."""


class ContentPart(Lenient):
    """A part of a message; only text is read."""

    type: str
    text: str | None = None
    refusal: str | None = None


def text_or_list(value: object) -> str:
    """Which kind of a union a value is held against; a tag that is left out where an error tells its place."""
    return f"{TAG}text" if isinstance(value, str) else f"{TAG}list"


Content = Annotated[
    Annotated[str, Tag(f"{TAG}text")]
    | Annotated[list[ContentPart], Field(max_length=PARTS_MAX, fail_fast=True), Tag(f"{TAG}list")],
    Discriminator(text_or_list),
]


class ChatTurn(Lenient):
    """A message. System and developer messages, and what tools said, are no part of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Content | None = None


class StreamOptions(Lenient):
    """How a stream ends."""

    include_usage: bool | None = None


class ChatRequest(Lenient):
    """Body of POST /v1/chat/completions. Other fields are ignored, but for those that promise what is not done."""

    model: str = Field(description="default, or default@GENERATION for exactly that one")
    messages: list[ChatTurn] = Field(
        min_length=1, max_length=MESSAGES_MAX, fail_fast=True, description="a conversation; the user's is the last word"
    )
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    rag: Rag = RagOptions()


class InputItem(Lenient):
    """A message, or something else, which is passed over."""

    type: str = "message"
    role: Literal["system", "developer", "user", "assistant"] | None = None
    content: Content | None = None


class ResponsesRequest(Lenient):
    """Body of POST /v1/responses. Other fields are ignored, but for those that promise what is not done."""

    model: str = Field(description="default, or default@GENERATION for exactly that one")
    input: Annotated[
        Annotated[str, Tag(f"{TAG}text")]
        | Annotated[list[InputItem], Field(min_length=1, max_length=MESSAGES_MAX, fail_fast=True), Tag(f"{TAG}list")],
        Discriminator(text_or_list),
    ] = Field(description="a question, or a conversation whose last word is the user's")
    stream: bool | None = None
    rag: Rag = RagOptions()


class UiPart(Lenient):
    """A part of a message; only text is read."""

    type: str
    text: str | None = None


class UiMessage(Lenient):
    """A message of useChat."""

    id: str | None = None
    role: Literal["system", "user", "assistant"]
    parts: list[UiPart] = Field(max_length=PARTS_MAX)


class UiRequest(Lenient):
    """Body of POST /v1/chat/ui: what useChat sends. Other fields are ignored."""

    id: str | None = Field(None, description="of the chat; not used")
    messages: list[UiMessage] = Field(min_length=1, max_length=MESSAGES_MAX, fail_fast=True)
    trigger: Literal["submit-message", "regenerate-message"] = "submit-message"
    message_id: str | None = Field(None, alias="messageId", description="not used")
    rag: Rag = RagOptions()


Accepts = Callable[[Any], bool]


def _none_of(_: object) -> bool:
    return False


def _plain_text(value: object) -> bool:
    return isinstance(value, dict) and value.get("type", "text") == "text"


def _plain_text_format(value: object) -> bool:
    return isinstance(value, dict) and (value.get("format") is None or _plain_text(value["format"]))


def _no_tool_must_be_called(value: object) -> bool:
    return value in ("auto", "none") or (
        isinstance(value, dict) and value.get("type") == "allowed_tools" and value.get("mode") == "auto"
    )


CHAT_REFUSED: Mapping[str, tuple[Accepts, str]] = {
    "n": (lambda value: value == 1, "There is one answer to a question."),
    "stop": (lambda value: value in ("", []), "A checked sentence is sent whole or not at all."),
    "response_format": (_plain_text, "Answers are text with citations."),
    "tool_choice": (_no_tool_must_be_called, "No tool is ever called."),
    "function_call": (_no_tool_must_be_called, "No function is ever called."),
    "logprobs": (lambda value: value is False, "There are none."),
    "top_logprobs": (lambda value: value == 0, "There are none."),
    "modalities": (lambda value: value == ["text"], "Answers are text."),
    "audio": (_none_of, "Answers are text."),
}
"""By parameter: which values can be accepted, and why others cannot. null is always accepted."""

RESPONSES_REFUSED: Mapping[str, tuple[Accepts, str]] = {
    "previous_response_id": (_none_of, "Responses are not kept: send the conversation as input."),
    "conversation": (_none_of, "Conversations are not kept: send them as input."),
    "background": (lambda value: value is False, "Responses are not kept."),
    "prompt": (_none_of, "There are no stored prompts."),
    "text": (_plain_text_format, "Answers are text with citations."),
    "tool_choice": (_no_tool_must_be_called, "No tool is ever called."),
    "top_logprobs": (lambda value: value == 0, "There are none."),
}
"""The same of the responses format."""


def unsupported(others: Mapping[str, Any], refused: Mapping[str, tuple[Accepts, str]]) -> tuple[str, str] | None:
    """The first parameter that promises what is not done, and why."""
    for name, (accepts, why) in refused.items():
        value = others.get(name)
        if value is not None and not accepts(value):
            return name, why
    return None
