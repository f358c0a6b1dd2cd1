"""The one file that knows how a support scorer is made: read rows, keep some back, train, export, calibrate."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evaluation.measures import binary_auroc
from evaluation.support import balanced_accuracy
from indexer.encoder import export_cross_encoder
from indexer.model import locate
from indexer.progress import Progress
from indexer.settings import IndexerSettings
from service.adapters.reranker import OnnxCrossEncoder
from service.verifier import CARD, FILES, SupportCalibration, probability
from store.analyzer import Analyzer
from store.errors import UsageError
from store.files import sha256_file
from training.cross_encoder import Recipe, train
from training.examples import Example
from training.rows import source_files, source_name
from training.support import coverage, examples_of_support, read_support_rows

KEPT_BACK = 25
"""One example in so many is not trained on, but calibrates the scores and sets the threshold."""

WRONGLY_ACCEPTED = 0.02
"""Share of the unsupported examples kept back that reach `accept_from`."""

RIDGE = 1e-3

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class VerifierRequest:
    """What to make a support scorer of.

    Args:
        sources: files and folders of training rows.
        calibrating: more of these, of which only what is kept back is used: rows that the base was trained on.
        output: the folder to write; must not exist yet.
        work: where checkpoints and the trained model are kept, so that a stopped run goes on.
        most: rows taken of a file at most, by its name without .jsonl; of others all.
        base: the model that training starts from: a folder, or the embedding model where None.
        recipe: how to train.
    """

    sources: Sequence[Path]
    calibrating: Sequence[Path]
    output: Path
    work: Path
    most: Mapping[str, int]
    base: Path | None
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class MadeVerifier:
    """What was made, and what those kept back say of it.

    Args:
        examples: by source.
        difference: how far the export's logits are from the model's at most, on sample pairs.
        bytes: of all files.
        trained: the model's folder before its export, which another run may start from.
        kept_back: how many examples were not trained on.
        balanced_accuracy, auroc: on these, which also set the threshold.
    """

    examples: dict[str, int]
    difference: float
    bytes: int
    trained: Path
    kept_back: int
    balanced_accuracy: float
    auroc: float


def make_verifier(request: VerifierRequest, settings: IndexerSettings, progress: Progress) -> MadeVerifier:
    """Make a support scorer and write it to `request.output`, in int8, with its card."""
    if request.output.exists():
        raise UsageError(f"{request.output} exists already.", fix="Name a folder that does not exist yet.")
    files = source_files(request.sources)
    others = source_files(request.calibrating) if request.calibrating else []
    unknown = set(request.most) - {source_name(path) for path in (*files, *others)}
    if unknown:
        raise UsageError(f"there is no training file called {', '.join(sorted(unknown))}.")
    analyzer = Analyzer()
    examples = {source_name(path): _examples(path, request, analyzer) for path in (*files, *others)}
    learned_from = [one for path in files for one in examples[source_name(path)] if not _is_kept_back(one)]
    kept_back = {name: [one for one in some if _is_kept_back(one)] for name, some in examples.items()}
    base = locate(settings.embedding_model) if request.base is None else request.base
    trained = train(learned_from, base, request.work / _run(request, files), request.recipe, progress)
    progress.phase("Exporting")
    difference = export_cross_encoder(str(trained), request.output, int8=True)
    model = OnnxCrossEncoder(request.output, threads=2, max_tokens=request.recipe.tokens_max)
    progress.phase("Calibrating", sum(map(len, kept_back.values())))
    seen = [_seen(some, model, analyzer, progress) for some in kept_back.values() if len({e.label for e in some}) == 2]
    calibration = calibrate(seen)
    everything = np.concatenate(seen)
    scores = [probability(logit, share, calibration) for logit, share, _ in everything.tolist()]
    labels = [label > 0 for label in everything[:, 2].tolist()]
    accuracy, auroc = balanced_accuracy(scores, labels, calibration.threshold), binary_auroc(scores, labels)
    card = {
        "base": settings.embedding_model if request.base is None else _card_of(request.base),
        "recipe": dataclasses.asdict(request.recipe),
        "tokens_max": request.recipe.tokens_max,
        "sources": {
            source_name(path): {"sha256": sha256_file(path), "examples": len(examples[source_name(path)])}
            for path in files
        },
        "kept_back": {"examples": len(scores), "balanced_accuracy": round(accuracy, 4), "auroc": round(auroc, 4)},
        "calibration": calibration.model_dump(),
        "sha256": {name: sha256_file(request.output / name) for name in FILES},
    }
    for folder in (request.output, trained):  # beside what was trained too: another run may start from there
        (folder / CARD).write_text(json.dumps(card, indent=1) + "\n")
    size = sum(file.stat().st_size for file in request.output.iterdir())
    counts = {source_name(path): len(examples[source_name(path)]) for path in files}
    return MadeVerifier(counts, difference, size, trained, len(scores), accuracy, auroc)


def _examples(path: Path, request: VerifierRequest, analyzer: Analyzer) -> list[Example]:
    rows = read_support_rows(path, request.most.get(source_name(path), 10**9), seed=request.recipe.seed)
    return examples_of_support(rows, analyzer)


def _run(request: VerifierRequest, files: Sequence[Path]) -> str:
    """What tells one run from another; the name of its folder."""
    drawn = [
        dataclasses.asdict(request.recipe),
        dict(request.most),
        None if request.base is None else str(request.base.resolve()),
        [sha256_file(path) for path in files],
    ]
    return "verifier-" + hashlib.sha256(json.dumps(drawn, sort_keys=True).encode()).hexdigest()[:16]


def _card_of(base: Path) -> object:
    """The card of what was trained before, without its calibration; the folder's name where it has none."""
    if not (base / CARD).is_file():
        return base.name
    card = json.loads((base / CARD).read_bytes())
    return {name: card[name] for name in ("base", "recipe", "sources") if name in card}


