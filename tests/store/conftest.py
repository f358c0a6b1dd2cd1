"""One collection behind every implementation of the `Snapshot` protocol."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from store.analyzer import Analyzer
from store.document import Document, embedded_text, passage_id
from store.embedding import HashEmbedder, Vectors
from store.exact import ExactEntry, ExactSnapshot
from store.index import list_files
from store.local import LocalSnapshot
from store.manifest import Counts, Manifest, SplitterSettings
from store.passages import Origin, PassageWriter, Span
from store.terms import TermWriter
from store.vectors import build_index, open_vectors

DIMENSION = 16


@dataclass
class Collection:
    """Documents, their spans and vectors, and how each implementation is made of them."""

    documents: list[tuple[Document, list[Span]]]
    vectors: Vectors | None = None
    dimension: int = DIMENSION

    def __post_init__(self):
        self.documents.sort(key=lambda pair: pair[0].id)
        self.encoder = HashEmbedder(self.dimension)
        self.analyzer = Analyzer.for_documents((one.title, one.text) for one, _ in self.documents)
        self.texts = [
            embedded_text(document.title, span.section, document.text[span.start : span.end])
            for document, spans in self.documents
            for span in spans
        ]
        self.ids = [
            passage_id(document.id, document.text[span.start : span.end], span.start, span.end)
            for document, spans in self.documents
            for span in spans
        ]
        if self.vectors is None:
            self.vectors = self.encoder.encode_documents(self.texts)

    def exact(self) -> ExactSnapshot:
        entries, at = [], 0
        for document, spans in self.documents:
            entries.append(ExactEntry(document, spans, self.vectors[at : at + len(spans)]))
            at += len(spans)
        return ExactSnapshot(entries[::-1], self.encoder.space, self.analyzer)  # any order will do

    def local(self, folder: Path, executor) -> LocalSnapshot:
        folder.mkdir(parents=True)
        writer, terms, at = PassageWriter(folder / "passages.sqlite"), TermWriter(folder / "terms", len(self.ids)), 0
        for document, spans in self.documents:
            ids = self.ids[at : at + len(spans)]
            writer.add(document, document.version, Origin("s", "f", document.id), spans, ids)
            at += len(spans)
        for document, spans in self.documents:
            language = self.analyzer.language_of(document.title, document.text)
            for span in spans:
                text = document.text[span.start : span.end]
                terms.add(self.analyzer.terms(embedded_text(document.title, span.section, text), language))
        writer.finish()
        terms.finish()
        (folder / "vectors.f32").write_bytes(np.asarray(self.vectors, "<f4").tobytes())
        raw = open_vectors(folder / "vectors.f32", len(self.ids), self.dimension)
        chosen = build_index(raw, folder / "vectors.faiss")
        manifest = Manifest(
            format_version=1,
            generation=1,
            parent=None,
            created_at="2026-01-01T00:00:00+00:00",
            counts=Counts(documents=len(self.documents), passages=len(self.ids)),
            files=list_files(folder),
            space=self.encoder.space,
            query_encoders=[],
            analyzer=self.analyzer.name,
            splitter=SplitterSettings(version=1, passage_tokens=254, header_tokens_max=63),
            vector_index=chosen,
            content_sha256="0" * 64,
        )
        data = manifest.to_bytes()
        (folder / "manifest.json").write_bytes(data)
        return LocalSnapshot(folder, executor, manifest_sha256=hashlib.sha256(data).hexdigest())


@pytest.fixture(scope="session")
def collection():
    """Makes a collection of (document, spans) pairs."""
    return Collection


@pytest.fixture(scope="session")
def executor():
    with ThreadPoolExecutor(2) as pool:
        yield pool
