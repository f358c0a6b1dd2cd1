"""The exact snapshot: everything in memory and computed by definition, with NumPy and no engine.

It ships as a product of its own, not as a test helper: it is the definition that every engine behind the `Snapshot`
protocol is held against (one contract suite runs on all), it answers small collections that are made in memory and
never written, and it gives the true ranking against which an approximate index is measured. A query costs time
proportional to the number of passages.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from store.analyzer import Analyzer
from store.document import Document, Passage, embedded_text, passage_id
from store.embedding import EmbeddingSpace, Vectors
from store.errors import SpaceMismatch, StoreCorrupt
from store.filters import Filter, matches
from store.passages import DocumentHeader, Span, StoredDocument, StoredPassage
from store.snapshot import Hit, LegQuery, LegScores, Principals, SnapshotFacts, Vector, may_read
from store.terms import QUERY_TERMS_MAX

K1, B = 1.2, 0.75
"""BM25's parameters, as Lucene and tantivy have them."""


@dataclass(frozen=True, slots=True)
class ExactEntry:
    """One document with its passages' spans and vectors.

    Args:
        document: with canonical text.
        spans: its passages, in order.
        vectors: float32, shape (len(spans), dimension).
    """

    document: Document
    spans: Sequence[Span]
    vectors: Vectors


@dataclass(frozen=True, slots=True)
class _Row:
    passage: StoredPassage
    counts: Counter[str]
    length: int


