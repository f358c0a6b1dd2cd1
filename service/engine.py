"""What a request works with: one snapshot and the parts that belong to it."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

from service.adapters.generator import Generator
from service.budget import Budgets, Clock
from service.inference import Inference
from service.rerank import AnytimeReranker
from service.result_cache import AnswerCache, SearchCache
from service.rewrite import Rewriter
from service.verifier import Verifier
from store.analyzer import Analyzer
from store.embedding import QueryEncoder
from store.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Engine:
    """Everything `search()` and `answer()` are handed; immutable, one for each opened snapshot.

    Args:
        snapshot: the index version.
        encoder: embeds questions; None where the snapshot admits none (then the dense leg needs a vector).
        analyzer: the index's own, for weighing evidence and checking sentences.
        dense_weight: the dense leg's in fusion, 0 to 1.
        dense_feedback: share of the best passages' vectors in the question's for a second look; 0: none.
        lexical_feedback: whether telling terms of the best passages are added for a second look.
        reranker: None where none is set.
        rerank_by_default: what an absent `rerank` means.
        rerank_depth: how many candidates are reranked at most.
        rerank_weight: the reranker's in the final score, 0 to 1.
        generator: writes answers.
        stand_in: writes where a deadline nears before the generator's first word; at once.
        quote_when_withheld: whether it writes, too, where nothing that the generator wrote was verified.
        verifier: the learned support scorer; None where sentences are checked by words and hard facts alone.
        rewriter: rewrites questions that rules cannot make stand for themselves; None: these are asked as they are.
        answer_passages: how many passages an answer may draw on.
        document_passages: how many of these may be one document's while others are there.
        abstain_below: the sufficiency probability under which nothing is answered.
        budgets: of each stage.
        inference: where questions are embedded.
        executor: where sentences are weighed and checked; what hangs there keeps nobody from retrieving.
        clock: monotonic seconds.
        scope: of what caches keep of this snapshot.
        identity: tells engines apart whose numbers are the same (`caches.identity_of`).
        searches, answers: what was given before; None where it is not kept.
    """

    snapshot: Snapshot
    encoder: QueryEncoder | None
    analyzer: Analyzer
    dense_weight: float
    dense_feedback: float
    lexical_feedback: bool
    reranker: AnytimeReranker | None
    rerank_by_default: bool
    rerank_depth: int
    rerank_weight: float
    generator: Generator
    stand_in: Generator
    quote_when_withheld: bool
    verifier: Verifier | None
    rewriter: Rewriter | None
    answer_passages: int
    document_passages: int
    abstain_below: float
    budgets: Budgets
    inference: Inference
    executor: Executor
    clock: Clock
    scope: str
    identity: str
    searches: SearchCache | None
    answers: AnswerCache | None
