"""Writing rows: staged documents to passages, terms and vectors, window by window, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from indexer.staging import StagedDocument, Staging
from indexer.vectors import VectorSource
from store.analyzer import Analyzer
from store.document import embedded_text, passage_id
from store.passages import PassageWriter
from store.terms import TermWriter

WINDOW_PASSAGES = 4096
"""Passages looked up, sorted by length and embedded together."""


def write_rows(
    folder: Path,
    staging: Staging,
    source: VectorSource,
    analyzer: Analyzer,
) -> None:
    """Write passages.sqlite, terms/ and vectors.f32 below `folder`, in row order."""
    passages = PassageWriter(folder / "passages.sqlite")
    terms = TermWriter(folder / "terms", staging.passages)
    with (folder / "vectors.f32").open("wb") as vectors:
        for window in _windows(staging):
            texts: list[str] = []
            for staged in window:
                document = staged.document
                ids = []
                for span in staged.spans:
                    text = document.text[span.start : span.end]
                    ids.append(passage_id(document.id, text, span.start, span.end))
                    texts.append(embedded_text(document.title, span.section, text))
                    terms.add(analyzer.terms(texts[-1]))
                passages.add(document, staged.version, staged.origin, staged.spans, ids)
            vectors.write(np.asarray(source.vectors_of(window, texts), "<f4").tobytes())
    passages.finish()
    terms.finish()


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
