"""Sources: what the user named, and the files that lie in it.

Scanning only looks at names; no file is opened here. Everything that is found is accounted for: as a `SourceFile`
to load, or as a `Quarantined` entry with its reason. What is left out on purpose (links, hidden files, sockets,
files that the globs exclude) yields nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from store.errors import SourceError
from store.text import canonical

JSONL_SUFFIXES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
"""Files whose lines are documents, wherever they lie."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """An input, or a line of one, that could not become a document.

    Args:
        input: what the ledger calls it: "pages/a.html" or "docs.jsonl:17".
        reason: a stable word ("empty", "binary", "undecodable", "unreadable", "too_large", "malformed", "bad_id",
            "bad_metadata", "unsupported").
        message: for people; names file and line.
        document_id: the id that the document would have had, where it is known.
    """

    input: str
    reason: str
    message: str
    document_id: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """What the user named on the command line; `name` is the basename, or NAME of "NAME=PATH"."""

    name: str
    path: Path
    kind: Literal["folder", "file", "jsonl"]


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file to read.

    Args:
        source: the source's name.
        path: where the file lies.
        relative: its posix path within the source ("a/b.html"; the basename for a single file), canonical text.
        single: the file is the whole source, so that the source's name alone names it.
    """

    source: str
    path: Path
    relative: str
    single: bool = False

    @property
    def input(self) -> str:
        """What the ledger calls the file, and its document's id: "pages/a/b.html"; a single file's is its name."""
        return self.source if self.single else f"{self.source}/{self.relative}"


def is_jsonl(name: str) -> bool:
    """Whether a file of this name holds one document a line."""
    return name.lower().endswith(JSONL_SUFFIXES)


def parse_source(text: str) -> Source:
    """The source that "NAME=PATH" or PATH names; a path that contains "=" and exists as it stands wins.

    A source that is itself a symbolic link is followed: the user named it.

    Raises:
        SourceError: the path is missing, cannot be looked at, or is neither a file nor a folder; the name is missing.
    """
    given, separator, rest = text.partition("=")
    named = bool(separator) and "/" not in given and not os.path.lexists(text)
    path = Path(rest if named else text)
    if not (rest if named else text):
        raise SourceError(f"the source {text!r} names no path.", fix="Give PATH or NAME=PATH.")
    try:
        kind = _kind(path)
    except FileNotFoundError as error:
        raise SourceError(f"the source {path} does not exist.", fix="Check the path.") from error
    except (OSError, ValueError) as error:
        raise SourceError(f"the source {path} cannot be read: {error}.", fix="Check its permissions.") from error
    if kind is None:
        raise SourceError(
            f"the source {path} is neither a file nor a folder.", fix="Give a folder, a file or a .jsonl."
        )
    name = canonical(given if named else path.absolute().name or "").strip()
    if path.name in {"", ".", ".."} and not named:
        name = canonical(Path(os.path.abspath(path)).name)  # noqa: PTH100 - resolve() would follow links
    if not name:
        raise SourceError(f"the source {text!r} has no name.", fix=f"Give it one: NAME={path}.")
    return Source(name=name, path=path, kind=kind)


def scan(
    source: Source, include: Sequence[str] = (), exclude: Sequence[str] = (), *, without: Path | None = None
) -> Iterator[SourceFile | Quarantined]:
    """The files of a source, recursively, in the order of their relative paths.

    Symbolic links below the source, hidden files and folders (leading dot) and special files are left out; nothing is
    opened. A glob (fnmatch, case-sensitive, "*" also matches "/") is held against the relative path and the basename;
    an exclude glob that matches a folder leaves out all that is in it. A file that the user named outright is not
    subject to globs. A folder that cannot be listed yields one `Quarantined("unreadable")`. The folder `without` is
    left out: an index that lies below its source is not part of it.
    """
    if source.kind != "folder":
        yield SourceFile(source.name, source.path, canonical(source.path.name), single=True)
        return
    pending: list[tuple[str, Path, bool]] = [("", source.path, True)]
    while pending:
        relative, path, is_folder = pending.pop()
        if not is_folder:
            yield SourceFile(source.name, path, relative)
            continue
        if without is not None and path.is_dir() and without.is_dir() and path.samefile(without):
            continue
        try:
            found = _children(path, relative, include, exclude)
        except OSError as error:
            place = f"{source.name}/{relative}".rstrip("/")
            yield Quarantined(place, "unreadable", f"{place}: the folder cannot be listed: {error.strerror or error}")
            continue
        pending.extend(reversed(found))


def _children(
    folder: Path, relative: str, include: Sequence[str], exclude: Sequence[str]
) -> list[tuple[str, Path, bool]]:
    """(relative path, path, is a folder) of what belongs to the source, sorted as the full relative paths sort."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            is_folder = entry.is_dir(follow_symlinks=False)
            if entry.name.startswith(".") or not (is_folder or entry.is_file(follow_symlinks=False)):
                continue
            below = canonical(f"{relative}/{entry.name}" if relative else entry.name)
            if _matches(below, exclude) or not (is_folder or not include or _matches(below, include)):
                continue
            found.append((below, Path(entry.path), is_folder))
    # a folder sorts as its children's paths do: "a.html" < "a/b.html" < "a0.html"
    return sorted(found, key=lambda child: child[0] + "/" * child[2])


def _matches(relative: str, globs: Sequence[str]) -> bool:
    basename = relative.rpartition("/")[2]
    return any(fnmatchcase(relative, glob.rstrip("/")) or fnmatchcase(basename, glob.rstrip("/")) for glob in globs)


def _kind(path: Path) -> Literal["folder", "file", "jsonl"] | None:
    path.stat()
    if path.is_dir():
        return "folder"
    if path.is_file():
        return "jsonl" if is_jsonl(path.name) else "file"
    return None
