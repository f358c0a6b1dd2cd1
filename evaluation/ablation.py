"""Ablations: what each part of retrieval is worth, one part changed at a time, against the settings as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.comparison import MEASURE, SetComparison, compare_measured
from evaluation.configurations import SHIPPED, Configuration, changed
from evaluation.fusions import fixed_weights, reciprocal_rank
from evaluation.run import SetReport, evaluate, index_of
from evaluation.sets import QuestionSet
from evaluation.settings import EvaluationSettings
from evaluation.significance import Difference, holm
from indexer.progress import Progress
from indexer.settings import IndexerSettings
from service.settings import ServiceSettings
from store.errors import UsageError
from store.index import IndexDirectory
from store.local import read_manifest

CHUNK_TOKENS = (64, 128, 254)
WEIGHTS = tuple(step / 10 for step in range(11))

DIMENSIONS = ("leg", "fusion", "feedback", "header", "rerank", "chunk")


@dataclass(frozen=True, slots=True)
class Dimension:
    """One part of retrieval and what it is changed to; `skipped` says why it cannot be changed here."""

    name: str
    variants: list[Configuration]
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class Ablated:
    """One part's comparisons with the default, all variants on all sets; their p adjusted together."""

    dimension: Dimension
    comparisons: list[SetComparison]

    def as_json(self) -> dict[str, Any]:
        """The comparisons, flat."""
        return {
            "dimension": self.dimension.name,
            "skipped": self.dimension.skipped or None,
            "comparisons": [one.as_json() for one in self.comparisons],
        }


def default() -> Configuration:
    """What every variant is compared with: hybrid under the settings as they are."""
    return Configuration(SHIPPED, "hybrid")


def dimensions(
    wanted: Sequence[str],
    indexing: IndexerSettings,
    serving: ServiceSettings,
    *,
    chunk_tokens: Sequence[int] = CHUNK_TOKENS,
    weights: Sequence[float] = WEIGHTS,
    own_corpus: bool = True,
    passage_tokens: int | None = None,
) -> list[Dimension]:
    """The dimensions that are wanted, each with its variants.

    Args:
        chunk_tokens: longest passages to try, in tokens of the model; the default's own is left out.
        weights: dense weights to try, 0 to 1.
        own_corpus: whether the sets bring a corpus, which can be indexed in another way.
        passage_tokens: the default's longest passage, as its manifest says.
    """
    makers: dict[str, Callable[[], Dimension]] = {
        "leg": lambda: Dimension("leg", [Configuration("lexical", "lexical"), Configuration("dense", "dense")]),
        "fusion": lambda: _fusion(weights),
        "feedback": lambda: _feedback(serving),
        "header": lambda: _header(indexing, own_corpus=own_corpus),
        "rerank": lambda: _rerank(serving),
        "chunk": lambda: _chunk(chunk_tokens, passage_tokens, own_corpus=own_corpus),
    }
    return [makers[name]() for name in DIMENSIONS if name in wanted]


def judge(found: Sequence[Dimension], reports: Sequence[SetReport], *, measure: str = MEASURE) -> list[Ablated]:
    """Every variant against the default on every set; p is adjusted over the sets and variants of a dimension."""
    ablated = []
    for dimension in found:
        compared: list[tuple[str, str, Difference]] = []
        for report in reports:
            values = {
                one.name: {question: measures[measure] for question, measures in one.by_question.items()}
                for one in report.measured
            }
            variants = [(one.name, values[one.name]) for one in dimension.variants if one.name in values]
            compared.extend(compare_measured(report.name, (SHIPPED, values[SHIPPED]), variants))
        adjusted = holm([difference.p for _, _, difference in compared])
        comparisons = [
            SetComparison(name, SHIPPED, variant, difference, p)
            for (name, variant, difference), p in zip(compared, adjusted, strict=True)
        ]
        ablated.append(Ablated(dimension, comparisons))
    return ablated


