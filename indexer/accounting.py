"""Accounting: what became of every input, as the ledger will say it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from indexer.sources import Quarantined
from store.ledger import LedgerEntry, LedgerFile
from store.passages import Origin


@dataclass(slots=True)
class Ledger:
    """The ledger of a run while it grows."""

    files: list[LedgerFile] = field(default_factory=list)
    entries: list[LedgerEntry] = field(default_factory=list)

    def set_aside(self, source: str, file: str, item: Quarantined) -> None:
        """An input could not become a document."""
        outcome: Literal["empty", "quarantined"] = "empty" if item.reason == "empty" else "quarantined"
        self.entries.append(LedgerEntry(source, file, item.input, outcome, item.reason, item.message, item.document_id))

    def staged(self, outcome: Literal["added", "duplicate", "collision"], document_id: str, origin: Origin) -> None:
        """A document was staged, or was found to have come before."""
        place = (origin.source, origin.file, origin.input)
        if outcome == "added":
            entry = LedgerEntry(*place, "indexed", document_id=document_id)
        elif outcome == "duplicate":
            message = f"{origin.input}: the same document {document_id!r} came before."
            entry = LedgerEntry(*place, "duplicate", "duplicate", message, document_id)
        else:
            message = f"{origin.input}: another document with the id {document_id!r} came before; the first is kept."
            entry = LedgerEntry(*place, "quarantined", "collision", message, document_id)
        self.entries.append(entry)

    def outcomes(self) -> dict[str, int]:
        """How many inputs came to each outcome."""
        return {str(outcome): count for outcome, count in Counter(entry.outcome for entry in self.entries).items()}

    def problems(self) -> list[LedgerEntry]:
        """What people should look at."""
        return [entry for entry in self.entries if entry.outcome in ("quarantined", "empty")]

    def sources_with_documents(self) -> set[str]:
        """Names of the sources that brought something."""
        return {entry.source for entry in self.entries if entry.outcome in ("indexed", "duplicate")}
