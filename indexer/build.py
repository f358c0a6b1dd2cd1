"""The one file that knows how a snapshot is made: scan, load, split, stage, embed, write, publish."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from indexer.accounting import Ledger, Tally
from indexer.cache import EmbeddingCache
from indexer.embed import DocumentEmbedder, SentenceTransformerEmbedder
from indexer.encoder import ensure_query_encoder
from indexer.load import LOADER_VERSION, load
from indexer.model import hash_embedder, locate, read_space
from indexer.parent import Parent, open_parent
from indexer.progress import Progress
from indexer.rows import write_rows
from indexer.settings import IndexerSettings
from indexer.sources import Quarantined, Source, SourceFile, parse_source, scan
from indexer.split import CountTokens, Splitter, token_counter, word_counter
from indexer.staging import Staging
from store.analyzer import Analyzer
from store.document import Document
from store.errors import InputError, SourceError, StoreCorrupt
from store.files import check_file, sha256_file
from store.index import IndexDirectory, now
from store.ledger import LedgerEntry, LedgerFile
from store.manifest import FORMAT_VERSION, Counts, Manifest, QueryEncoderEntry
from store.passages import Origin
from store.vectors import build_index, open_vectors


@dataclass(frozen=True, slots=True)
class Request:
    """What `footnote index` was asked to do.

    Args:
        sources: as given: PATH or NAME=PATH.
        add: keep what other sources brought.
        allow_empty: a source may be missing, or have nothing left.
        include, exclude: globs on relative paths.
    """

    sources: Sequence[str]
    add: bool = False
    allow_empty: bool = False
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did. `outcomes` counts ledger entries; `embedded` texts were embedded, `reused` came from before."""

    published: bool
    snapshot: str
    generation: int
    documents: int
    passages: int
    embedded: int
    reused: int
    outcomes: dict[str, int]
    problems: list[LedgerEntry]
    warnings: list[str]
    removed: list[str]


@dataclass(frozen=True, slots=True)
class _Tools:
    embedder: DocumentEmbedder
    model_folder: Path | None
    splitter: Splitter
    analyzer: Analyzer
    recipe: str


def build(index: IndexDirectory, request: Request, settings: IndexerSettings, progress: Progress) -> Report:
    """Bring the index up to date with its sources and publish what changed; nothing changed, nothing published.

    The old snapshot stays whole until the new one is; a run that is stopped resumes from the embedding cache.
    Raises SourceError (a source is missing or became empty), IndexLocked, WriteFailed, StoreCorrupt, UsageError.
    """
    tools = _tools(settings)
    sources = _sources(request)
    with index.lock():
        parent = open_parent(index)
        try:
            return _build(index, request, settings, progress, tools, sources, parent)
        finally:
            if parent is not None:
                parent.reader.close()


def _build(
    index: IndexDirectory,
    request: Request,
    settings: IndexerSettings,
    progress: Progress,
    tools: _Tools,
    sources: Sequence[Source],
    parent: Parent | None,
) -> Report:
    progress.phase("Looking for files")
    found = list(_scan(sources, request, tools.recipe, progress))
    encoder = _known_encoder(index, tools, parent)
    if parent is not None and encoder is not None and _unchanged(parent, found, sources, request, tools):
        return _nothing_to_do(parent, parent.tally)

    with index.build_folder() as folder:
        staging = Staging(folder / "staging.sqlite")
        cache = EmbeddingCache(
            index.cache / f"embeddings-{tools.embedder.space.fingerprint}.sqlite", tools.embedder.space.dimension
        )
        try:
            ledger, to_embed = _stage(found, sources, request, settings, tools, parent, staging, cache, progress)
            _refuse_emptied(sources, request, parent, ledger, staging)
            staging.write_ledger(folder / "ledger.jsonl")
            content = staging.content_sha256(folder / "ledger.jsonl")
            if parent is not None and encoder is not None and _same_content(parent, content, tools):
                return _nothing_to_do(parent, ledger.tally)
            progress.phase("Embedding", to_embed)
            same_space = parent if parent is not None and parent.manifest.space == tools.embedder.space else None
            embedded = write_rows(folder, staging, tools.embedder, tools.analyzer, cache, same_space, progress)
            progress.phase("Building the vector index")
            counts = (staging.documents, staging.passages)
            vectors = open_vectors(folder / "vectors.f32", counts[1], tools.embedder.space.dimension)
            chosen = build_index(vectors, folder / "vectors.faiss")
            if encoder is None:
                progress.phase("Exporting the query encoder")
                encoder = _make_encoder(index, tools, staging)
        finally:
            staging.close()
            cache.close()
            (folder / "staging.sqlite").unlink(missing_ok=True)
        progress.phase("Verifying and publishing")
        manifest = Manifest(
            format_version=FORMAT_VERSION,
            generation=index.next_generation(),
            parent=None if parent is None else parent.folder.name,
            created_at=now(),
            counts=Counts(documents=counts[0], passages=counts[1], quarantined=ledger.tally.outcomes["quarantined"]),
            files={},
            space=tools.embedder.space,
            query_encoders=[encoder],
            analyzer=tools.analyzer.name,
            splitter=tools.splitter.settings,
            vector_index=chosen,
            content_sha256=content,
        )
        published = index.publish(folder, manifest)
    removed = index.prune(settings.keep_generations)
    warnings = []
    if not chosen.meets_target:
        warnings.append(f"dense recall@10 is {chosen.recall_at_10} ({chosen.kind}), below the target of 0.99.")
    return Report(
        published=True,
        snapshot=published.name,
        generation=manifest.generation,
        documents=counts[0],
        passages=counts[1],
        embedded=embedded,
        reused=counts[1] - embedded,
        outcomes=dict(ledger.tally.outcomes),
        problems=ledger.tally.problems,
        warnings=warnings,
        removed=removed,
    )


