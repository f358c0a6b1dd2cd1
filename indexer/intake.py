"""Taking documents in: read from a file or carried over from the parent, split, staged, and accounted for."""

from __future__ import annotations

from indexer.accounting import Ledger
from indexer.cache import EmbeddingCache
from indexer.load import load
from indexer.parent import FileKey, Parent
from indexer.sources import Quarantined, SourceFile
from indexer.split import Splitter, WholeText
from indexer.staging import Staging
from indexer.vectors import GivenVectors
from store.document import Document
from store.embedding import EmbeddingSpace
from store.errors import InputError, SourceError
from store.ledger import LedgerFile
from store.passages import Origin


class Intake:
    """Stages documents and counts what they will cost.

    Args:
        splitter: cuts them.
        space: what their passages will be embedded in.
        given: their vectors, where they are not embedded.
        base_url: gives files their address.
        staging, cache: where documents go, and which texts have a vector already.
    """

    def __init__(
        self,
        splitter: Splitter | WholeText,
        space: EmbeddingSpace,
        given: GivenVectors | None,
        base_url: str | None,
        staging: Staging,
        cache: EmbeddingCache | None,
    ) -> None:
        self._splitter = splitter
        self._space = space
        self._given = given
        self._base_url = base_url
        self._staging = staging
        self._cache = cache
        self.ledger = Ledger(staging)
        self.to_embed = 0

    def carry_over(self, parent: Parent, key: FileKey) -> None:
        """Stage what a file became before; split again where that would be done otherwise now."""
        for line in parent.files.get(key, []):
            self.ledger.file(line)
        before = parent.manifest
        same_split = (
            before.splitter == self._splitter.settings and before.space.tokenizer_sha256 == self._space.tokenizer_sha256
        )
        for one in parent.documents(key):
            if one.spans is not None and same_split:
                spans, known = one.spans, before.space == self._space
            else:
                spans, known = self._splitter.split(one.document), False
            outcome = self._staging.add(one.document, one.version, one.origin, spans)
            self.ledger.staged(outcome, one.document.id, one.origin)
            if self._cache is not None and not known:
                self.to_embed += self._cache.missing(list({span.embedded_hash for span in spans}))
        for entry in parent.other_inputs(key):
            self.ledger.entry(entry)

    def read(self, item: SourceFile, line: LedgerFile) -> None:
        """Read a file and stage what it holds. Raises SourceError where vectors were given for other lines."""
        self.ledger.file(line)
        number = -1
        for number, loaded in enumerate(load(item, base_url=self._base_url)):
            if isinstance(loaded, Quarantined):
                self.ledger.set_aside(line.source, item.relative, loaded)
            else:
                self._add(loaded, Origin(line.source, item.relative, _input_of(item, loaded)), number)
        if self._given is not None and number + 1 != len(self._given):
            raise SourceError(
                f"{self._given.path} has {len(self._given)} rows, and {item.input} has {number + 1} lines; "
                "nothing was published.",
                fix="There must be one row for each line that is not blank, in the same order.",
            )

    def _add(self, document: Document, origin: Origin, line: int) -> None:
        try:
            version = document.version
            if self._given is not None and line < len(self._given):
                self._given.check_line(line)
        except InputError as error:
            refused = Quarantined(origin.input, error.reason, f"{origin.input}: {error.message}", document.id)
            self.ledger.set_aside(origin.source, origin.file, refused)
            return
        spans = self._splitter.split(document)
        outcome = self._staging.add(document, version, origin, spans, None if self._given is None else line)
        self.ledger.staged(outcome, document.id, origin)
        if self._cache is not None:
            self.to_embed += self._cache.missing(list({span.embedded_hash for span in spans}))


def _input_of(file: SourceFile, document: Document) -> str:
    return file.input if document.id == file.input else f"{file.input}#{document.id}"
