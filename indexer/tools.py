"""What a build was asked to do, and what it works with."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from indexer.embed import DocumentEmbedder, SentenceTransformerEmbedder
from indexer.load import LOADER_VERSION
from indexer.model import hash_embedder, locate, read_space
from indexer.settings import IndexerSettings
from indexer.split import CountTokens, Splitter, WholeText, token_counter, word_counter
from indexer.vectors import GivenVectors, unknown_space
from store.analyzer import AUTO, Analyzer
from store.embedding import EmbeddingSpace
from store.errors import UsageError


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
class Tools:
    """What a build works with. Without an embedder the vectors are given; so they are where `given` is set. Without an
    analyzer each document's language is detected, and the analyzer is made of all of these.
    """

    space: EmbeddingSpace
    embedder: DocumentEmbedder | None
    model_folder: Path | None
    given: GivenVectors | None
    splitter: Splitter | WholeText
    analyzer: Analyzer | None
    recipe: str


def make_tools(settings: IndexerSettings, request: Request) -> Tools:
    """The embedder, splitter and analyzer of a build. Raises UsageError where the request makes no sense."""
    given = None
    whole = WholeText(header=settings.passage_header)
    if request.vectors is None and request.vectors_model is not None:
        raise UsageError("--vectors-model says what made --vectors.", fix="Give both, or --embedding-model.")
    if request.vectors is not None:
        if request.add or len(request.sources) != 1:
            raise UsageError("--vectors goes with exactly one source, a JSONL file, and not with --add.")
        given = GivenVectors(request.vectors)
        if request.vectors_model is None:
            space = unknown_space(given.dimension)
            return _with_splitter(settings, space, None, None, given, whole)
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
    longest = min(settings.passage_tokens or most, most)
    splitter = whole if given else Splitter(count, longest, header=settings.passage_header)
    return _with_splitter(settings, embedder.space, embedder, folder, given, splitter)


def _with_splitter(
    settings: IndexerSettings,
    space: EmbeddingSpace,
    embedder: DocumentEmbedder | None,
    folder: Path | None,
    given: GivenVectors | None,
    splitter: Splitter | WholeText,
) -> Tools:
    recipe = f"{LOADER_VERSION}|{settings.base_url}"  # not the splitter: what was read can be split again
    if given is not None:  # other vectors make another index of the same lines
        recipe += f"|{given.sha256}"
    digest = hashlib.sha256(recipe.encode()).hexdigest()[:16]
    return Tools(space, embedder, folder, given, splitter, _analyzer(settings.language), digest)


def _analyzer(language: str) -> Analyzer | None:
    if language == AUTO:
        return None
    try:
        return Analyzer(language)
    except ValueError as error:
        raise UsageError(f"setting 'language': {error}.", fix=f"Or {AUTO}, to detect each document's.") from error
