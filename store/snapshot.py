"""The seam between the service and any engine: one immutable version of the index, asked through one protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from store.embedding import EmbeddingSpace, Vectors
from store.filters import Filter
from store.passages import StoredDocument, StoredPassage

Vector = npt.NDArray[np.float32]
"""float32, shape (dimension,)."""

Principals = frozenset[str]
"""Who asks: the names and groups a document's access list may hold. Empty: an anonymous asker."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One passage that a leg found, with that leg's score (cosine, or BM25)."""

    passage_id: str
    score: float


@dataclass(frozen=True, slots=True)
class LegQuery:
    """A question in the form each leg takes; a leg whose part is None is not asked."""

    text: str | None
    vector: Vector | None


@dataclass(frozen=True, slots=True)
class LegScores:
    """A passage's exact score in each leg that was asked."""

    dense: float | None
    lexical: float | None


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    """What a snapshot says of itself.

    Args:
        generation: its number; larger is newer.
        name: its folder's name, or what the engine calls it.
        documents, passages: counts.
        space: the embedding space of its vectors.
        analyzer: the manifest's name of the analyzer that made its terms.
        recall_at_10: of the dense leg against exact search, as measured when it was built.
        dense_minimum, lexical_minimum: the smallest score each leg can give.
    """

    generation: int
    name: str
    documents: int
    passages: int
    space: EmbeddingSpace
    analyzer: str
    recall_at_10: float
    dense_minimum: float = -1.0
    lexical_minimum: float = 0.0


class Snapshot(Protocol):
    """One immutable version of the index. All methods may be called concurrently.

    Every method that returns content takes `principals` and returns only what they may read.
    """

    @property
    def facts(self) -> SnapshotFacts:
        """Generation, counts, fingerprint, smallest scores."""
        ...

    async def dense(self, vector: Vector, k: int, filter: Filter | None, principals: Principals) -> list[Hit]:  # noqa: A002
        """The k passages nearest to `vector`, best first, ties in row order. Raises SpaceMismatch on its shape."""
        ...

    async def lexical(self, text: str, k: int, filter: Filter | None, principals: Principals) -> list[Hit]:  # noqa: A002
        """The k best passages by BM25, best first, ties in row order; never one that shares no term."""
        ...

    async def score(self, query: LegQuery, passage_ids: Sequence[str]) -> list[LegScores]:
        """Exact scores of given passages, in the order given; raises KeyError for an unknown id."""
        ...

    async def passage_ids(self, document_id: str, principals: Principals) -> list[str]:
        """Ids of a document's passages, in order of their start; none where no such document may be read."""
        ...

    async def vectors(self, passage_ids: Sequence[str]) -> Vectors:
        """Stored vectors, float32, shape (ids, dimension), in the order given; raises KeyError for an unknown id."""
        ...

    async def term_weights(self, text: str) -> Mapping[str, float]:
        """How telling each term of `text` is here, in any of the index's languages: ln(1 + (N - n + 0.5) / (n + 0.5))
        for n of N passages that hold it. A term that no passage has weighs most.
        """
        ...

    async def passages(self, ids: Sequence[str], principals: Principals) -> Mapping[str, StoredPassage]:
        """The passages that exist and may be read, by id."""
        ...

    async def document(
        self,
        *,
        id: str | None = None,  # noqa: A002
        version: str | None = None,
        principals: Principals,
    ) -> StoredDocument | None:
        """The document with this id and version (either may be left out), if it exists and may be read."""
        ...


def may_read(access: frozenset[str], principals: Principals) -> bool:
    """Whether an asker may read a document: everyone where its access list is empty, else any common name."""
    return not access or not access.isdisjoint(principals)