class ExactSnapshot:
    """One immutable collection in memory behind the `Snapshot` protocol; exact in both legs.

    Args:
        entries: the documents, in any order; ids must differ.
        space: the embedding space of their vectors.
        analyzer: makes the terms of passages and questions.
        generation, name: what `facts` says.

    Raises:
        StoreCorrupt: two documents share an id.
        SpaceMismatch: vectors are not of the space's dimension.
    """

    def __init__(
        self,
        entries: Sequence[ExactEntry],
        space: EmbeddingSpace,
        analyzer: Analyzer,
        *,
        generation: int = 1,
        name: str = "exact",
    ) -> None:
        self._analyzer = analyzer
        self._documents: list[StoredDocument] = []
        self._rows: list[_Row] = []
        parts = [np.zeros((0, space.dimension), np.float32)]
        known: set[str] = set()
        for entry in sorted(entries, key=lambda entry: entry.document.id):
            document = entry.document
            if document.id in known:
                raise StoreCorrupt(name, "documents with ids of their own", f"{document.id!r} twice")
            known.add(document.id)
            if entry.vectors.shape != (len(entry.spans), space.dimension):
                raise SpaceMismatch(
                    f"shape of the vectors of {document.id!r}", (len(entry.spans), space.dimension), entry.vectors.shape
                )
            self._add(document, entry.spans)
            parts.append(np.asarray(entry.vectors, np.float32))
        self._vectors = np.concatenate(parts)
        self._row_of = {row.passage.passage.id: number for number, row in enumerate(self._rows)}
        self._holding = Counter(term for row in self._rows for term in row.counts)
        self._mean_length = sum(row.length for row in self._rows) / max(len(self._rows), 1)
        self.facts = SnapshotFacts(
            generation=generation,
            name=name,
            documents=len(self._documents),
            passages=len(self._rows),
            space=space,
            analyzer=analyzer.name,
            recall_at_10=1.0,
        )

    def _add(self, document: Document, spans: Sequence[Span]) -> None:
        header = DocumentHeader(
            document.id, document.version, document.title, document.url, document.metadata, document.access
        )
        self._documents.append(StoredDocument(header, document.text, document.sections))
        language = self._analyzer.language_of(document.title, document.text)
        for span in spans:
            text = document.text[span.start : span.end]
            key = passage_id(document.id, text, span.start, span.end)
            passage = Passage(key, document.id, span.start, span.end, text, span.section, span.page)
            terms = self._analyzer.terms(embedded_text(document.title, span.section, text), language)
            self._rows.append(_Row(StoredPassage(passage, header), Counter(terms), len(terms)))

    async def dense(self, vector: Vector, k: int, filter: Filter | None, principals: Principals) -> list[Hit]:  # noqa: A002
        """The k passages nearest to `vector`, best first, ties in row order. Raises SpaceMismatch on its shape."""
        if vector.shape != (self.facts.space.dimension,):
            raise SpaceMismatch("dimension", self.facts.space.dimension, vector.shape)
        return self._best(self._dense_scores(vector), self._allowed(filter, principals), k)

    async def lexical(self, text: str, k: int, filter: Filter | None, principals: Principals) -> list[Hit]:  # noqa: A002
        """The k best passages by BM25, best first, ties in row order; never one that shares no term."""
        scores = self._lexical_scores(text)
        return self._best(scores, self._allowed(filter, principals) & (scores > 0), k)

    async def score(self, query: LegQuery, passage_ids: Sequence[str]) -> list[LegScores]:
        """Exact scores of given passages, in the order given; raises KeyError for an unknown id."""
        rows = [self._row_of[passage_id] for passage_id in passage_ids]
        dense = None if query.vector is None else self._dense_scores(query.vector)
        lexical = None if query.text is None else self._lexical_scores(query.text)
        return [
            LegScores(None if dense is None else float(dense[row]), None if lexical is None else float(lexical[row]))
            for row in rows
        ]

    async def passage_ids(self, document_id: str, principals: Principals) -> list[str]:
        """As `Snapshot.passage_ids`."""
        own = [row.passage for row in self._rows if row.passage.document.id == document_id]
        return [one.passage.id for one in own if may_read(one.document.access, principals)]

    async def vectors(self, passage_ids: Sequence[str]) -> Vectors:
        """As `Snapshot.vectors`."""
        rows = {row.passage.passage.id: number for number, row in enumerate(self._rows)}
        chosen = np.array([rows[passage_id] for passage_id in passage_ids], np.int64)
        return np.asarray(self._vectors[chosen], np.float32)

    async def term_weights(self, text: str) -> Mapping[str, float]:
        """The terms of `text` in any of the index's languages, with their inverse passage frequency."""
        return {term: self._inverse_frequency(term) for term in self._analyzer.all_terms(text)}

    async def passages(self, ids: Sequence[str], principals: Principals) -> Mapping[str, StoredPassage]:
        """The passages that exist and may be read, by id."""
        found = {key: self._rows[self._row_of[key]].passage for key in ids if key in self._row_of}
        return {key: one for key, one in found.items() if may_read(one.document.access, principals)}

    async def document(
        self,
        *,
        id: str | None = None,  # noqa: A002
        version: str | None = None,
        principals: Principals,
    ) -> StoredDocument | None:
        """The document with this id and version (either may be left out), if it exists and may be read."""
        for one in self._documents:
            wanted = id in (None, one.header.id) and version in (None, one.header.version)
            if wanted and may_read(one.header.access, principals):
                return one
        return None

    def _allowed(self, tree: Filter | None, principals: Principals) -> npt.NDArray[np.bool_]:
        def allows(header: DocumentHeader) -> bool:
            return may_read(header.access, principals) and (tree is None or matches(tree, header.metadata))

        by_document = {one.header.id: allows(one.header) for one in self._documents}
        return np.array([by_document[row.passage.document.id] for row in self._rows], np.bool_)

    def _dense_scores(self, vector: Vector) -> npt.NDArray[np.float64]:
        # float64, row by row: equal vectors score equal, so that ties break by row
        scores = np.einsum("ij,j->i", self._vectors.astype(np.float64), vector.astype(np.float64))
        return np.asarray(scores, np.float64)

    def _lexical_scores(self, text: str) -> npt.NDArray[np.float64]:
        """BM25 of every row, float64."""
        wanted = dict(list(Counter(self._analyzer.question_terms(text)).items())[:QUERY_TERMS_MAX])
        weights = {term: self._inverse_frequency(term) for term in wanted}
        return np.array(
            [bm25(wanted, weights, row.counts, row.length, self._mean_length) for row in self._rows], np.float64
        )

    def _inverse_frequency(self, term: str) -> float:
        holding = self._holding[term]
        return math.log(1 + (len(self._rows) - holding + 0.5) / (holding + 0.5))

    def _best(self, scores: npt.NDArray[np.float64], allowed: npt.NDArray[np.bool_], k: int) -> list[Hit]:
        rows = np.flatnonzero(allowed)
        order = rows[np.lexsort((rows, -scores[rows]))][:k]
        return [Hit(self._rows[row].passage.passage.id, float(scores[row])) for row in order.tolist()]


def bm25(
    wanted: Mapping[str, int], weights: Mapping[str, float], counts: Mapping[str, int], length: int, mean_length: float
) -> float:
    """BM25 (Robertson & Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009) of one text, with its
    length rounded as `rounded_length` says.

    Args:
        wanted: the question's terms, with how often each is asked for.
        weights: their inverse passage frequency (Snapshot.term_weights).
        counts: how often the text has each term.
        length, mean_length: the text's length in terms, and that of all.
    """
    length_part = K1 * (1 - B + B * rounded_length(length) / max(mean_length, 1e-9))
    score = 0.0
    for term, times in wanted.items():
        count = counts.get(term, 0)
        if count:
            score += times * weights[term] * count * (K1 + 1) / (count + length_part)
    return score


def rounded_length(length: int) -> int:
    """A passage's length in terms as Lucene and tantivy keep it in one byte: exact to 40, then 24 plus the rest rounded
    down to four significant bits (Lucene's SmallFloat.intToByte4).
    """
    if length < 24:
        return length
    above = length - 24
    shift = max(above.bit_length() - 4, 0)
    return 24 + (above >> shift << shift)
