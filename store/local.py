"""The local snapshot: FAISS, tantivy and SQLite files of one published folder behind the `Snapshot` protocol."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import TypeVar

import numpy as np

from store.analyzer import Analyzer
from store.embedding import ENCODER_FILES, HashEmbedder, OnnxEncoder, Precision, QueryEncoder, Vectors
from store.errors import FormatUnsupported, IndexMissing, LegUnavailable, SpaceMismatch, StoreCorrupt, UsageError
from store.files import SharedHold, check_file, read_regular
from store.filters import Filter
from store.manifest import Manifest, QueryEncoderEntry, parse_manifest
from store.passages import PassageReader, StoredDocument, StoredPassage
from store.selection import Selector
from store.snapshot import Hit, LegQuery, LegScores, Principals, SnapshotFacts, Vector, may_read
from store.terms import TermIndex
from store.vectors import DenseIndex, Ranking, open_vectors

HASH_ALL_BYTES_MAX = 512_000_000
"""Up to this many bytes in all, opening hashes every file; beyond, only what FAISS parses, and sizes."""

T = TypeVar("T")


def read_manifest(folder: Path, expected_sha256: str | None = None) -> Manifest:
    """The manifest of a snapshot folder, checked against its sha256 (from CURRENT) or the folder's own name."""
    path = folder / "manifest.json"
    try:
        data = read_regular(path)
    except FileNotFoundError as error:
        raise StoreCorrupt(str(path), "a manifest", "no file") from error
    except OSError as error:
        raise StoreCorrupt(str(path), "a manifest", f"no readable file ({error.strerror})") from error
    found = hashlib.sha256(data).hexdigest()
    expected = expected_sha256 or folder.name.rpartition("-")[2]
    if not found.startswith(expected):
        raise StoreCorrupt(str(path), f"sha256 {expected}", f"sha256 {found}")
    return parse_manifest(data, str(path))


def verify_files(folder: Path, manifest: Manifest, *, full: bool) -> None:
    """Check the snapshot's files against its manifest: every sha256 if `full`, else of what FAISS parses; all sizes.

    Raises StoreCorrupt naming the first file that is wrong, missing or not listed.
    """
    for name, entry in manifest.files.items():
        check_file(folder / name, sha256=entry.sha256, size=entry.size, full=full or name.endswith(".faiss"))
    _refuse_extra(folder, manifest.files.keys() | {"manifest.json"})


def _refuse_extra(folder: Path, known: AbstractSet[str]) -> None:
    for path in sorted(folder.rglob("*")):
        is_folder = path.is_dir() and not path.is_symlink()
        if not is_folder and str(path.relative_to(folder)) not in known:
            raise StoreCorrupt(str(path), "no such file in the manifest", "a file")