def _tools(settings: IndexerSettings) -> _Tools:
    count: CountTokens
    model_free = hash_embedder(settings.embedding_model)
    embedder: DocumentEmbedder
    if model_free is not None:
        embedder, folder, count = model_free, None, word_counter
    else:
        folder = locate(settings.embedding_model)
        space = read_space(
            settings.embedding_model,
            folder,
            query_prefix=settings.query_prefix,
            document_prefix=settings.document_prefix,
        )
        embedder = SentenceTransformerEmbedder(folder, space, batch=settings.embedding_batch)
        count = token_counter(folder / "tokenizer.json")
    most = embedder.space.max_tokens - 2
    splitter = Splitter(count, min(settings.passage_tokens or most, most))
    recipe = f"{LOADER_VERSION}|{settings.base_url}|{splitter.settings}|{embedder.space.tokenizer_sha256}"
    return _Tools(
        embedder, folder, splitter, Analyzer(settings.language), hashlib.sha256(recipe.encode()).hexdigest()[:16]
    )


def _sources(request: Request) -> list[Source]:
    if not request.sources:
        raise SourceError("no source was given.", fix="Name a folder, a file or a .jsonl file.")
    result: list[Source] = []
    for text in request.sources:
        try:
            result.append(parse_source(text))
        except SourceError:
            if not request.allow_empty:
                raise
            name, _, path = text.rpartition("=")
            result.append(Source(name or Path(path).name, Path(path), "folder"))
    # By name: which of two documents with one id is kept must not depend on how the command was typed.
    return sorted(result, key=lambda source: (source.name, str(source.path)))


_Found = tuple[str, SourceFile | Quarantined, LedgerFile | None]
"""Source name, the file or why it is set aside, and its line in the ledger where it could be read."""


def _scan(sources: Sequence[Source], request: Request, recipe: str, progress: Progress) -> Iterator[_Found]:
    for source in sources:
        if request.allow_empty and not source.path.exists():
            continue
        for item in scan(source, request.include, request.exclude):
            progress.advance()
            if isinstance(item, Quarantined):
                yield source.name, item, None
                continue
            try:
                line = LedgerFile(source.name, item.relative, sha256_file(item.path), recipe)
            except OSError as error:
                reason = error.strerror or str(error)
                broken = Quarantined(item.input, "unreadable", f"{item.input}: cannot be read: {reason}.", item.input)
                yield source.name, broken, None
                continue
            yield source.name, item, line


def _unchanged(
    parent: Parent, found: Sequence[_Found], sources: Sequence[Source], request: Request, tools: _Tools
) -> bool:
    """Whether every file is the one read before, no file is missing, and the same space, analyzer and splitter hold."""
    names = {source.name for source in sources}
    known = {key: line for key, line in parent.files.items() if not request.add or key[0] in names}
    here = {(name, line.file): line for name, _, line in found if line is not None}
    set_aside = {(name, item.input) for name, item, line in found if line is None and isinstance(item, Quarantined)}
    before = {
        (entry.source, entry.input)
        for key, entries in parent.set_aside.items()
        if key not in parent.files and (not request.add or key[0] in names)
        for entry in entries
    }
    return known == here and set_aside == before and bool(here) and _same_tools(parent, tools)


def _same_tools(parent: Parent, tools: _Tools) -> bool:
    manifest = parent.manifest
    return (
        manifest.space == tools.embedder.space
        and manifest.analyzer == tools.analyzer.name
        and manifest.splitter == tools.splitter.settings
    )


