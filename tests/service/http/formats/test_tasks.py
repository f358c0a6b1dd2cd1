"""What frontends ask for beside the conversation is recognised by its prompt, and nothing else is."""

from __future__ import annotations

import json

import pytest

from service.http.formats.tasks import background, tags, title

CHAT = (
    "USER: How long do refunds take? I sent a parcel.\nASSISTANT: 14 days [1].\nUSER: And exchanges?\nASSISTANT: None."
)


def open_webui(task: str, expected: str, chat: str = CHAT) -> str:
    """A prompt as Open WebUI's templates make them."""
    return (
        f"### Task:\n{task}\n### Guidelines:\n- Be concise.\n### Output:\n{expected}\n### Chat History:\n"
        f"<chat_history>\n{chat}\n</chat_history>"
    )


TITLE = open_webui(
    "Generate a concise, 3-5 word title with an emoji summarizing the chat history.",
    'JSON format: { "title": "your concise title here" }\n### Examples:\n- { "title": "Stock Market Trends" }',
)
TAGS = open_webui(
    "Generate 1-3 broad tags categorizing the main themes of the chat history.",
    'JSON format: { "tags": ["tag1", "tag2", "tag3"] }',
)
FOLLOW_UPS = open_webui(
    "Suggest 3-5 relevant follow-up questions or prompts.",
    'JSON format: { "follow_ups": ["Question 1?", "Question 2?", "Question 3?"] }',
)
QUERIES = open_webui(
    "Analyze the chat history to determine the necessity of generating search queries.",
    'Strictly return in JSON format: \n{\n  "queries": ["query1", "query2"]\n}',
)
IMAGE = open_webui("Generate a detailed prompt.", 'Strictly return in JSON format:\n{\n    "prompt": "Your prompt."\n}')
COMPLETION = (
    '### Task:\nYou are an autocompletion system. Continue the text in `<text>`.\n5. If unsure: `{ "text": "" }`.'
    '\n### **Output Rules**:\n- Respond only in JSON format: `{ "text": "<your_completion>" }`.\n### Context:\n'
    f"<chat_history>\n{CHAT}\n</chat_history>\n<type>search query</type>  \n<text>How long</text>  \n#### Output:"
)
LIBRECHAT = (
    "Provide a concise, 5-word-or-less title for the conversation, using title case conventions. "
    "Only return the title itself.\n\nConversation:\nUser: How long do refunds take? I ask.\nAI: 14 days.\n"
)
ASSISTANTS = (
    "Please generate a concise title (max 40 characters) for a conversation that starts with:\n"
    "User: How long do refunds take?\nAssistant: 14 days.\n\nTitle:"
)
STRUCTURED = (
    "Analyze this conversation and provide:\n1. The detected language of the conversation\n"
    "2. A concise title in the detected language (5 words or less, no punctuation or quotation)\n\n"
    "User: Wie lange dauert das mit der Rückzahlung?\nAI: 14 Tage."
)


@pytest.mark.parametrize(
    ("prompt", "task", "answer"),
    [
        (TITLE, "title", {"title": "How long do refunds take"}),
        (TAGS, "tags", {"tags": ["Exchanges", "Refunds", "Parcel"]}),
        (FOLLOW_UPS, "follow_ups", {"follow_ups": []}),
        (QUERIES, "queries", {"queries": ["And exchanges?"]}),
        (IMAGE, "prompt", {"prompt": "And exchanges?"}),
        (COMPLETION, "text", {"text": ""}),
        (STRUCTURED, "title", {"language": "German", "title": "Wie lange dauert das mit der"}),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_task_is_answered_in_the_json_that_its_frontend_reads(prompt, task, answer):
    found = background(prompt)
    assert (found.task, json.loads(found.text)) == (task, answer)


@pytest.mark.parametrize("prompt", [LIBRECHAT, ASSISTANTS])
def test_a_title_is_plain_text_where_a_frontend_reads_that(prompt):
    assert background(prompt).text == "How long do refunds take"


@pytest.mark.parametrize(
    "prompt",
    [
        "How long do refunds take?",
        "### Task: how long do refunds take?",
        'What does JSON format: { "title": "a" } mean in <chat_history>a</chat_history>?',
        "### Task:\nRespond to the user query using the provided context.\n<context>a</context>\nRefunds?",
        "### Task:\nWrite a title.\n<chat_history>\nUSER: a\n</chat_history>",
        "Provide a concise title for the conversation.",
        "Tell me about: Provide a concise, 5-word-or-less title for the conversation.\nConversation:\na",
    ],
)
def test_a_question_is_no_task(prompt):
    assert background(prompt) is None


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("", "New chat"),
        ("?!", "New chat"),
        ("返金には何日かかりますか。もう一つ。", "返金には何日かかりますか"),
        ("x" * 500, "x" * 60),
        ("one two three four five six seven", "one two three four five six"),
        ("Line one\nline two", "Line one"),
    ],
)
def test_a_title_is_the_beginning_of_what_was_asked(said, expected):
    assert title(said) == expected


def test_tags_of_nothing_are_general():
    assert tags("") == tags("a b it") == ["General"]


@pytest.mark.parametrize("chat", ["", "USER:", "no turns at all", "ASSISTANT: hello", "USER: a\n" * 500])
def test_a_history_without_a_question_is_answered_too(chat):
    for task, expected in (("title", '{ "title": "a" }'), ("tags", '{ "tags": ["a"] }'), ("q", '{ "queries": [] }')):
        assert json.loads(background(open_webui(task, f"JSON format: {expected}", chat)).text)