class LocalSnapshot:
    """An opened snapshot folder. Hold it for a whole request; `close()` when the last one ended.

    Args:
        folder: `INDEX/snapshots/NNNNNN-xxxxxxxx`.
        executor: where its blocking work runs; the caller owns it.
        manifest_sha256: from CURRENT, if it came that way.
        full: hash every file whatever its size (`verify`, publish); by default as HASH_ALL_BYTES_MAX says.
    """

    def __init__(
        self, folder: Path, executor: Executor, *, manifest_sha256: str | None = None, full: bool = False
    ) -> None:
        if not folder.is_dir():
            raise IndexMissing(f"there is no snapshot at {folder}.", fix="Run `footnote index SOURCE`.")
        self.folder = folder
        self._executor = executor
        self._guard = threading.Lock()
        self._running = 0
        self._closed = False
        try:
            self._hold = SharedHold(folder / "manifest.json")
        except OSError as error:
            raise StoreCorrupt(str(folder / "manifest.json"), "a manifest", f"no readable file ({error})") from error
        try:
            self.manifest = manifest = read_manifest(folder, manifest_sha256)
            small = sum(entry.size for entry in manifest.files.values()) <= HASH_ALL_BYTES_MAX
            self.fully_verified = full or small
            verify_files(folder, manifest, full=self.fully_verified)
            self._facts = _facts(manifest, folder.name)
            self._analyzer = _analyzer(manifest, folder)
            self._vectors = open_vectors(folder / "vectors.f32", manifest.counts.passages, manifest.space.dimension)
            self._dense = DenseIndex.open(folder / "vectors.faiss", manifest.vector_index, self._vectors)
            self.reader = PassageReader(folder / "passages.sqlite")
            self._terms = TermIndex(folder / "terms", manifest.counts.passages)
            expected = (manifest.counts.documents, manifest.counts.passages)
            if tuple(self.reader.counts) != expected:
                raise StoreCorrupt(
                    str(folder / "passages.sqlite"), f"{expected} (documents, passages)", f"{self.reader.counts}"
                )
            self._selector = _selector(self.reader, folder / "passages.sqlite")
            if full:  # before it is published, imported or rolled back to
                self._dense.try_out(folder / "vectors.faiss")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release files and the shared hold; calling it twice is harmless.

        Work that is still on the executor, abandoned by whoever asked for it, is let finish first; it releases then.
        """
        with self._guard:
            self._closed = True
            if self._running:
                return
        self._release()

    def _release(self) -> None:
        reader: PassageReader | None = getattr(self, "reader", None)
        if reader is not None:
            reader.close()
        self._hold.release()

    @property
    def facts(self) -> SnapshotFacts:
        """Generation, counts, fingerprint, smallest scores."""
        return self._facts

    def warm(self) -> None:
        """Ask both legs once, so that maps and indexes are in memory. Blocking."""
        somewhere = np.ones(self.manifest.space.dimension, np.float32)  # nothing lies nearest to zeros: all is scored
        self._dense.search(somewhere, 1, None)
        self._terms.search(self._analyzer.question_terms("warm up"), 1, None)

    async def dense(self, vector: Vector, k: int, filter: Filter | None, principals: Principals) -> list[Hit]:  # noqa: A002
        """The k passages nearest to `vector`, best first, ties in row order. Raises SpaceMismatch on its shape."""
        if vector.shape != (self.manifest.space.dimension,):
            raise SpaceMismatch("dimension", self.manifest.space.dimension, vector.shape)

        def search() -> list[Hit]:
            return self._hits(self._dense.search(vector, k, self._selector.mask(filter, principals)))

        return await self._run(search)

    async def lexical(self, text: str, k: int, filter: Filter | None, principals: Principals) -> list[Hit]:  # noqa: A002
        """The k best passages by BM25, best first, ties in row order; never one that shares no term."""

        def search() -> list[Hit]:
            terms = self._analyzer.question_terms(text)
            return self._hits(self._terms.search(terms, k, self._selector.mask(filter, principals)))

        return await self._run(search)

    async def score(self, query: LegQuery, passage_ids: Sequence[str]) -> list[LegScores]:
        """Exact scores of given passages, in the order given; raises KeyError for an unknown id."""

        def score() -> list[LegScores]:
            by_id = self.reader.rows_of_ids(passage_ids)
            rows = np.array([by_id[passage_id] for passage_id in passage_ids], np.int64)
            nothing: list[float | None] = [None] * len(rows)
            dense = nothing if query.vector is None else self._dense.scores(query.vector, rows).tolist()
            lexical = (
                nothing
                if query.text is None
                else self._terms.scores(self._analyzer.question_terms(query.text), rows).tolist()
            )
            return [LegScores(*pair) for pair in zip(dense, lexical, strict=True)]

        return await self._run(score)

    async def passage_ids(self, document_id: str, principals: Principals) -> list[str]:
        """Ids of a document's passages, in order of their start; none where no such document may be read."""

        def read() -> list[str]:
            found = self.reader.passage_ids(document_id)
            first = self.reader.passages(found[:1]).values()
            return found if any(may_read(one.document.access, principals) for one in first) else []

        return await self._run(read)

    async def vectors(self, passage_ids: Sequence[str]) -> Vectors:
        """Stored vectors, float32, shape (ids, dimension), in the order given; raises KeyError for an unknown id."""

        def read() -> Vectors:
            by_id = self.reader.rows_of_ids(passage_ids)
            rows = np.array([by_id[passage_id] for passage_id in passage_ids], np.int64)
            return np.asarray(self._vectors[rows], np.float32)

        return await self._run(read)

    async def term_weights(self, text: str) -> Mapping[str, float]:
        """The terms of `text` in any of the index's languages, with their inverse passage frequency."""

        def weigh() -> dict[str, float]:
            return {term: self._terms.inverse_frequency(term) for term in self._analyzer.all_terms(text)}

        return await self._run(weigh)

    async def passages(self, ids: Sequence[str], principals: Principals) -> Mapping[str, StoredPassage]:
        """The passages that exist and may be read, by id."""

        def read() -> dict[str, StoredPassage]:
            found = self.reader.passages(ids)
            return {key: one for key, one in found.items() if may_read(one.document.access, principals)}

        return await self._run(read)

    async def document(
        self,
        *,
        id: str | None = None,  # noqa: A002
        version: str | None = None,
        principals: Principals,
    ) -> StoredDocument | None:
        """The document with this id and version (either may be left out), if it exists and may be read."""

        def read() -> StoredDocument | None:
            readable = (
                one for one in self.reader.document(id=id, version=version) if may_read(one.header.access, principals)
            )
            return next(readable, None)

        return await self._run(read)

    def _hits(self, ranking: Ranking) -> list[Hit]:
        rows, scores = ranking
        return [
            Hit(passage_id, score)
            for passage_id, score in zip(self.reader.ids_of_rows(rows.tolist()), scores.tolist(), strict=True)
        ]

    async def _run(self, work: Callable[[], T]) -> T:
        with self._guard:
            if self._closed:
                raise LegUnavailable("closed", "the snapshot was closed")
            self._running += 1
        try:
            running = self._executor.submit(work)
        except BaseException:
            self._ended(None)
            raise
        running.add_done_callback(self._ended)  # also where it was cancelled before it began
        return await asyncio.wrap_future(running)

    def _ended(self, _running: Future[T] | None) -> None:
        with self._guard:
            self._running -= 1
            last = self._closed and not self._running
        if last:
            self._release()


