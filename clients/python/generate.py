"""Writes what is made and not written by hand: types from the OpenAPI document, the sync client from the async one.

python clients/python/generate.py [FOLDER]
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
OPENAPI = HERE.parents[1] / "docs" / "openapi.json"
ROOTS = (
    "SearchResponse",
    "AnswerResponse",
    "MetaEvent",
    "SourcesEvent",
    "SentenceEvent",
    "WithheldEvent",
    "DegradedEvent",
    "DocumentResponse",
    "IndexResponse",
    "ReadyResponse",
    "Message",
    "Problem",
)
MAY_BE_ABSENT = {"Problem"}
"""Everywhere else the service sends every field, null where there is nothing."""
SYNC = (
    (r"async def ", "def "),
    (r"async with ", "with "),
    (r"async for ", "for "),
    (r"await ", ""),
    (r"\bAsyncIterator\b", "Iterator"),
    (r"\bAsyncGenerator\b", "Generator"),
    (r"\bhttpx2\.AsyncClient\b", "httpx2.Client"),
    (r"\bAsyncFootnote\b", "Footnote"),
    (r"\bAsyncAnswerStream\b", "AnswerStream"),
    (r"__aenter__", "__enter__"),
    (r"__aexit__", "__exit__"),
    (r"__aiter__", "__iter__"),
    (r"__anext__", "__next__"),
    (r"StopAsyncIteration", "StopIteration"),
    (r"\baclose\b", "close"),
    (r"\baiter_bytes\b", "iter_bytes"),
    (r"\baread\b", "read"),
    (r"\banext\b", "next"),
    (r"\basyncio\.sleep\b", "time.sleep"),
    (r"^import asyncio$", "import time"),
)
_PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}


def types(document: dict[str, Any]) -> str:
    """TypedDicts of everything that the roots reach, with the literals that they name."""
    schemas: dict[str, Any] = document["components"]["schemas"]
    reached: list[str] = []
    todo = list(ROOTS)
    while todo:
        name = todo.pop(0)
        if name not in reached:
            reached.append(name)
            todo += re.findall(r"#/components/schemas/(\w+)", json.dumps(schemas[name]))
    aliases: dict[str, str] = {}
    classes = [_class(name, schemas[name], aliases) for name in sorted(reached)]
    lines = [
        '"""What the service answers with, as plain dictionaries. Made from docs/openapi.json by generate.py."""',
        "from __future__ import annotations",
        "from typing import Any, Literal, NotRequired, TypedDict",
        *(f"{name} = {text}" for name, text in sorted(aliases.items())),
        *classes,
    ]
    return "\n\n".join(lines) + "\n"


def _class(name: str, schema: dict[str, Any], aliases: dict[str, str]) -> str:
    text = schema.get("description", name).split("\n\n")[0].replace("\n", " ").strip()
    lines = [f"class {name}(TypedDict):", f'    """{text}"""', ""]
    for field, part in schema["properties"].items():
        kind = _type(part, name, field, aliases)
        if name in MAY_BE_ABSENT and field not in schema.get("required", []):
            kind = f"NotRequired[{kind.removesuffix(' | None')}]"
        lines.append(f"    {field}: {kind}")
    return "\n".join(lines)


def _type(part: dict[str, Any], owner: str, field: str, aliases: dict[str, str]) -> str:
    if "$ref" in part:
        return str(part["$ref"]).rpartition("/")[2]
    if "anyOf" in part:
        return " | ".join(_type(one, owner, field, aliases) for one in part["anyOf"])
    if "enum" in part:
        return _alias("Literal[" + ", ".join(json.dumps(one) for one in part["enum"]) + "]", owner, field, aliases)
    if part.get("type") == "array":
        return f"list[{_type(part['items'], owner, field, aliases)}]"
    if part.get("type") == "object":
        return "dict[str, Any]"
    return _PLAIN[part["type"]] if "type" in part else "Any"


def _alias(text: str, owner: str, field: str, aliases: dict[str, str]) -> str:
    """A name for these literals, the same wherever they are the same."""
    for name, known in aliases.items():
        if known == text:
            return name
    name = "".join(word.capitalize() for word in field.split("_"))
    name = name if name not in aliases else owner + name
    aliases[name] = text
    return name


def sync(source: str) -> str:
    """The sync client from the async one's source."""
    for pattern, replacement in SYNC:
        source = re.sub(pattern, replacement, source, flags=re.MULTILINE)
    return source.replace(
        '"""The asynchronous client."""', '"""The synchronous client: made by generate.py from _async.py."""', 1
    )


def formatted(source: str, name: str) -> str:
    """As ruff would have it, where the file will be."""
    there = ["--quiet", "--stdin-filename", str(HERE / "footnote_client" / name), "-"]
    for command in (["check", "--select", "I", "--fix"], ["format"]):
        source = subprocess.run(  # noqa: S603  # this very Python's ruff
            [sys.executable, "-m", "ruff", *command, *there], input=source, capture_output=True, text=True, check=True
        ).stdout
    return source


def main() -> None:
    """Write both files."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "footnote_client"
    made = {
        "types.py": types(json.loads(OPENAPI.read_text(encoding="utf-8"))),
        "_sync.py": sync((HERE / "footnote_client" / "_async.py").read_text(encoding="utf-8")),
    }
    for name, text in made.items():
        (folder / name).write_text(formatted(text, name), encoding="utf-8")


if __name__ == "__main__":
    main()
