"""JSON lines: one document a line, read as a stream; a bad line is named and set aside, the rest goes on."""

from __future__ import annotations

import gzip
import json
import os
import stat
import zlib
from collections.abc import Iterator
from io import BufferedIOBase
from typing import Any, NoReturn

import rfc8785

from indexer.sources import Quarantined, SourceFile
from store.document import EVERYONE, Document, make_document
from store.errors import InputError
from store.text import canonical

LINE_BYTES_MAX = 16 << 20
"""A longer line is quarantined as "too_large"; it is skipped without being held in memory whole."""


def documents(file: SourceFile) -> Iterator[Document | Quarantined]:
    """The document of each line: `{"id"|"_id", "title"?, "text", "url"?, "metadata"?: {}, "access"?: []}`.

    Other keys are ignored, blank lines skipped. Holds one line in memory.

    Raises:
        OSError: the file cannot be opened or read on.
        InputError: the file as a whole is no JSON lines file ("binary", "empty", "unreadable").
    """
    descriptor = os.open(file.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as raw:  # noqa: PTH123 - a descriptor, not a path
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InputError("unreadable", f"{file.input}: not a regular file.")
        if not file.path.name.lower().endswith(".gz"):
            yield from _documents(file, raw)
            return
        with gzip.GzipFile(fileobj=raw) as stream:
            yield from _documents(file, stream)


def _documents(file: SourceFile, stream: BufferedIOBase) -> Iterator[Document | Quarantined]:
    number, seen = 0, 0
    while True:
        number += 1
        place = f"{file.input}:{number}"
        try:
            line = stream.readline(LINE_BYTES_MAX + 1)
            if len(line) > LINE_BYTES_MAX and not line.endswith(b"\n"):
                _skip_line(stream)
                seen += 1
                yield Quarantined(place, "too_large", f"{place}: the line is longer than {LINE_BYTES_MAX} bytes.")
                continue
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            yield Quarantined(place, "malformed", f"{place}: the gzip data is damaged or cut off: {error}.")
            return
        if not line:
            break
        if number == 1:
            if b"\x00" in line:
                raise InputError("binary", f"{file.input}: the file holds binary data, not JSON lines.")
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line.strip():
            continue
        seen += 1
        yield _document(line, place)
    if not seen:
        raise InputError("empty", f"{file.input}: the file holds no documents.")


def _skip_line(stream: BufferedIOBase) -> None:
    while (part := stream.readline(1 << 20)) and not part.endswith(b"\n"):
        pass


def _document(line: bytes, place: str) -> Document | Quarantined:
    known: str | None = None
    try:
        value = _parsed(line, place)
        known = _id(value, place)
        return _built(value, known, place)
    except InputError as error:
        return Quarantined(place, error.reason, error.message, known)
    except RecursionError:
        return Quarantined(place, "malformed", f"{place}: the JSON is nested too deeply.", known)


def _parsed(line: bytes, place: str) -> dict[str, Any]:
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise InputError("undecodable", f"{place}: not UTF-8 at byte {error.start + 1}.") from error
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except ValueError as error:
        raise InputError("malformed", f"{place}: not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise InputError("malformed", f"{place}: expected a JSON object, found {_kind(value)}.")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _id(value: dict[str, Any], place: str) -> str:
    given = value.get("id")
    if given is None:
        given = value.get("_id")
    if isinstance(given, int) and not isinstance(given, bool):
        given = str(given)
    if given is None:
        raise InputError("bad_id", f'{place}: the document has no "id" (or "_id").')
    if not isinstance(given, str):
        raise InputError("bad_id", f'{place}: "id" must be a string or an integer, found {_kind(given)}.')
    if not canonical(given).strip():
        raise InputError("bad_id", f'{place}: "id" is empty.')
    return canonical(given)


def _built(value: dict[str, Any], document_id: str, place: str) -> Document:
    text = _typed(value, "text", str, place)
    title = _typed(value, "title", str, place)
    url = _typed(value, "url", str, place)
    metadata = _typed(value, "metadata", dict, place)
    access = _typed(value, "access", list, place)
    if text is None:
        raise InputError("malformed", f'{place}: the document has no "text".')
    if not canonical(text).strip():
        raise InputError("empty", f'{place}: "text" is empty.')
    if not all(isinstance(one, str) and one.strip() for one in access or ()):
        raise InputError("malformed", f'{place}: "access" must be a list of non-empty strings.')
    metadata = _clean(metadata or {})
    try:
        if metadata:
            rfc8785.dumps(metadata)
    except (rfc8785.CanonicalizationError, ValueError, TypeError) as error:
        raise InputError("bad_metadata", f"{place}: metadata cannot be canonical JSON (RFC 8785): {error}.") from error
    return make_document(
        document_id,
        text,
        title=" ".join((title or "").split()),
        url=canonical(url) if url else None,
        metadata=metadata,
        access=frozenset(map(canonical, access)) if access else EVERYONE,
    )


def _typed(value: dict[str, Any], key: str, kind: type, place: str) -> Any:
    """The value under `key`, None where it is absent or null."""
    found = value.get(key)
    if found is None or isinstance(found, kind):
        return found
    raise InputError("malformed", f'{place}: "{key}" must be {_NAMES[kind]}, found {_kind(found)}.')


def _clean(value: Any) -> Any:
    """Canonical strings throughout, so that no lone surrogate reaches the store."""
    if isinstance(value, str):
        return canonical(value)
    if isinstance(value, list):
        return [_clean(one) for one in value]
    if isinstance(value, dict):
        return {canonical(key): _clean(one) for key, one in value.items()}
    return value


_NAMES: dict[type, str] = {
    str: "a string",
    dict: "an object",
    list: "a list",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
}


def _kind(value: Any) -> str:
    return _NAMES[type(value)]