def open_query_encoder(
    index: Path, manifest: Manifest, *, threads: int = 1, precisions: Sequence[Precision] = ("fp32",)
) -> QueryEncoder | None:
    """The query encoder that the manifest admits, its files checked; None where it admits none.

    Args:
        index, manifest: of what is served.
        threads: for one call.
        precisions: which weights: the first of these that is admitted.

    Raises UsageError where weights of none of them are admitted.
    """
    check_query_encoder(index, manifest)
    for entry in manifest.query_encoders:
        if entry.kind == "hash":
            return HashEmbedder(manifest.space.dimension)
        admitted = [one for one in precisions if ENCODER_FILES[one] in entry.files]
        if not admitted:
            raise _not_admitted(precisions[0], manifest, entry)
        return OnnxEncoder(_encoder_folder(index, entry), manifest.space, threads=threads, precision=admitted[0])
    return None


def _not_admitted(precision: Precision, manifest: Manifest, entry: QueryEncoderEntry) -> UsageError:
    wanted = f"query_precision is {precision}, but generation {manifest.generation} admits no such query encoder"
    parity = entry.parity_cosine_min_int8
    if parity is None:
        again = f"remove encoders/{entry.folder} in the index and run `footnote index` again"
        return UsageError(f"{wanted}: none was exported.", fix=f"Set query_precision=fp32, or {again}.")
    return UsageError(
        f"{wanted}: its least cosine to the model was {parity}.",
        fix="Set query_precision=fp32.",
    )


def check_query_encoder(index: Path, manifest: Manifest) -> None:
    """Check every byte of the query encoder that the manifest admits, if any. Raises StoreCorrupt, SpaceMismatch."""
    for entry in manifest.query_encoders[:1]:
        if entry.kind == "hash":
            manifest.space.require_same(HashEmbedder(manifest.space.dimension).space)
            continue
        folder = _encoder_folder(index, entry)
        for name, file in entry.files.items():
            check_file(folder / name, sha256=file.sha256, size=file.size)
        _refuse_extra(folder, entry.files.keys() | {"encoder.json"})


def _encoder_folder(index: Path, entry: QueryEncoderEntry) -> Path:
    return index / "encoders" / str(entry.folder)


def _facts(manifest: Manifest, name: str) -> SnapshotFacts:
    return SnapshotFacts(
        generation=manifest.generation,
        name=name,
        documents=manifest.counts.documents,
        passages=manifest.counts.passages,
        space=manifest.space,
        analyzer=manifest.analyzer,
        recall_at_10=manifest.vector_index.recall_at_10,
    )


def _selector(reader: PassageReader, path: Path) -> Selector:
    try:
        return Selector(reader)
    except (IndexError, TypeError, ValueError, sqlite3.Error) as error:
        raise StoreCorrupt(str(path), "access lists of its documents", str(error)) from error


def _analyzer(manifest: Manifest, folder: Path) -> Analyzer:
    try:
        return Analyzer.from_name(manifest.analyzer)
    except ValueError as error:
        raise FormatUnsupported(f"{folder / 'manifest.json'} (analyzer)", Analyzer().name, manifest.analyzer) from error
