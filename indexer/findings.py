"""What a build finds in the sources that it was given: files with their checksums, before anything is read of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from indexer.accounting import FORGOTTEN
from indexer.progress import Progress
from indexer.sources import Quarantined, Source, SourceFile, is_jsonl, parse_source, scan
from indexer.tools import Request
from store.errors import SourceError, UsageError
from store.files import sha256_file
from store.forgotten import ForgottenIds
from store.ledger import LedgerFile


def named_sources(request: Request) -> list[Source]:
    """What the request names. Raises SourceError where nothing is named, or something is missing that may not be."""
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


def look(
    sources: Sequence[Source],
    request: Request,
    recipe: str,
    forgotten: ForgottenIds,
    index: Path,
    progress: Progress,
) -> Iterator[Found]:
    """Everything that lies in the sources, files with their checksums.

    Args:
        recipe: how files are read.
        forgotten: documents that are not taken in; a file that would be one is not opened.
        index: the index directory, which is no source.
    """
    recipe_of_lines = f"{recipe}{forgotten.state}"  # files of many documents are read again when other ids are refused
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


def require_one_file_of_lines(found: Sequence[Found], sources: Sequence[Source]) -> None:
    """Raise UsageError unless what was found is one JSONL file, as vectors that were made elsewhere need."""
    kinds = [is_jsonl(item.path.name) for _, item, _ in found if isinstance(item, SourceFile)]
    if len(found) > 1 or not all(kinds):
        raise UsageError(f"--vectors goes with exactly one source, a JSONL file; found {sources[0].path}.")
