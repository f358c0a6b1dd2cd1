"""Accounting: what became of every input. Lines go to the staging database, so that memory does not grow with them."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from indexer.sources import Quarantined
from indexer.staging import Staging
from store.ledger import LedgerEntry, LedgerFile
from store.passages import Origin

PROBLEMS_KEPT = 1000
"""Problems that a report lists; the ledger has all."""

FORGOTTEN = "forgotten"
"""The reason why an input is set aside whose document was to be forgotten."""


class Tally:
    """What a ledger says in sum."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.sources_with_documents: set[str] = set()
        self.sources_with_forgotten: set[str] = set()
        self.problems: list[LedgerEntry] = []

    def add(self, entry: LedgerEntry) -> None:
        """Count one more input."""
        self.outcomes[entry.outcome] += 1
        if entry.reason == FORGOTTEN:
            self.sources_with_forgotten.add(entry.source)
        if entry.outcome in ("indexed", "duplicate"):
            self.sources_with_documents.add(entry.source)
        elif len(self.problems) < PROBLEMS_KEPT:
            self.problems.append(entry)


class Ledger:
    """The ledger of a run while it grows.

    Args:
        staging: where its lines are kept until they are written in order.
    """

    def __init__(self, staging: Staging) -> None:
        self._staging = staging
        self.tally = Tally()

    def file(self, line: LedgerFile) -> None:
        """A file was read, or is taken over unread."""
        self._staging.note(line)

    def entry(self, entry: LedgerEntry) -> None:
        """An input came to this outcome."""
        self._staging.note(entry)
        self.tally.add(entry)

    def set_aside(self, source: str, file: str, item: Quarantined) -> None:
        """An input could not become a document."""
        outcome: Literal["empty", "quarantined"] = "empty" if item.reason == "empty" else "quarantined"
        self.entry(LedgerEntry(source, file, item.input, outcome, item.reason, item.message, item.document_id))

    def forgotten(self, source: str, file: str | None, item: str, stand_in: str) -> None:
        """An input's document was forgotten: the report names it, what is written does not.

        Args:
            file: absent where it is named after the document.
            item: what people know the input by.
            stand_in: what the ledger calls it.
        """
        why = "was forgotten; take it out of its source, or `footnote forget --undo` it."
        self._staging.note(
            LedgerEntry(source, file or stand_in, stand_in, "quarantined", FORGOTTEN, f"An input's document {why}")
        )
        self.tally.add(LedgerEntry(source, file or item, item, "quarantined", FORGOTTEN, f"{item}: its document {why}"))

    def staged(self, outcome: Literal["added", "duplicate", "collision"], document_id: str, origin: Origin) -> None:
        """A document was staged, or was found to have come before."""
        place = (origin.source, origin.file, origin.input)
        if outcome == "added":
            self.entry(LedgerEntry(*place, "indexed", document_id=document_id))
        elif outcome == "duplicate":
            message = f"{origin.input}: the same document {document_id!r} came before."
            self.entry(LedgerEntry(*place, "duplicate", "duplicate", message, document_id))
        else:
            message = f"{origin.input}: another document with the id {document_id!r} came before; the first is kept."
            self.entry(LedgerEntry(*place, "quarantined", "collision", message, document_id))
