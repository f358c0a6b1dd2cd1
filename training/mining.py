"""Hard negatives from both legs: what an index of the training texts finds for a question and should not."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from evaluation.pseudo_questions import pseudo_questions
from indexer.build import Request, build
from indexer.progress import Progress
from indexer.settings import IndexerSettings
from store.analyzer import Analyzer
from store.document import embedded_text
from store.embedding import QueryEncoder
from store.errors import UsageError
from store.index import IndexDirectory
from store.local import LocalSnapshot, open_query_encoder
from store.passages import StoredPassage
from store.snapshot import Hit, Vector
from training.examples import Example, Found, as_embedded, examples_of_pseudo_question, examples_of_row
from training.rows import TrainingRow, TrainingText

_DEPTH = 15
_BATCH = 32
_EVERYONE: frozenset[str] = frozenset()


def index_of_rows(rows: Sequence[TrainingRow], folder: Path, settings: IndexerSettings, progress: Progress) -> Path:
    """An index of the rows' positives in `folder`, brought up to date; its path."""
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "corpus.jsonl"
    with source.open("w", encoding="utf-8") as stream:
        for key, text in {_id(row.positive): row.positive for row in rows}.items():
            stream.write(json.dumps({"id": key, "title": text.title, "text": text.text}) + "\n")
    index = folder / "index"
    build(IndexDirectory(index), Request([str(source)]), settings.model_copy(update={"index": index}), progress)
    return index


def mine(
    rows: Sequence[TrainingRow], index: Path, *, negatives: int, pseudo_share: float, seed: int, progress: Progress
) -> list[Example]:
    """Examples of the rows, and of pseudo-questions made of their texts, `pseudo_share` as many as there are rows."""
    opened = IndexDirectory(index)
    with (
        ThreadPoolExecutor(2, thread_name_prefix="mine") as executor,
        closing(opened.open(executor, opened.require_current())) as snapshot,
    ):
        encoder = open_query_encoder(index, snapshot.manifest, threads=2)
        if encoder is None:
            raise UsageError(f"the index of the training texts in {index} has no query encoder.")
        miner = _Miner(snapshot, encoder, progress)
        return asyncio.run(miner.examples(rows, negatives, round(len(rows) * pseudo_share), seed))


class _Miner:
    """Asks both legs, and leaves out what answers."""

    def __init__(self, snapshot: LocalSnapshot, encoder: QueryEncoder, progress: Progress) -> None:
        self._snapshot = snapshot
        self._encoder = encoder
        self._progress = progress

    async def examples(self, rows: Sequence[TrainingRow], negatives: int, pseudo: int, seed: int) -> list[Example]:
        """Examples of all rows, then of so many pseudo-questions."""
        analyzer = Analyzer.from_name(self._snapshot.facts.analyzer)
        answers = defaultdict(set)  # a question can stand in several rows
        for row in rows:
            answers[row.question].add(_id(row.positive))
        drawn = self._snapshot.reader.sample(2 * pseudo, seed)
        made = list(pseudo_questions(drawn, analyzer, seed=seed))[:pseudo]
        texts = [*(row.question for row in rows), *(one.text for one in made)]
        self._progress.phase("Mining negatives", len(texts))
        vectors = self._vectors(texts)
        examples: list[Example] = []
        for row in rows:
            found = await self._found(row.question, next(vectors), answers[row.question], set())
            examples.extend(examples_of_row(row, found, negatives, seed))
        for one in made:
            found = await self._found(one.text, next(vectors), set(), {one.passage_id})
            examples.extend(examples_of_pseudo_question(one, found, negatives, seed))
        return examples

    def _vectors(self, texts: Sequence[str]) -> Iterator[Vector]:
        for at in range(0, len(texts), _BATCH):
            for vector in self._encoder.encode_queries(texts[at : at + _BATCH]):
                self._progress.advance()
                yield vector

    async def _found(self, question: str, vector: Vector, documents: set[str], passages: set[str]) -> Found:
        dense = await self._snapshot.dense(vector, _DEPTH, None, _EVERYONE)
        lexical = await self._snapshot.lexical(question, _DEPTH, None, _EVERYONE)
        stored = await self._snapshot.passages([hit.passage_id for hit in (*dense, *lexical)], _EVERYONE)

        def wrong(hits: Sequence[Hit]) -> list[str]:
            return [
                _as_reranked(stored[hit.passage_id])
                for hit in hits
                if hit.passage_id not in passages and _own_id(stored[hit.passage_id]) not in documents
            ]

        return Found(wrong(dense), wrong(lexical))


def _id(text: TrainingText) -> str:
    return hashlib.sha256(as_embedded(text).encode()).hexdigest()[:20]


def _own_id(stored: StoredPassage) -> str:
    return stored.document.id.rpartition("/")[2]


def _as_reranked(stored: StoredPassage) -> str:
    return embedded_text(stored.document.title, stored.passage.section, stored.passage.text)
