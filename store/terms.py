"""The lexical side on disk: BM25 by tantivy over terms that our analyzer made, in row order.

tantivy's BM25 has k1 = 1.2 and b = 0.75 with document lengths rounded to one byte, as in Lucene; scores are >= 0 and a
row that shares no term with the question is never returned.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from store.errors import StoreCorrupt
from store.vectors import Ranking, best

_LOCK_FILES = (".tantivy-meta.lock", ".tantivy-writer.lock")
QUERY_TERMS_MAX = 256
"""Distinct terms of a question that are searched; later ones are not."""
_ROW_SET_MAX = 2_000
_ASIDE = 64
_HEAP_BYTES_MIN, _HEAP_BYTES_MAX = 50_000_000, 400_000_000
_HEAP_BYTES_PER_ROW = 1_500


class TermWriter:
    """Writes the index of all rows' terms, in row order.

    tantivy's own threads may put a lock file into the folder that it writes to even after it said that it ended. So
    that is another folder, gone by the time the snapshot is published.

    Args:
        folder: the snapshot's `terms/`; made by `finish`.
        expected_rows: sizes the writer's memory, so that one segment results.
    """

    def __init__(self, folder: Path, expected_rows: int) -> None:
        import tantivy

        self._folder = folder
        self._scratch = folder.with_name(f".{folder.name}-being-written")
        self._scratch.mkdir()
        heap = min(max(expected_rows * _HEAP_BYTES_PER_ROW, _HEAP_BYTES_MIN), _HEAP_BYTES_MAX)
        self._writer = tantivy.Index(_schema(), path=str(self._scratch)).writer(heap, 1)
        self._rows = 0

    def add(self, terms: Sequence[str]) -> None:
        """Append the next row."""
        import tantivy

        document = tantivy.Document()
        document.add_text("terms", " ".join(terms))
        document.add_unsigned("row", self._rows)
        self._writer.add_document(document)
        self._rows += 1

    def finish(self) -> None:
        """Commit, wait for tantivy's threads, and leave its files, but for its locks, in the folder."""
        self._writer.commit()
        self._writer.wait_merging_threads()
        self._folder.mkdir()
        readable = self._folder.stat().st_mode & 0o444  # tantivy keeps some of its files from all but their owner
        for path in self._scratch.iterdir():
            if path.name not in _LOCK_FILES:
                path.chmod(path.stat().st_mode | readable)
                path.rename(self._folder / path.name)
        _remove_for_good(self._scratch)


def _schema() -> Any:
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_text_field("terms", stored=False, tokenizer_name="whitespace", index_option="freq")
    builder.add_unsigned_field("row", stored=False, indexed=True, fast=True)
    return builder.build()


@contextmanager
def _folder_for_a_moment() -> Iterator[Path]:
    """A private folder that is gone afterwards, although tantivy's own thread may still put its lock file there."""
    folder = Path(tempfile.mkdtemp(prefix="footnote-terms-"))
    try:
        yield folder
    finally:
        _remove_for_good(folder)


def _remove_for_good(folder: Path) -> None:
    """Remove a folder into which tantivy's own thread may still put its lock file."""
    for _ in range(100):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            break
        time.sleep(0.005)


class TermIndex:
    """The opened index. tantivy wants to write a lock beside the files even to read, so a private folder of links to
    them is opened instead, for as long as opening takes: a read-only mount works, and nothing stays behind.

    Args:
        folder: the snapshot's `terms/`, already checked.
        rows: how many rows the manifest promises.
    """

    def __init__(self, folder: Path, rows: int) -> None:
        import tantivy

        with _folder_for_a_moment() as links:
            for entry in folder.iterdir():
                (links / entry.name).symlink_to(entry.resolve())
            try:
                index = tantivy.Index.open(str(links))
                index.config_reader(reload_policy="manual")
                self._searcher = index.searcher()  # maps every file of every segment
            except ValueError as error:
                raise StoreCorrupt(str(folder), "a term index", str(error)) from error
        self._schema = index.schema
        self._index = index
        if self._searcher.num_docs != rows:
            raise StoreCorrupt(str(folder), f"{rows} rows", f"{self._searcher.num_docs} rows")
        self._rows = rows
        self._in_row_order = self._searcher.num_segments <= 1

    def search(self, terms: Sequence[str], k: int, mask: npt.NDArray[np.bool_] | None) -> Ranking:
        """The k best rows by BM25 among those the mask allows, best first, ties by row; never a score of 0."""
        if not terms or not self._rows:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        query = self._query(terms)
        if mask is not None:
            selected = np.flatnonzero(mask)
            if len(selected) <= _ROW_SET_MAX:
                rows, scores = self._run(self._within(query, selected), max(len(selected), 1))
                return best(rows, scores, k)
        # tantivy breaks ties by address: in one segment by row. Of several, more are fetched, to break them here.
        fetch = min(self._rows, k if self._in_row_order else k + _ASIDE)
        while True:
            rows, scores = self._run(query, fetch)
            exhausted = len(rows) < fetch or fetch >= self._rows
            if mask is not None:
                allowed = mask[rows]
                rows, scores = rows[allowed], scores[allowed]
            if exhausted or len(rows) >= k:
                break
            fetch = min(self._rows, fetch * 4)
        return best(rows, scores, k)

    def scores(self, terms: Sequence[str], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """BM25 of given rows, float32, 0 where a row shares no term."""
        result = np.zeros(len(rows), np.float32)
        if terms and len(rows):
            found, scores = self._run(self._within(self._query(terms), rows), len(rows))
            known = dict(zip(found.tolist(), scores.tolist(), strict=True))
            result[:] = [known.get(row, 0.0) for row in rows.tolist()]
        return result

    def inverse_frequency(self, term: str) -> float:
        """BM25's idf of a term: ln(1 + (N - n + 0.5) / (n + 0.5)) for n of N rows that hold it."""
        holding = self._searcher.doc_freq("terms", term)
        return math.log(1 + (self._rows - holding + 0.5) / (holding + 0.5))

    def _query(self, terms: Sequence[str]) -> Any:
        import tantivy

        clauses = []
        for term, times in list(Counter(terms).items())[:QUERY_TERMS_MAX]:
            clause = tantivy.Query.term_query(self._schema, "terms", term, index_option="freq")
            if times > 1:
                clause = tantivy.Query.boost_query(clause, float(times))
            clauses.append((tantivy.Occur.Should, clause))
        return tantivy.Query.boolean_query(clauses)

    def _within(self, query: Any, rows: npt.NDArray[np.int64]) -> Any:
        import tantivy

        among = tantivy.Query.term_set_query(self._schema, "row", rows.tolist())
        silent = tantivy.Query.const_score_query(among, 0.0)
        return tantivy.Query.boolean_query([(tantivy.Occur.Must, query), (tantivy.Occur.Must, silent)])

    def _run(self, query: Any, fetch: int) -> Ranking:
        hits = self._searcher.search(query, fetch, count=False).hits
        scores = np.array([score for score, _ in hits], np.float32)
        if self._in_row_order:  # one segment, written in row order: the address is the row
            rows = np.array([address.doc for _, address in hits], np.int64)
        else:
            rows = np.array(self._searcher.fast_field_values("row", [address for _, address in hits]), np.int64)
        return rows, scores
