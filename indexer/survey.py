"""The survey: which sources were given, and which files they hold, hashed and not yet read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from indexer.accounting import FORGOTTEN
from indexer.progress import Progress
from indexer.sources import Quarantined, Source, SourceFile, is_jsonl, parse_source, scan
from indexer.tools import Request
from store.errors import SourceError
from store.files import sha256_file
from store.forgotten import ForgottenIds
from store.ledger import LedgerFile


def parse_sources(request: Request) -> list[Source]:
    """The sources by name. Raises SourceError for none, or one that is not there unless that is allowed."""
    if not request.sources:
        raise SourceError("no source was given.", fix="Name a folder, a file or a .jsonl file.")
    result: list[Source] = []
    for text in request.sources:
        try:
            result.append(parse_source(text))
        except SourceError:
            if not request.allow_empty:
                raise
            name, _, path = text.rpartition("=")
            result.append(Source(name or Path(path).name, Path(path), "folder"))
    # By name: which of two documents with one id is kept must not depend on how the command was typed.
    return sorted(result, key=lambda source: (source.name, str(source.path)))


Found = tuple[str, SourceFile | Quarantined, LedgerFile | None]
"""Source name, the file or why it is set aside, and its line in the ledger where it could be read."""


def survey(
    sources: Sequence[Source],
    request: Request,
    recipe: str,
    index: Path,
    forgotten: ForgottenIds,
    progress: Progress,
) -> Iterator[Found]:
    """Every file of the sources with its line in the ledger; files of forgotten documents, and those that cannot be
    read, are set aside.

    Args:
        sources, request: what was asked for.
        recipe: how files are read.
        index: the index directory, which is part of no source.
        forgotten: what must not come back.
        progress: told of every file.
    """
    recipe_of_lines = (
        f"{recipe}{forgotten.state}"  # files of many documents are read again when other ids are forgotten
    )
    for source in sources:
        if request.allow_empty and not source.path.exists():
            continue
        for item in scan(source, request.include, request.exclude, without=index):
            progress.advance()
            if isinstance(item, Quarantined):
                yield source.name, item, None
                continue
            many = is_jsonl(item.path.name)
            if not many and forgotten.holds(item.input):
                stand_in = forgotten.stand_in(item.input)
                yield source.name, Quarantined(stand_in, FORGOTTEN, "", item.input), None
                continue
            try:
                digest = sha256_file(item.path)
                line = LedgerFile(source.name, item.relative, digest, recipe_of_lines if many else recipe)
            except OSError as error:
                reason = error.strerror or str(error)
                broken = Quarantined(item.input, "unreadable", f"{item.input}: cannot be read: {reason}.", item.input)
                yield source.name, broken, None
                continue
            yield source.name, item, line
