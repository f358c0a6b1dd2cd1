"""Writing rows: staged documents to passages, terms and vectors, window by window, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from indexer.cache import EmbeddingCache
from indexer.embed import DocumentEmbedder, encode_sorted
from indexer.parent import Parent
from indexer.progress import Progress
from indexer.staging import StagedDocument, Staging
from store.analyzer import Analyzer
from store.document import embedded_text, passage_id
from store.embedding import Vectors
from store.passages import PassageWriter
from store.terms import TermWriter

WINDOW_PASSAGES = 4096
"""Passages looked up, sorted by length and embedded together."""


def write_rows(
    folder: Path,
    staging: Staging,
    embedder: DocumentEmbedder,
    analyzer: Analyzer,
    cache: EmbeddingCache,
    parent: Parent | None,
    progress: Progress,
) -> int:
    """Write passages.sqlite, terms/ and vectors.f32 below `folder`, in row order.

    A vector comes from the cache, else from `parent` (of the same space), else is embedded now and cached. Returns how
    many texts were embedded.
    """
    passages = PassageWriter(folder / "passages.sqlite")
    terms = TermWriter(folder / "terms", staging.passages)
    embedded = 0
    with (folder / "vectors.f32").open("wb") as vectors:
        for window in _windows(staging):
            texts: list[str] = []
            hashes: list[bytes] = []
            for staged in window:
                document = staged.document
                ids = []
                for span in staged.spans:
                    text = document.text[span.start : span.end]
                    ids.append(passage_id(document.id, text, span.start, span.end))
                    texts.append(embedded_text(document.title, span.section, text))
                    hashes.append(span.embedded_hash)
                    terms.add(analyzer.terms(texts[-1]))
                passages.add(document, staged.version, staged.origin, staged.spans, ids)
            known, new = _vectors_of(hashes, texts, embedder, cache, parent, progress)
            embedded += new
            for key in hashes:
                vectors.write(np.asarray(known[key], "<f4").tobytes())
    passages.finish()
    terms.finish()
    return embedded


def _windows(staging: Staging) -> Iterator[list[StagedDocument]]:
    window: list[StagedDocument] = []
    size = 0
    for staged in staging.in_row_order():
        window.append(staged)
        size += len(staged.spans)
        if size >= WINDOW_PASSAGES:
            yield window
            window, size = [], 0
    if window:
        yield window


def _vectors_of(
    hashes: Sequence[bytes],
    texts: Sequence[str],
    embedder: DocumentEmbedder,
    cache: EmbeddingCache,
    parent: Parent | None,
    progress: Progress,
) -> tuple[dict[bytes, Vectors], int]:
    """A vector for every hash, and how many texts had to be embedded for that."""
    wanted = dict(zip(hashes, texts, strict=True))
    known = cache.get(list(wanted))
    if parent is not None:
        for key in wanted.keys() - known.keys():
            vector = parent.vector_of(key)
            if vector is not None:
                known[key] = vector
    missing = [key for key in wanted if key not in known]

    def keep(positions: Sequence[int], vectors: Vectors) -> None:
        keys = [missing[position] for position in positions]
        cache.put(keys, vectors)
        known.update(zip(keys, vectors, strict=True))
        progress.advance(len(keys))

    encode_sorted(embedder, [wanted[key] for key in missing], keep)
    return known, len(missing)
