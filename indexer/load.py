"""Loading: one file of a source becomes one document (or, for JSONL, one a line), or a reason why not.

Nothing that a file can hold makes `load` raise: what cannot become a document is yielded as `Quarantined`, and the
rest goes on.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import quote

from indexer.loaders import Extracted
from indexer.sources import Quarantined, SourceFile, is_jsonl
from store.document import Document
from store.errors import InputError

__all__ = ["FILE_BYTES_MAX", "LOADER_VERSION", "Quarantined", "load"]

LOADER_VERSION = 1
"""Bumped whenever a loader would make another text from the same bytes."""

FILE_BYTES_MAX = 64 << 20
"""A file above this (JSONL aside, which is read line by line) is quarantined as "too_large"."""

_KINDS = {
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".md": "markdown",
    ".markdown": "markdown",
    ".txt": "text",
    ".text": "text",
    ".log": "text",
    ".rst": "rst",
}
_SUPPORTED = ", ".join([*_KINDS, ".jsonl", ".ndjson", ".jsonl.gz"])


def load(file: SourceFile, *, base_url: str | None = None) -> Iterator[Document | Quarantined]:
    """The documents of one file, each with canonical text, and what of it had to be set aside.

    Args:
        file: what to read; its `input` is the id of the one document of a file.
        base_url: the address below which the source is published; gives files without a canonical link their url.
    """
    lines = is_jsonl(file.path.name)
    document_id = None if lines else file.input
    try:
        if lines:
            from indexer.loaders import jsonl

            yield from jsonl.documents(file)
        else:
            yield _document(file, base_url)
    except InputError as error:
        yield Quarantined(file.input, error.reason, error.message, document_id)
    except OSError as error:
        reason = error.strerror or str(error)
        yield Quarantined(file.input, "unreadable", f"{file.input}: cannot be read: {reason}.", document_id)


def _document(file: SourceFile, base_url: str | None) -> Document:
    suffix = file.path.suffix.lower()
    if suffix and suffix not in _KINDS:
        raise InputError("unsupported", f"{file.input}: files of type {suffix} are not read; these are: {_SUPPORTED}.")
    data = _read(file)
    if not data.strip():
        raise InputError("empty", f"{file.input}: the file is empty.")
    extracted = _extract(file, _KINDS.get(suffix) or _sniffed(data), data)
    if not extracted.text.strip():
        raise InputError("empty", f"{file.input}: the file holds no text.")
    url = extracted.url
    if url is None and base_url:
        url = f"{base_url.rstrip('/')}/{quote(file.relative)}"
    return Document(
        id=file.input,
        text=extracted.text,
        title=extracted.title,
        url=url,
        metadata={**extracted.metadata, "path": file.relative},
        access=extracted.access,
        sections=extracted.sections,
    )


def _extract(file: SourceFile, kind: str, data: bytes) -> Extracted:
    from indexer.loaders import decoding

    stem = PurePosixPath(file.relative).stem
    if kind == "html":
        from indexer.loaders import html

        return html.extract(decoding.decode(data, file.input, decoding.declared_charset(data)), what=file.input)
    source = decoding.decode(data, file.input)
    if kind == "markdown":
        from indexer.loaders import markdown

        return markdown.extract(source, what=file.input, stem=stem)
    from indexer.loaders import text

    return text.extract(source, stem=stem, underlined_headings=kind == "rst")


def _sniffed(data: bytes) -> str:
    """The kind of a file without a suffix."""
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n\f").lower()
    return "html" if head.startswith((b"<!doctype html", b"<html", b"<head", b"<body")) else "text"


def _read(file: SourceFile) -> bytes:
    """The file's bytes, at most FILE_BYTES_MAX; never waits on a pipe that took the file's place."""
    descriptor = os.open(file.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as stream:  # noqa: PTH123 - a descriptor, not a path
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise InputError("unreadable", f"{file.input}: not a regular file.")
        data = stream.read(FILE_BYTES_MAX + 1) if status.st_size <= FILE_BYTES_MAX else b""
    if status.st_size > FILE_BYTES_MAX or len(data) > FILE_BYTES_MAX:
        raise InputError(
            "too_large", f"{file.input}: {status.st_size} bytes; a file may hold {FILE_BYTES_MAX}. Split it up."
        )
    return data
