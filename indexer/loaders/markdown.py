"""Markdown: the source as written, less its front matter; headings become sections."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from itertools import accumulate, pairwise
from typing import Any

from indexer.loaders import Extracted
from store.document import EVERYONE, Section
from store.errors import InputError
from store.text import canonical

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?\n)??(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FRONT_MATTER_CHARS_MAX = 1 << 16
_FRONT_MATTER_VALUES_MAX = 10_000  # aliases can make a short text unfold into billions of values
_ACCESS_LINE = re.compile(r"^[\"']?access[\"']?[ \t]*:", re.MULTILINE)
_TAKEN_OUT = {"title", "url", "lang", "access"}
_ATTRIBUTES = re.compile(r"\s*\{[#.:][^{}]*\}\s*$")


def extract(source: str, *, what: str, stem: str) -> Extracted:
    """Text, headings and front matter; the title is the front matter's, else the first h1, else the file's stem.

    Front matter that is no YAML mapping stays in the text, unless it tries to restrict access: then the file is set
    aside rather than shown to everyone.

    Raises:
        InputError: "bad_metadata" where the front matter's access list cannot be honoured.
    """
    text = canonical(source).removeprefix("\ufeff")
    front: Mapping[str, Any] = {}
    match = _FRONT_MATTER.match(text)
    if match:
        block = match.group(1) or ""
        found = _front_matter(block)
        if found is not None:
            front, text = found, text[match.end() :].lstrip("\n")
        elif _ACCESS_LINE.search(block):
            raise InputError("bad_metadata", f"{what}: the front matter names `access`, but is not valid YAML.")
    sections = _sections(text)
    first = next((section.title for section in sections if section.level == 1), None)
    title, url, lang = (_line(front.get(key)) for key in ("title", "url", "lang"))
    metadata = {key: value for key, value in front.items() if key not in _TAKEN_OUT and value is not None}
    if lang:
        metadata["lang"] = re.split("[-_]", lang)[0].lower()
    return Extracted(
        text,
        title=title or first or canonical(stem),
        sections=sections,
        url=url if url and url.startswith(("http://", "https://")) else None,
        metadata=metadata,
        access=_access(front.get("access"), what),
    )


def _line(value: Any) -> str:
    return " ".join(str(value).split()) if isinstance(value, (str, int, float)) else ""


def _access(value: Any, what: str) -> frozenset[str]:
    if value is None:
        return EVERYONE
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
        raise InputError("bad_metadata", f"{what}: `access` in the front matter must be a list of non-empty strings.")
    return frozenset(names)


def _front_matter(source: str) -> dict[str, Any] | None:
    """The mapping as JSON values; None where it is no mapping or cannot be read."""
    import yaml

    if len(source) > _FRONT_MATTER_CHARS_MAX:
        return None
    try:
        value = yaml.safe_load(source)
        front = _Json().value(value) if value is not None else {}
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError):
        return None
    return front if isinstance(front, dict) else None


class _Json:
    """Turns YAML values into JSON ones: dates become ISO strings, numbers that JSON cannot say become strings."""

    def __init__(self) -> None:
        self._left = _FRONT_MATTER_VALUES_MAX

    def value(self, value: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            raise ValueError("too many values")
        if isinstance(value, dict):
            return {canonical(str(key)): self.value(one) for key, one in value.items()}
        if isinstance(value, (list, tuple, set)):
            return [self.value(one) for one in value]
        if isinstance(value, (dt.datetime, dt.date)):
            return value.isoformat()
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int) and abs(value) < 1 << 53:
            return value
        if isinstance(value, float) and math.isfinite(value):
            return value
        return canonical(str(value))


def _sections(text: str) -> tuple[Section, ...]:
    """Top-level headings (ATX, setext; none from code, quotes, lists); each starts at its line's first character."""
    from markdown_it import MarkdownIt

    starts = [0, *accumulate(len(line) + 1 for line in text.split("\n"))]
    tokens = MarkdownIt("commonmark").parse(text)
    sections = []
    for token, inline in pairwise(tokens):
        if token.type == "heading_open" and token.level == 0 and token.map:
            title = _ATTRIBUTES.sub("", " ".join(_plain(inline.children or []).split()))
            if title:
                sections.append(Section(starts[token.map[0]], int(token.tag[1]), title))
    return tuple(sections)


def _plain(tokens: list[Any]) -> str:
    """The text of inline tokens, without markup."""
    return "".join(
        " " if token.type in {"softbreak", "hardbreak"} else "" if token.type == "html_inline" else token.content
        for token in tokens
    )
