"""The one file that knows how a snapshot is made: scan, load, split, stage, embed, write, publish."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import itemgetter

from indexer.accounting import Ledger, Tally
from indexer.cache import EmbeddingCache
from indexer.embed import SentenceTransformerEmbedder
from indexer.encoder import ensure_query_encoder
from indexer.erasure import finish_forgetting
from indexer.gave_way import FILE_NAME as GAVE_WAY
from indexer.intake import Intake
from indexer.parent import FileKey, Parent, open_parent
from indexer.progress import Progress, Silent
from indexer.rows import write_rows
from indexer.settings import IndexerSettings
from indexer.sources import Quarantined, Source, SourceFile, is_jsonl
from indexer.staging import Staging
from indexer.survey import Found, parse_sources, survey
from indexer.tools import Request, Tools, make_tools
from indexer.vectors import Embedding, VectorSource, require_parity
from store.analyzer import Analyzer, detects_latest
from store.document import embedded_text
from store.embedding import EmbeddingSpace
from store.errors import SourceError, StoreCorrupt, UsageError
from store.files import check_file
from store.forgotten import read_forgotten
from store.index import IndexDirectory, now
from store.ledger import LedgerEntry, LedgerFile
from store.manifest import FORMAT_VERSION, Counts, Manifest, QueryEncoderEntry
from store.vectors import build_index, open_vectors

__all__ = ["Report", "Request", "build"]


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


def build(index: IndexDirectory, request: Request, settings: IndexerSettings, progress: Progress) -> Report:
    """Bring the index up to date with its sources and publish what changed; nothing changed, nothing published.

    The old snapshot stays whole until the new one is; a run that is stopped resumes from the embedding cache.
    Raises SourceError (a source is missing or became empty), IndexLocked, WriteFailed, StoreCorrupt, UsageError.
    """
    tools = make_tools(settings, request)
    sources = parse_sources(request)
    with index.lock():
        warnings: list[str] = []
        parent = _unless_damaged(request, warnings, lambda: open_parent(index))
        try:
            report = _build(index, request, settings, progress, tools, sources, parent, warnings)
        finally:
            if parent is not None:
                parent.close()
        erased = finish_forgetting(index, progress)
        return replace(report, removed=[*report.removed, *erased])


def _build(
    index: IndexDirectory,
    request: Request,
    settings: IndexerSettings,
    progress: Progress,
    tools: Tools,
    sources: Sequence[Source],
    parent: Parent | None,
    warnings: list[str],
) -> Report:
    progress.phase("Looking for files")
    forgotten = read_forgotten(index.forgotten_file)
    found = list(survey(sources, request, tools.recipe, index.path, forgotten, progress))
    kinds = [is_jsonl(item.path.name) for _, item, _ in found if isinstance(item, SourceFile)]
    if tools.given is not None and (len(found) > 1 or not all(kinds)):
        raise UsageError(f"--vectors goes with exactly one source, a JSONL file; found {sources[0].path}.")
    encoder = _known_encoders(index, tools, parent)
    if parent is not None and encoder is not None and _unchanged(parent, found, sources, request, tools):
        return _nothing_to_do(parent, parent.tally)
    if parent is not None:
        parent = _unless_damaged(request, warnings, parent.verified)
        encoder = encoder if parent is not None else None

    with index.build_folder() as folder:
        staging = Staging(folder / "staging.sqlite", detects=tools.analyzer is None)
        cache = None if tools.given else _cache(index, tools.space)
        try:
            intake = Intake(
                tools.splitter,
                tools.space,
                tools.given,
                settings.base_url,
                staging,
                cache,
                parent,
                forgotten,
                progress,
            )
            ledger = intake.ledger
            _take_in(intake, found, sources, request, tools, parent, progress)
            staging.commit()
            _refuse_emptied(sources, found, request, parent, ledger, staging)
            staging.write_ledger(folder / "ledger.jsonl")
            content = staging.content_sha256(folder / "ledger.jsonl")
            analyzer = tools.analyzer or Analyzer.for_languages(staging.languages())
            if parent is not None and encoder is not None and _same_content(parent, content, tools, analyzer):
                return _nothing_to_do(parent, ledger.tally)
            staging.write_gave_way(folder / GAVE_WAY)
            _require_parity(tools, staging)
            vector_source = _vector_source(tools, cache, parent, progress)
            progress.phase("Embedding" if intake.to_embed else "Writing", intake.to_embed or staging.passages)
            told = Silent() if intake.to_embed else progress
            write_rows(folder, staging, vector_source, analyzer, told, header=tools.splitter.settings.header)
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
            index.disk.unlink(folder / "staging.sqlite")
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
            analyzer=analyzer.name,
            splitter=tools.splitter.settings,
            vector_index=chosen,
            content_sha256=content,
        )
        published = index.publish(folder, manifest)
    removed = index.prune(settings.keep_generations)
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


def _unless_damaged(request: Request, warnings: list[str], parent: Callable[[], Parent | None]) -> Parent | None:
    """The snapshot to start from; none where it is damaged and the sources given are all that is wanted anyway."""
    try:
        return parent()
    except StoreCorrupt as error:
        if request.add:  # what other sources brought is only there
            raise
        warnings.append(f"{error.message} Everything was read from the sources again.")
        return None


def _cache(index: IndexDirectory, space: EmbeddingSpace) -> EmbeddingCache:
    return EmbeddingCache(index.cache / f"embeddings-{space.fingerprint}.sqlite", space.dimension, index.disk)


def _vector_source(
    tools: Tools, cache: EmbeddingCache | None, parent: Parent | None, progress: Progress
) -> VectorSource:
    if tools.given is not None:
        return tools.given
    assert tools.embedder is not None
    assert cache is not None
    same_space = parent if parent is not None and parent.manifest.space == tools.space else None
    return Embedding(tools.embedder, cache, same_space, progress, header=tools.splitter.settings.header)


def _unchanged(
    parent: Parent, found: Sequence[Found], sources: Sequence[Source], request: Request, tools: Tools
) -> bool:
    """Whether every file is the one read before, no file is missing, and the same space, analyzer and splitter hold."""
    names = {source.name for source in sources}
    known = {key: lines for key, lines in parent.files.items() if not request.add or key[0] in names}
    here: dict[FileKey, list[LedgerFile]] = {}
    for name, _, line in found:
        if line is not None:
            here.setdefault((name, line.file), []).append(line)
    if known.keys() != here.keys() or any(set(known[key]) != set(here[key]) for key in here):
        return False
    set_aside = {(name, item.input) for name, item, line in found if line is None and isinstance(item, Quarantined)}
    before = {
        (entry.source, entry.input)
        for key, entries in parent.set_aside.items()
        if key not in parent.files and (not request.add or key[0] in names)
        for entry in entries
    }
    return set_aside == before and bool(here) and _same_tools(parent, tools, tools.analyzer)


def _same_tools(parent: Parent, tools: Tools, analyzer: Analyzer | None) -> bool:
    """Without an analyzer, the languages of the same documents are the same as they were."""
    manifest = parent.manifest
    return (
        manifest.space == tools.space
        and (detects_latest(manifest.analyzer) if analyzer is None else manifest.analyzer == analyzer.name)
        and manifest.splitter == tools.splitter.settings
    )


def _same_content(parent: Parent, content: str, tools: Tools, analyzer: Analyzer) -> bool:
    return parent.manifest.content_sha256 == content and _same_tools(parent, tools, analyzer)


def _take_in(
    intake: Intake,
    found: Sequence[Found],
    sources: Sequence[Source],
    request: Request,
    tools: Tools,
    parent: Parent | None,
    progress: Progress,
) -> None:
    """Stage every document, read anew or carried over, and account for every input.

    Sources come by name, given ones and those that --add keeps alike: which of two documents with one id is kept must
    not depend on when they came.
    """
    steps: list[tuple[str, Callable[[], None]]] = []
    times = Counter((name, item.relative) for name, item, _ in found if isinstance(item, SourceFile))
    for name, item, line in found:
        if isinstance(item, Quarantined):
            steps.append((name, partial(intake.set_aside, name, item)))
            continue
        assert line is not None
        key = (name, item.relative)
        if (
            parent is not None
            and parent.files.get(key) == [line]
            and times[key] == 1  # where sources share a name, whose documents are whose is not kept
            and parent.can_be_carried(key)
            and tools.given is None  # which line a document was is not kept
        ):
            steps.append((name, partial(intake.carry_over, key)))
        else:
            steps.append((name, partial(intake.read, item, line)))
    if request.add and parent is not None:
        given = {source.name for source in sources}
        kept = sorted(key for key in parent.files.keys() | parent.set_aside.keys() if key[0] not in given)
        steps.extend((key[0], partial(intake.carry_over, key)) for key in kept)
    lines = any(isinstance(item, SourceFile) and is_jsonl(item.path.name) for _, item, _ in found)
    progress.phase("Reading and splitting", None if lines else len(steps))  # how many lines there are is not known
    for _, step in sorted(steps, key=itemgetter(0)):
        step()


def _refuse_emptied(
    sources: Sequence[Source],
    found: Sequence[Found],
    request: Request,
    parent: Parent | None,
    ledger: Ledger,
    staging: Staging,
) -> None:
    """A source that had documents and now has none is more likely unmounted than emptied."""
    if request.allow_empty:
        return
    now_there = ledger.tally.sources_with_documents | ledger.tally.sources_with_forgotten
    before = set() if parent is None else parent.tally.sources_with_documents
    times = Counter(source.name for source in sources)
    for source in sources:
        # Which of several sources with one name had documents is not kept: one without a file is suspect enough.
        has_files = times[source.name] == 1 or any(
            isinstance(item, SourceFile) and item.path.is_relative_to(source.path) for _, item, _ in found
        )
        if source.name in before and (source.name not in now_there or not has_files):
            raise SourceError(
                f"source {source.name!r} ({source.path}) had documents and now has none; nothing was published.",
                fix="If that is meant, run again with --allow-empty.",
            )
    if staging.documents == 0:
        reasons = "; ".join(str(entry.message) for entry in ledger.tally.problems[:3]) or "no files were found"
        raise SourceError(
            f"there is nothing to index: {reasons}.", fix="Check the sources, or run again with --allow-empty."
        )


def _known_encoders(index: IndexDirectory, tools: Tools, parent: Parent | None) -> list[QueryEncoderEntry] | None:
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


def _make_encoders(index: IndexDirectory, tools: Tools, staging: Staging) -> list[QueryEncoderEntry]:
    if not isinstance(tools.embedder, SentenceTransformerEmbedder) or tools.model_folder is None:
        return [QueryEncoderEntry(kind="hash")]
    samples: list[str] = []
    for staged in staging.in_row_order():
        samples.extend(staged.document.text[span.start : span.end] for span in staged.spans[:2])
        if len(samples) >= 32:
            break
    return [ensure_query_encoder(index.encoders, tools.embedder, tools.model_folder, samples[:32], index.disk)]


def _require_parity(tools: Tools, staging: Staging) -> None:
    """Believe that given vectors are the named model's only after comparing a few of them."""
    if tools.given is None or tools.embedder is None:
        return
    sample = list(itertools.islice(staging.in_row_order(), 16))
    texts = [staged.document.text for staged in sample]
    headed = [embedded_text(staged.document.title, (), staged.document.text) for staged in sample]
    require_parity(tools.embedder, texts, headed, tools.given.vectors_of(sample))


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