def _same_content(parent: Parent, content: str, tools: _Tools) -> bool:
    return parent.manifest.content_sha256 == content and _same_tools(parent, tools)


def _stage(
    found: Sequence[_Found],
    sources: Sequence[Source],
    request: Request,
    settings: IndexerSettings,
    tools: _Tools,
    parent: Parent | None,
    staging: Staging,
    cache: EmbeddingCache,
    progress: Progress,
) -> tuple[Ledger, int]:
    """Stage every document, read anew or carried over, and account for every input."""
    ledger = Ledger(staging)
    to_embed = 0
    progress.phase("Reading and splitting", len(found))
    for name, item, line in found:
        progress.advance()
        if isinstance(item, Quarantined):
            ledger.set_aside(name, item.input, item)
            continue
        assert line is not None
        key = (name, item.relative)
        if parent is not None and parent.files.get(key) == line and not parent.gave_way(key):
            parent.carry_over(key, staging, ledger)
            continue
        ledger.file(line)
        for loaded in load(item, base_url=settings.base_url):
            if isinstance(loaded, Quarantined):
                ledger.set_aside(name, item.relative, loaded)
            else:
                to_embed += _add(
                    loaded, Origin(name, item.relative, _input_of(item, loaded)), tools, staging, cache, ledger
                )
    if request.add and parent is not None:
        given = {source.name for source in sources}
        for key in sorted(parent.files.keys() | parent.set_aside.keys()):
            if key[0] not in given:
                parent.carry_over(key, staging, ledger)
    return ledger, to_embed


def _add(
    document: Document, origin: Origin, tools: _Tools, staging: Staging, cache: EmbeddingCache, ledger: Ledger
) -> int:
    """Split and stage one document; returns how many texts the cache does not have a vector for."""
    try:
        version = document.version
    except InputError as error:
        refused = Quarantined(origin.input, error.reason, f"{origin.input}: {error.message}", document.id)
        ledger.set_aside(origin.source, origin.file, refused)
        return 0
    spans = tools.splitter.split(document)
    ledger.staged(staging.add(document, version, origin, spans), document.id, origin)
    return cache.missing(list({span.embedded_hash for span in spans}))


def _input_of(file: SourceFile, document: Document) -> str:
    return file.input if document.id == file.input else f"{file.input}#{document.id}"


def _refuse_emptied(
    sources: Sequence[Source], request: Request, parent: Parent | None, ledger: Ledger, staging: Staging
) -> None:
    """A source that had documents and now has none is more likely unmounted than emptied."""
    if request.allow_empty:
        return
    now_there = ledger.tally.sources_with_documents
    before = set() if parent is None else parent.tally.sources_with_documents
    for source in sources:
        if source.name in before and source.name not in now_there:
            raise SourceError(
                f"source {source.name!r} ({source.path}) had documents and now has none; nothing was published.",
                fix="If that is meant, run again with --allow-empty.",
            )
    if staging.documents == 0:
        reasons = "; ".join(str(entry.message) for entry in ledger.tally.problems[:3]) or "no files were found"
        raise SourceError(
            f"there is nothing to index: {reasons}.", fix="Check the sources, or run again with --allow-empty."
        )


def _known_encoder(index: IndexDirectory, tools: _Tools, parent: Parent | None) -> QueryEncoderEntry | None:
    """The parent's query encoder, if it is of this space and its files are whole."""
    if parent is None or parent.manifest.space != tools.embedder.space or not parent.manifest.query_encoders:
        return None
    entry = parent.manifest.query_encoders[0]
    try:
        for name, file in entry.files.items():
            check_file(index.encoders / str(entry.folder) / name, sha256=file.sha256, size=file.size)
    except StoreCorrupt:
        return None
    return entry


def _make_encoder(index: IndexDirectory, tools: _Tools, staging: Staging) -> QueryEncoderEntry:
    if not isinstance(tools.embedder, SentenceTransformerEmbedder) or tools.model_folder is None:
        return QueryEncoderEntry(kind="hash")
    samples: list[str] = []
    for staged in staging.in_row_order():
        samples.extend(staged.document.text[span.start : span.end] for span in staged.spans[:2])
        if len(samples) >= 32:
            break
    return ensure_query_encoder(index.encoders, tools.embedder, tools.model_folder, samples[:32])


def _nothing_to_do(parent: Parent, tally: Tally) -> Report:
    counts = parent.manifest.counts
    return Report(
        published=False,
        snapshot=parent.folder.name,
        generation=parent.manifest.generation,
        documents=counts.documents,
        passages=counts.passages,
        embedded=0,
        reused=counts.passages,
        outcomes=dict(tally.outcomes),
        problems=tally.problems,
        warnings=[],
        removed=[],
    )