def _fusion(weights: Sequence[float]) -> Dimension:
    fusions = [*fixed_weights(weights), reciprocal_rank()]
    return Dimension("fusion", [Configuration(one.name, "hybrid", fusion=one) for one in fusions])


def _feedback(serving: ServiceSettings) -> Dimension:
    dense = 0.0 if serving.dense_feedback else 0.2
    lexical = not serving.lexical_feedback
    return Dimension(
        "feedback",
        [
            Configuration(f"dense feedback {dense:g}", "hybrid", serving={"dense_feedback": dense}),
            Configuration(
                "lexical feedback" if lexical else "no lexical feedback",
                "hybrid",
                serving={"lexical_feedback": lexical},
            ),
        ],
    )


def _header(indexing: IndexerSettings, *, own_corpus: bool) -> Dimension:
    if not own_corpus:
        return Dimension("header", [], _NO_CORPUS)
    name = "no header" if indexing.passage_header else "header"
    return Dimension("header", [Configuration(name, "hybrid", {"passage_header": not indexing.passage_header})])


def _rerank(serving: ServiceSettings) -> Dimension:
    if serving.reranker is None:
        return Dimension("rerank", [], "no reranker is set (`footnote export-reranker`, then FOOTNOTE_RERANKER=FOLDER)")
    name = "no rerank" if serving.rerank else "rerank"
    return Dimension("rerank", [Configuration(name, "hybrid", serving={"rerank": not serving.rerank})])


def _chunk(chunk_tokens: Sequence[int], passage_tokens: int | None, *, own_corpus: bool) -> Dimension:
    if not own_corpus:
        return Dimension("chunk", [], _NO_CORPUS)
    others = [one for one in dict.fromkeys(chunk_tokens) if one != passage_tokens]
    return Dimension("chunk", [Configuration(f"chunk {one}", "hybrid", {"passage_tokens": one}) for one in others])


_NO_CORPUS = "a set brings no corpus that could be indexed in another way"


def ablate(
    sets: Sequence[QuestionSet],
    settings: EvaluationSettings,
    indexing: IndexerSettings,
    serving: ServiceSettings,
    folder: Path,
    progress: Progress,
    *,
    wanted: Sequence[str] = DIMENSIONS,
    chunk_tokens: Sequence[int] = CHUNK_TOKENS,
    weights: Sequence[float] = WEIGHTS,
    measure: str = MEASURE,
) -> list[Ablated]:
    """Measure the default and every variant on every set, keep the run in `folder`, and compare.

    Raises UsageError for a dimension, weight or passage length that cannot be.
    """
    unknown = [name for name in wanted if name not in DIMENSIONS]
    if unknown:
        raise UsageError(f"unknown part {unknown[0]!r}; known: {', '.join(DIMENSIONS)}.")
    outside = [one for one in weights if not 0 <= one <= 1]
    if outside:
        raise UsageError(f"a dense weight is from 0 to 1, found {outside[0]:g}.")
    for tokens in chunk_tokens:
        changed(indexing, {"passage_tokens": tokens})
    own = next((one for one in sets if one.corpus is not None), None)
    found = dimensions(
        wanted,
        indexing,
        serving,
        chunk_tokens=chunk_tokens,
        weights=weights,
        own_corpus=own is not None,
        passage_tokens=None if own is None else _passage_tokens(index_of(own, settings, indexing, progress)),
    )
    everything = [default(), *(variant for dimension in found for variant in dimension.variants)]
    reports = []
    for one in sets:
        possible = [variant for variant in everything if one.corpus is not None or not variant.indexing]
        reports.append(evaluate(one, settings, indexing, serving, possible, folder, progress, answers=False))
    return judge(found, reports, measure=measure)


def _passage_tokens(index: Path) -> int:
    directory = IndexDirectory(index)
    current = directory.require_current()
    return read_manifest(directory.snapshots / current.name, current.manifest_sha256).splitter.passage_tokens