def _is_kept_back(one: Example) -> bool:
    """Drawn by what it says, so that it is the same whatever else is trained on."""
    return int(hashlib.sha256((one.question + one.text).encode()).hexdigest(), 16) % KEPT_BACK == 0


def _seen(examples: Sequence[Example], model: OnnxCrossEncoder, analyzer: Analyzer, progress: Progress) -> Floats:
    """float64, shape (n, 3): the model's logit, the share of the claim's terms in the evidence, and the label."""
    seen = []
    for one in examples:
        (logit,) = model.score(one.question, [one.text])
        seen.append((logit, coverage(one.question, one.text, analyzer), one.label))
        progress.advance()
    return np.array(seen)


def calibrate(sources: Sequence[Floats]) -> SupportCalibration:
    """A logistic model of logit and coverage, by Newton's method, and thresholds; every source weighs the same, and so
    do both labels in each.

    Args:
        sources: each float64, shape (n, 3): logit, coverage, 1.0 where supported; both labels in each.
    """
    seen = np.concatenate(sources)
    target = seen[:, 2]
    weights = np.concatenate([_weights(one[:, 2]) for one in sources]) / len(sources)
    design = np.column_stack([np.ones(len(seen)), seen[:, :2]])
    found = np.zeros(design.shape[1])
    for _ in range(50):
        likely = 1 / (1 + np.exp(-np.clip(design @ found, -50, 50)))
        gradient = design.T @ (weights * (likely - target)) + RIDGE * found
        hessian = (design.T * (weights * likely * (1 - likely))) @ design + RIDGE * np.eye(len(found))
        step = np.linalg.solve(hessian, gradient)
        found = found - step
        if np.abs(step).max() < 1e-9:
            break
    intercept, logit, covered = (round(float(one), 4) for one in found)
    scores = 1 / (1 + np.exp(-np.clip(design @ np.array([intercept, logit, covered]), -50, 50)))
    supported = target > 0
    steps = np.arange(1, 200) / 200
    right = [weights[supported == (scores >= one)].sum() for one in steps]
    return SupportCalibration(
        intercept=intercept,
        logit=logit,
        coverage=covered,
        threshold=float(steps[int(np.argmax(right))]),
        accept_from=_quantile(scores[~supported], weights[~supported], 1 - WRONGLY_ACCEPTED),
    )


def _weights(labels: Floats) -> Floats:
    """Together 1: half for each label."""
    positive = labels.sum()
    return np.asarray(np.where(labels > 0, 0.5 / positive, 0.5 / (len(labels) - positive)), np.float64)


def _quantile(scores: Floats, weights: Floats, share: float) -> float:
    """The score that this share of the weight is below."""
    order = np.argsort(scores)
    below = np.cumsum(weights[order]) / weights.sum()
    return round(float(scores[order][min(int(np.searchsorted(below, share)), len(scores) - 1)]), 4)
