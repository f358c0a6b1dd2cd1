"""Everything that can go wrong, as one tree.

    FootnoteError
    ├── UsageError              the caller asked for something impossible (bad filter, unknown mode)
    │   └── Forgotten           an archive or snapshot holds a document that was forgotten
    ├── SourceError             a source as a whole cannot be read (missing, now empty)
    │   └── InputError          one input cannot become a document: it is quarantined, the rest goes on
    ├── IndexMissing            no index, or no published snapshot, at the given place
    ├── IndexLocked             another writer is at work
    ├── WriteFailed             the disk under the index took no more (full, read-only, failing)
    ├── FormatUnsupported       the snapshot was written in a format this version does not read
    ├── StoreCorrupt            a file does not hold what its manifest says
    ├── SpaceMismatch           vectors of one embedding space would meet another
    └── LegUnavailable          a retrieval leg cannot answer

Every message says what was found, what was expected and how to mend it.
"""

from __future__ import annotations


class FootnoteError(Exception):
    """Base of all errors that a user can act on; `str()` is the message, `fix` what to do about it."""

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message} {self.fix}".strip()


class UsageError(FootnoteError):
    """What was asked for cannot be done as asked."""


class SourceError(FootnoteError):
    """A source as a whole cannot be read; nothing is published."""


class InputError(SourceError):
    """One input cannot become a document. `reason` is a short stable word, the message tells people more."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class IndexMissing(FootnoteError):
    """There is no index, or no published snapshot, where one was asked for."""


class IndexLocked(FootnoteError):
    """Another process is writing this index."""


class WriteFailed(FootnoteError):
    """The index could not be written: a full, read-only or failing disk, or missing rights.

    Args:
        where, why: the file, and what the system says of it.
        published: the snapshot that is current all the same, where it was that far.
    """

    def __init__(self, where: str, why: str, *, published: str | None = None) -> None:
        if published is None:
            so_far = "What was published before is untouched."
            fix = "Make room or mend the disk or its rights, then run again: what was embedded is kept."
        else:
            so_far = f"{published} is current already, but making that durable, or what comes after, was not done."
            fix = "Make room or mend the disk or its rights, then run again."
        super().__init__(f"{where} cannot be written: {why}. {so_far}", fix=fix)
        self.where = where
        self.why = why
        self.published = published


class FormatUnsupported(FootnoteError):
    """The snapshot's format version is not one that this program reads."""

    def __init__(self, what: str, expected: object, found: object) -> None:
        super().__init__(
            f"{what}: format version {found!r} is not supported; this program reads {expected!r}.",
            fix="Upgrade footnote, or make another index with this version (`footnote index SOURCE --index DIR`).",
        )
        self.expected = expected
        self.found = found


class StoreCorrupt(FootnoteError):
    """A file of the index, or an archive, does not hold what its manifest says. Names the file, expected and found."""

    def __init__(
        self,
        file: str,
        expected: object,
        found: object,
        *,
        fix: str = "Roll back (`footnote rollback GENERATION`) or rebuild (`footnote index`).",
    ) -> None:
        super().__init__(f"{file} is damaged: expected {expected}, found {found}.", fix=fix)
        self.file = file
        self.expected = expected
        self.found = found


class Forgotten(UsageError):
    """Something that was to be made current holds a document that was forgotten."""

    def __init__(self, what: str, document_id: str) -> None:
        super().__init__(
            f"{what} holds {document_id!r}, which was forgotten; nothing was changed.",
            fix=f"Have it made again without that document, or `footnote forget --undo {document_id!r}` first.",
        )
        self.document_id = document_id


class SpaceMismatch(FootnoteError):
    """Two embedding spaces would be mixed. Names both values of the field that differs."""

    def __init__(self, field: str, expected: object, found: object) -> None:
        super().__init__(
            f"embedding space differs in {field}: the index has {expected!r}, this is {found!r}.",
            fix="Rebuild the index with this model (`footnote index`), or use the index's own.",
        )
        self.field = field
        self.expected = expected
        self.found = found


class LegUnavailable(FootnoteError):
    """A retrieval leg cannot answer (no query encoder admitted, say)."""

    def __init__(self, leg: str, why: str) -> None:
        super().__init__(f"the {leg} leg is not available: {why}.")
        self.leg = leg
