"""Documents, their sections, and passages: the words that every room shares."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import rfc8785

from store.errors import InputError
from store.text import canonical

EVERYONE: frozenset[str] = frozenset()
"""An empty access set: the document may be read by anyone."""


_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"  # RFC 4648, lower case

HEADER_CHARS_MAX = 300
"""Code points of title and section path that are embedded with a passage."""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and where its section begins.

    Args:
        start: code point offset of the heading in the canonical text.
        level: 1 for the outermost heading, 6 for the innermost.
        title: the heading's text on one line.
    """

    start: int
    level: int
    title: str


@dataclass(frozen=True, slots=True)
class Document:
    """One input item (file, page, JSONL line). `text` is canonical; `id` is stable across versions."""

    id: str
    text: str
    title: str = ""
    url: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    access: frozenset[str] = EVERYONE
    sections: tuple[Section, ...] = ()

    @property
    def version(self) -> str:
        """sha256 (hex) over the canonical JSON (RFC 8785) of text, title, url and metadata.

        File times and the access list are not part of it.
        """
        return document_version(self.text, self.title, self.url, self.metadata)


@dataclass(frozen=True, slots=True)
class Passage:
    """A span of one document: the unit that is embedded and retrieved; `text == canonical[start:end]`, always."""

    id: str
    document_id: str
    start: int
    end: int
    text: str
    section: tuple[str, ...] = ()
    page: int | None = None


def document_version(text: str, title: str, url: str | None, metadata: Mapping[str, Any]) -> str:
    """sha256 (hex) over RFC 8785 JSON; raises InputError where metadata cannot be written as such JSON."""
    try:
        # Of strings alone the standard encoder makes the same bytes (a test compares), many times faster.
        fields = (rfc8785.dumps(dict(metadata)).decode() if metadata else "{}", *map(_json_string, (text, title, url)))
        data = '{{"metadata":{},"text":{},"title":{},"url":{}}}'.format(*fields).encode()
    except (rfc8785.CanonicalizationError, ValueError, TypeError, RecursionError) as error:
        raise InputError("bad_metadata", f"metadata cannot be written as canonical JSON (RFC 8785): {error}") from error
    return hashlib.sha256(data).hexdigest()


def passage_id(document_id: str, text: str, start: int, end: int) -> str:
    """26 base32 characters (130 bits) of sha256(document id, sha256 of the passage's text, start, end).

    Deterministic, URL-safe and untouched by metadata changes.
    """
    text_hash = hashlib.sha256(text.encode()).hexdigest()
    digest = hashlib.sha256(f"{document_id}\0{text_hash}\0{start}\0{end}".encode()).digest()
    bits = int.from_bytes(digest[:17], "big") >> 6  # the first 130
    return "".join(_BASE32_PAIRS[bits >> shift & 1023] for shift in range(120, -1, -10))


_BASE32_PAIRS = [one + other for one in _BASE32 for other in _BASE32]


def _json_string(value: str | None) -> str:
    return "null" if value is None else json.dumps(value, ensure_ascii=False)


def section_path(sections: tuple[Section, ...], offset: int) -> tuple[str, ...]:
    """The titles of the headings that enclose `offset`, outermost first. `sections` are in text order."""
    path: list[Section] = []
    for section in sections:
        if section.start > offset:
            break
        while path and path[-1].level >= section.level:
            path.pop()
        path.append(section)
    return tuple(section.title for section in path)


def embedded_text(title: str, section: tuple[str, ...], text: str, *, header: bool = True) -> str:
    """What is embedded and indexed for a passage: a header of title and section path, then the passage.

    Without a header (the splitter's settings say so), the passage alone.

    A heading that repeats the title, or that opens the passage anyway, is not written twice; a header is cut at
    HEADER_CHARS_MAX, so that it leaves room for the passage.
    """
    body = text.strip()
    if not header:
        return body
    parts = [title] if title else []
    parts.extend(part for part in section if part not in parts)
    if len(parts) > 1 and body.startswith(parts[-1]):
        parts.pop()
    line = " > ".join(parts)[:HEADER_CHARS_MAX]
    return f"{line}\n{body}" if line else body


def make_document(
    id: str,  # noqa: A002
    text: str,
    *,
    title: str = "",
    url: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    access: frozenset[str] = EVERYONE,
) -> Document:
    """A document without sections from raw values: makes text, title and id canonical."""
    return Document(
        id=canonical(id), text=canonical(text), title=canonical(title), url=url, metadata=metadata or {}, access=access
    )
