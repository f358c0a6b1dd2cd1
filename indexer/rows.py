"""Writing rows: staged documents to passages, terms and vectors, window by window, so that memory stays bounded.

Embedding keeps the cores busy and lets go of Python's lock, so passages and terms are written beside it, in a thread.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from indexer.progress import Progress
from indexer.staging import StagedDocument, Staging
from indexer.vectors import VectorSource
from store.analyzer import Analyzer
from store.document import embedded_text, passage_id
from store.passages import PassageWriter
from store.terms import TermWriter

WINDOW_PASSAGES = 16_384
"""Passages looked up, sorted by length and embedded together."""

_SWITCH_S = 1e-4  # Python's 5 ms would hold up each of the hundreds of operations that embedding a batch is made of


def write_rows(
    folder: Path,
    staging: Staging,
    source: VectorSource,
    analyzer: Analyzer,
    progress: Progress,
    *,
    header: bool,
) -> None:
    """Write passages.sqlite, terms/ and vectors.f32 below `folder`, in row order; `progress` is told of passages.

    `header`: whether the terms of title and section path are a passage's too.
    """
    stop = threading.Event()
    with _switching_often(), ThreadPoolExecutor(1, "footnote-rows") as executor:
        texts = executor.submit(_write_texts, folder, staging, analyzer, progress, stop, header=header)
        try:
            _write_vectors(folder, staging, source, texts)
        except BaseException:  # Ctrl-C too
            stop.set()
            raise
        texts.result()


@contextmanager
def _switching_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _write_texts(
    folder: Path, staging: Staging, analyzer: Analyzer, progress: Progress, stop: threading.Event, *, header: bool
) -> None:
    """passages.sqlite and terms/; gives up when told to stop."""
    passages = PassageWriter(folder / "passages.sqlite")
    terms = TermWriter(folder / "terms", staging.passages)
    for staged in staging.in_row_order():
        if stop.is_set():
            return
        document = staged.document
        language = analyzer.language(staged.language)
        ids = []
        for span in staged.spans:
            text = document.text[span.start : span.end]
            ids.append(passage_id(document.id, text, span.start, span.end))
            terms.add(analyzer.terms(embedded_text(document.title, span.section, text, header=header), language))
        passages.add(document, staged.version, staged.origin, staged.spans, ids)
        progress.advance(len(ids))
    passages.finish()
    terms.finish()


def _write_vectors(folder: Path, staging: Staging, source: VectorSource, texts: Future[None]) -> None:
    """vectors.f32; gives up as soon as `texts` has failed, rather than embed for an hour in vain."""
    with (folder / "vectors.f32").open("wb") as vectors:
        for window in _windows(staging):
            vectors.write(np.asarray(source.vectors_of(window), "<f4").tobytes())
            if texts.done():
                texts.result()


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
