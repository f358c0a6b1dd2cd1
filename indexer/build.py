"""The one file that knows how a snapshot is made: scan, load, split, stage, embed, write, publish."""

from __future__ import annotations

import hashlib
import itertools
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
from indexer.sources import Quarantined, Source, SourceFile, is_jsonl, parse_source, scan
from indexer.split import CountTokens, Splitter, WholeText, token_counter, word_counter
from indexer.staging import Staging
from indexer.vectors import Embedding, GivenVectors, VectorSource, require_parity, unknown_space
from store.analyzer import Analyzer
from store.document import Document, embedded_text
from store.embedding import EmbeddingSpace
from store.errors import InputError, SourceError, StoreCorrupt, UsageError
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
        vectors: a .npy file with the vector of each line of the one JSONL source.
        vectors_model: the model that made them; absent, only vectors can be asked for.
    """

    sources: Sequence[str]
    add: bool = False
    allow_empty: bool = False
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    vectors: Path | None = None
    vectors_model: str | None = None


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
    """What a build works with. Without an embedder the vectors are given; so they are where `given` is set."""

    space: EmbeddingSpace
    embedder: DocumentEmbedder | None
    model_folder: Path | None
    given: GivenVectors | None
    splitter: Splitter | WholeText
    analyzer: Analyzer
    recipe: str


def build(index: IndexDirectory, request: Request, settings: IndexerSettings, progress: Progress) -> Report:
    """Bring the index up to date with its sources and publish what changed; nothing changed, nothing published.

    The old snapshot stays whole until the new one is; a run that is stopped resumes from the embedding cache.
    Raises SourceError (a source is missing or became empty), IndexLocked, WriteFailed, StoreCorrupt, UsageError.
    """
    tools = _tools(settings, request)
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
    kinds = [is_jsonl(item.path.name) for _, item, _ in found if isinstance(item, SourceFile)]
    if tools.given is not None and (len(found) > 1 or not all(kinds)):
        raise UsageError(f"--vectors goes with exactly one source, a JSONL file; found {sources[0].path}.")
    encoder = _known_encoders(index, tools, parent)
    if parent is not None and encoder is not None and _unchanged(parent, found, sources, request, tools):
        return _nothing_to_do(parent, parent.tally)

    with index.build_folder() as folder:
        staging = Staging(folder / "staging.sqlite")
        cache = None if tools.given else _cache(index, tools.space)
        try:
            ledger, to_embed = _stage(found, sources, request, settings, tools, parent, staging, cache, progress)
            _refuse_emptied(sources, request, parent, ledger, staging)
            staging.write_ledger(folder / "ledger.jsonl")
            content = staging.content_sha256(folder / "ledger.jsonl")
            if parent is not None and encoder is not None and _same_content(parent, content, tools):
                return _nothing_to_do(parent, ledger.tally)
            _require_parity(tools, staging)
            progress.phase("Embedding", to_embed)
            vector_source = _vector_source(tools, cache, parent, progress)
            write_rows(folder, staging, vector_source, tools.analyzer)
            progress.phase("Building the vector index")
            counts = (staging.documents, staging.passages)
            vectors = open_vectors(folder / "vectors.f32", counts[1], tools.space.dimension)
            chosen = build_index(vectors, folder / "vectors.faiss")
            if encoder is None:
                progress.phase("Exporting the query encoder")
                encoder = _make_encoders(index, tools, staging)
        finally:
            staging.close()
            if cache is not None:
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
            space=tools.space,
            query_encoders=encoder,
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
        embedded=vector_source.embedded,
        reused=0 if tools.given else counts[1] - vector_source.embedded,
        outcomes=dict(ledger.tally.outcomes),
        problems=ledger.tally.problems,
        warnings=warnings,
        removed=removed,
    )


def _tools(settings: IndexerSettings, request: Request) -> _Tools:
    given = None
    if request.vectors is None and request.vectors_model is not None:
        raise UsageError("--vectors-model says what made --vectors.", fix="Give both, or --embedding-model.")
    if request.vectors is not None:
        if request.add or len(request.sources) != 1:
            raise UsageError("--vectors goes with exactly one source, a JSONL file, and not with --add.")
        given = GivenVectors(request.vectors)
        if request.vectors_model is None:
            space = unknown_space(given.dimension)
            return _with_splitter(settings, space, None, None, given, WholeText())
        settings = settings.model_copy(update={"embedding_model": request.vectors_model})
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
    splitter = WholeText() if given else Splitter(count, min(settings.passage_tokens or most, most))
    return _with_splitter(settings, embedder.space, embedder, folder, given, splitter)


def _with_splitter(
    settings: IndexerSettings,
    space: EmbeddingSpace,
    embedder: DocumentEmbedder | None,
    folder: Path | None,
    given: GivenVectors | None,
    splitter: Splitter | WholeText,
) -> _Tools:
    recipe = f"{LOADER_VERSION}|{settings.base_url}|{splitter.settings}|{space.tokenizer_sha256}"
    if given is not None:  # other vectors make another index of the same lines
        recipe += f"|{given.sha256}"
    digest = hashlib.sha256(recipe.encode()).hexdigest()[:16]
    return _Tools(space, embedder, folder, given, splitter, Analyzer(settings.language), digest)


def _cache(index: IndexDirectory, space: EmbeddingSpace) -> EmbeddingCache:
    return EmbeddingCache(index.cache / f"embeddings-{space.fingerprint}.sqlite", space.dimension)


def _vector_source(
    tools: _Tools, cache: EmbeddingCache | None, parent: Parent | None, progress: Progress
) -> VectorSource:
    if tools.given is not None:
        return tools.given
    assert tools.embedder is not None
    assert cache is not None
    same_space = parent if parent is not None and parent.manifest.space == tools.space else None
    return Embedding(tools.embedder, cache, same_space, progress)


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
        manifest.space == tools.space
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
    cache: EmbeddingCache | None,
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
        if (
            parent is not None
            and parent.files.get(key) == line
            and not parent.gave_way(key)
            and tools.given is None  # which line a document was is not kept
        ):
            parent.carry_over(key, staging, ledger)
            continue
        ledger.file(line)
        number = -1
        for number, loaded in enumerate(load(item, base_url=settings.base_url)):
            if isinstance(loaded, Quarantined):
                ledger.set_aside(name, item.relative, loaded)
            else:
                origin = Origin(name, item.relative, _input_of(item, loaded))
                to_embed += _add(loaded, origin, number, tools, staging, cache, ledger)
        if tools.given is not None and number + 1 != len(tools.given):
            raise SourceError(
                f"{tools.given.path} has {len(tools.given)} rows, and {item.input} has {number + 1} lines; "
                "nothing was published.",
                fix="There must be one row for each line that is not blank, in the same order.",
            )
    if request.add and parent is not None:
        given = {source.name for source in sources}
        for key in sorted(parent.files.keys() | parent.set_aside.keys()):
            if key[0] not in given:
                parent.carry_over(key, staging, ledger)
    return ledger, to_embed


def _add(
    document: Document,
    origin: Origin,
    line: int,
    tools: _Tools,
    staging: Staging,
    cache: EmbeddingCache | None,
    ledger: Ledger,
) -> int:
    """Split and stage one document; returns how many texts the cache does not have a vector for."""
    try:
        version = document.version
        if tools.given is not None and line < len(tools.given):
            tools.given.check_line(line)
    except InputError as error:
        refused = Quarantined(origin.input, error.reason, f"{origin.input}: {error.message}", document.id)
        ledger.set_aside(origin.source, origin.file, refused)
        return 0
    spans = tools.splitter.split(document)
    outcome = staging.add(document, version, origin, spans, None if tools.given is None else line)
    ledger.staged(outcome, document.id, origin)
    return 0 if cache is None else cache.missing(list({span.embedded_hash for span in spans}))


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


def _known_encoders(index: IndexDirectory, tools: _Tools, parent: Parent | None) -> list[QueryEncoderEntry] | None:
    """The parent's query encoders, if they are of this space and their files are whole; none are wanted where no model
    is known.
    """
    if tools.embedder is None:
        return []
    if parent is None or parent.manifest.space != tools.space or not parent.manifest.query_encoders:
        return None
    entry = parent.manifest.query_encoders[0]
    try:
        for name, file in entry.files.items():
            check_file(index.encoders / str(entry.folder) / name, sha256=file.sha256, size=file.size)
    except StoreCorrupt:
        return None
    return [entry]


def _make_encoders(index: IndexDirectory, tools: _Tools, staging: Staging) -> list[QueryEncoderEntry]:
    if not isinstance(tools.embedder, SentenceTransformerEmbedder) or tools.model_folder is None:
        return [QueryEncoderEntry(kind="hash")]
    samples: list[str] = []
    for staged in staging.in_row_order():
        samples.extend(staged.document.text[span.start : span.end] for span in staged.spans[:2])
        if len(samples) >= 32:
            break
    return [ensure_query_encoder(index.encoders, tools.embedder, tools.model_folder, samples[:32])]


def _require_parity(tools: _Tools, staging: Staging) -> None:
    """Believe that given vectors are the named model's only after comparing a few of them."""
    if tools.given is None or tools.embedder is None:
        return
    sample = list(itertools.islice(staging.in_row_order(), 16))
    texts = [staged.document.text for staged in sample]
    headed = [embedded_text(staged.document.title, (), staged.document.text) for staged in sample]
    require_parity(tools.embedder, texts, headed, tools.given.vectors_of(sample, texts))


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
