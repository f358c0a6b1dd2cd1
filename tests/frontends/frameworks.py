"""What LangChain and LlamaIndex make of the service at the address on the command line: a line of JSON in, one out.

Runs in the environment of other frameworks' clients (.venv-frontends).
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from typing import Any

address = sys.argv[1]
loop = asyncio.Runner()  # one for all: clients keep their connections, which belong to a loop


def left(stream: Any, text_of: Any) -> Any:
    """The first text of a stream that is then read no further."""
    text = next(filter(None, map(text_of, stream)))
    stream.close()
    del stream
    gc.collect()
    return {"text": text}


def langchain(what: str, question: str, options: dict[str, Any]) -> Any:
    from langchain_openai import ChatOpenAI

    chat = ChatOpenAI(
        model=options.get("model", "default"),
        base_url=f"{address}/v1",
        api_key="none",
        max_retries=0,
        stream_usage=True,
        extra_body=options.get("body"),
        use_responses_api=options.get("responses", False),
    )

    def told(message: Any) -> dict[str, Any]:
        blocks = message.content if isinstance(message.content, list) else []
        return {
            "text": message.text,
            "annotations": [note for one in blocks for note in one.get("annotations", [])],
            "finish_reason": message.response_metadata.get("finish_reason") or message.response_metadata.get("status"),
            "usage": message.usage_metadata,
        }

    async def asynchronous() -> Any:
        return [one async for one in chat.astream(question)]

    match what:
        case "whole":
            return told(chat.invoke([("system", "Be brief."), ("user", question)]))
        case "streamed":
            chunks = list(chat.stream(question))
        case "asynchronous":
            chunks = loop.run(asynchronous())
        case "left":
            return left(chat.stream(question), lambda chunk: chunk.text)
    total = chunks[0]
    for one in chunks[1:]:
        total += one
    return told(total)


def llamaindex(what: str, question: str, options: dict[str, Any]) -> Any:
    from llama_index.core.llms import ChatMessage
    from llama_index.llms.openai_like import OpenAILike

    chat = OpenAILike(
        model=options.get("model", "default"),
        api_base=f"{address}/v1",
        api_key="none",
        is_chat_model=True,
        max_retries=0,
        additional_kwargs={"extra_body": options["body"]} if "body" in options else {},
    )
    messages = [ChatMessage(role="system", content="Be brief."), ChatMessage(role="user", content=question)]

    def told(text: str, raw: Any) -> dict[str, Any]:
        choices = raw.choices
        message = choices[0].message if choices and hasattr(choices[0], "message") else None
        return {
            "text": text,
            "finish_reason": choices[0].finish_reason if choices else None,
            "annotations": [one.model_dump() for one in (message.annotations or [])] if message else [],
            "usage": raw.usage.total_tokens if raw.usage else None,
            "verdict": ((raw.model_extra or {}).get("rag") or {}).get("verdict"),
        }

    async def asynchronous() -> Any:
        return [one async for one in await chat.astream_chat(messages)]

    match what:
        case "whole":
            found = chat.chat(messages)
            return told(found.message.content, found.raw)
        case "streamed":
            *_, last = chat.stream_chat(messages)
        case "asynchronous":
            *_, last = loop.run(asynchronous())
        case "left":
            return left(chat.stream_chat(messages), lambda chunk: chunk.delta)
    return told(last.message.content, last.raw)


for line in sys.stdin:
    framework, way, question, options = json.loads(line)
    try:
        result = {"langchain": langchain, "llamaindex": llamaindex}[framework](way, question, options)
    except Exception as error:  # noqa: BLE001  # whatever a client raises is what is looked at
        kinds = [one.__name__ for one in type(error).__mro__]
        result = {"error": {"kinds": kinds, "code": getattr(error, "code", None), "message": str(error)}}
    print(json.dumps(result), flush=True)
