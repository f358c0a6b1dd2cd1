"""Taking documents in: read from a file or carried over from the parent, split, staged, and accounted for."""

from __future__ import annotations

from indexer.accounting import FORGOTTEN, Ledger
from indexer.cache import EmbeddingCache
from indexer.load import load
from indexer.parent import FileKey, Parent
from indexer.progress import Progress
from indexer.sources import Quarantined, SourceFile
from indexer.split import Splitter, WholeText
from indexer.staging import Staging
from indexer.vectors import GivenVectors
from store.document import Document
from store.embedding import EmbeddingSpace
from store.errors import InputError, SourceError
from store.forgotten import ForgottenIds
from store.ledger import LedgerFile
from store.passages import Origin, Span

_TOLD_EVERY = 100  # lines of one file


class Intake:
    """Stages documents and counts what they will cost.

    Args:
        splitter: cuts them.
        space: what their passages will be embedded in.
        given: their vectors, where they are not embedded.
        base_url: gives files their address.
        staging, cache: where documents go, and which texts have a vector already.
        parent: the snapshot before, verified.
        forgotten: documents that are not taken in.
        progress: told of every file, and of the lines of files with many.
    """

    def __init__(
        self,
        splitter: Splitter | WholeText,
        space: EmbeddingSpace,
        given: GivenVectors | None,
        base_url: str | None,
        staging: Staging,
        cache: EmbeddingCache | None,
        parent: Parent | None,
        forgotten: ForgottenIds,
        progress: Progress,
    ) -> None:
        self._splitter = splitter
        self._space = space
        self._given = given
        self._base_url = base_url
        self._staging = staging
        self._cache = cache
        self._parent = parent
        self._forgotten = forgotten
        self._progress = progress
        before = None if parent is None else parent.manifest
        self._same_space = before is not None and before.space == space
        self._same_split = (
            before is not None
            and before.splitter == splitter.settings
            and before.space.tokenizer_sha256 == space.tokenizer_sha256
        )
        self.ledger = Ledger(staging)
        self.to_embed = 0

    def carry_over(self, key: FileKey) -> None:
        """Stage what a file became before; split again where that would be done otherwise now."""
        parent = self._parent
        assert parent is not None
        self._progress.advance()
        for line in parent.files.get(key, []):
            self.ledger.file(line)
        for one in parent.documents(key):
            if self._refuses(one.document.id, one.origin):
                continue
            spans = one.spans if self._same_split else None
            self._stage(one.document, one.version, one.origin, spans)
        for entry in parent.other_inputs(key):
            if not self._refuses(entry.document_id, Origin(entry.source, entry.file, entry.input)):
                self.ledger.entry(entry)

    def set_aside(self, source: str, item: Quarantined) -> None:
        """Account for an input that is not to be read; one that was forgotten is called by its stand-in."""
        if item.reason == FORGOTTEN and item.document_id is not None:
            self.ledger.forgotten(source, None, item.document_id, item.input)
        else:
            self.ledger.set_aside(source, item.input, item)

    def read(self, item: SourceFile, line: LedgerFile) -> None:
        """Read a file and stage what it holds. Raises SourceError where vectors were given for other lines."""
        self.ledger.file(line)
        self._progress.advance()
        number = -1
        for number, loaded in enumerate(load(item, base_url=self._base_url)):
            if number and number % _TOLD_EVERY == 0:
                self._progress.advance(_TOLD_EVERY)
            if isinstance(loaded, Quarantined):
                if not self._refuses(loaded.document_id, Origin(line.source, item.relative, loaded.input)):
                    self.ledger.set_aside(line.source, item.relative, loaded)
            else:
                self._add(loaded, Origin(line.source, item.relative, _input_of(item, loaded)), number)
        if self._given is not None and number + 1 != len(self._given):
            raise SourceError(
                f"{self._given.path} has {len(self._given)} rows, and {item.input} has {number + 1} lines; "
                "nothing was published.",
                fix="There must be one row for each line that is not blank, in the same order.",
            )

    def _refuses(self, document_id: str | None, origin: Origin) -> bool:
        """Whether a document was forgotten; accounts for it then."""
        if document_id is None or not self._forgotten.holds(document_id):
            return False
        file = None if origin.input == document_id else origin.file
        self.ledger.forgotten(origin.source, file, origin.input, self._forgotten.stand_in(document_id))
        return True

    def _add(self, document: Document, origin: Origin, line: int) -> None:
        if self._refuses(document.id, origin):
            return
        try:
            version = document.version
            if self._given is not None and line < len(self._given):
                self._given.check_line(line)
        except InputError as error:
            refused = Quarantined(origin.input, error.reason, f"{origin.input}: {error.message}", document.id)
            self.ledger.set_aside(origin.source, origin.file, refused)
            return
        known = self._parent.spans_of(document, version) if self._parent is not None and self._same_split else None
        self._stage(document, version, origin, known, None if self._given is None else line)

    def _stage(
        self, document: Document, version: str, origin: Origin, known: list[Span] | None, line: int | None = None
    ) -> None:
        """Stage a document, split as it was before (`known`) or anew, and count what is to be embedded of it."""
        spans = self._splitter.split(document) if known is None else known
        outcome = self._staging.add(document, version, origin, spans, line)
        self.ledger.staged(outcome, document.id, origin)
        if self._cache is not None and not (known is not None and self._same_space):
            self.to_embed += self._cache.missing(list({span.embedded_hash for span in spans}))


def _input_of(file: SourceFile, document: Document) -> str:
    return file.input if document.id == file.input else f"{file.input}#{document.id}"
