"""The ingest ledger: every input accounted for, with its reason. One JSON object a line, in `ledger.jsonl`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from store.errors import StoreCorrupt

Outcome = Literal["indexed", "duplicate", "empty", "quarantined"]


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What became of one input.

    Args:
        source: the source's name.
        file: the file's path within the source.
        input: what people know the input by ("pages/a.html", "docs.jsonl:17").
        outcome: indexed, duplicate (the same document came before), empty, or quarantined.
        reason: a stable word where the outcome is not "indexed".
        message: the reason for people.
        document_id: the document it became, or would have become.
    """

    source: str
    file: str
    input: str
    outcome: Outcome
    reason: str | None = None
    message: str | None = None
    document_id: str | None = None


@dataclass(frozen=True, slots=True)
class LedgerFile:
    """A file that was read: it is read again only if its bytes (sha256) or the recipe (how files are read and split)
    differ.
    """

    source: str
    file: str
    sha256: str
    recipe: str


def ledger_line(line: LedgerFile | LedgerEntry) -> str:
    """The JSON of one line, without its newline."""
    kind = "file" if isinstance(line, LedgerFile) else "input"
    fields = {name: value for name in line.__slots__ if (value := getattr(line, name)) is not None}
    return json.dumps({"kind": kind, **fields}, ensure_ascii=False)


def read_ledger(path: Path) -> Iterator[LedgerFile | LedgerEntry]:
    """The lines of a ledger; raises StoreCorrupt naming file and line where one is not as written."""
    with path.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            try:
                fields = json.loads(line)
                kind = fields.pop("kind")
                yield LedgerFile(**fields) if kind == "file" else LedgerEntry(**fields)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise StoreCorrupt(f"{path}:{number}", "a ledger line", repr(error)) from error
