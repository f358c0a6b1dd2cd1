"""The one file that knows how an adapter that judges support is made: rows, a pool, teachers, distillation, folder."""

from __future__ import annotations

import dataclasses
import gzip
import json
import math
import random
import secrets
import shutil
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from evaluation.measures import binary_auroc
from indexer.model import locate, read_space
from indexer.progress import Progress
from store.analyzer import Analyzer
from store.errors import UsageError
from store.files import Disk, sha256_file
from training.entailment_pool import drawn_sentences, neighbour_pairs, reworded_pairs, vectors_of
from training.entailment_rows import (
    EntailmentRow,
    beside_what_is_compared,
    held_back,
    label_targets,
    pool_targets,
    read_source,
    refuting_sources,
    softened,
    worth_learning,
)
from training.pair_network import (
    Floats,
    Pair,
    Schedule,
    Targets,
    adapt,
    computing_device,
    judged_by,
    learned_weights,
    pair_network,
    probabilities,
    require_adaptable,
    tokenised,
    train,
)
from training.rewordings import WordNet, read_wordnet
from training.rows import TrainingText, read_rows, source_files, source_name

ADAPTER, HELD, CARD = "adapter.safetensors", "held.jsonl.gz", "adapter.json"
"""What the folder holds: the weights, the rows held back, and what it was all made of."""

TEXTS_MAX = 2500
"""Rows taken of a file of texts, where nothing else is said."""
EVIDENCE_MAX, EVIDENCE_CHARS_MIN = 5000, 250
"""Evidence that the pool draws on: so much of a source at most, and none that is shorter."""

TEACHING = Schedule(epochs=3, learning_rate=5e-5, weight_decay=0.01, batch_tokens=24_576, batch_pairs=192)
LEARNING = Schedule(epochs=4, learning_rate=1e-3, weight_decay=0.0, batch_tokens=49_152, batch_pairs=768)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How it is trained.

    Args:
        teachers: networks trained on the rows, each with a seed of its own; their mean logits label the pool.
        teaching, learning: how the teachers and the adapter are trained.
        rank: of the adapter.
        tokens_max: a claim and its text together are cut to this.
        seed: of all that is drawn.
    """

    teachers: int = 2
    teaching: Schedule = TEACHING
    learning: Schedule = LEARNING
    rank: int = 32
    tokens_max: int = 160
    seed: int = 0


@dataclass(frozen=True, slots=True)
class AdapterRequest:
    """What to make an adapter of.

    Args:
        sources: files and folders of labelled rows.
        texts: files and folders of rows with a positive text, which the pool draws on too.
        teacher: the folder of a transformer, such as all-mpnet-base-v2.
        wordnet: WordNet's `dict` folder.
        output: the folder to write; must not exist yet.
        embedding_model: the name or folder of the model that is adapted.
        most: rows taken of a file at most, by its name without .jsonl; of labelled files else all, of texts TEXTS_MAX.
        weights: what a labelled row of a file counts; else 1.
        never_refuted: sources whose labels do not tell refuted from neutral, besides those without a refuted row.
        recipe: how it is trained.
    """

    sources: Sequence[Path]
    texts: Sequence[Path]
    teacher: Path
    wordnet: Path
    output: Path
    embedding_model: str
    most: Mapping[str, int] = dataclasses.field(default_factory=dict)
    weights: Mapping[str, float] = dataclasses.field(default_factory=dict)
    never_refuted: Collection[str] = ()
    recipe: Recipe = dataclasses.field(default_factory=Recipe)


@dataclass(frozen=True, slots=True)
class MadeAdapter:
    """What was made.

    Args:
        rows: by source, those held back among them.
        held: rows held back.
        pool, kept: pairs that the teachers labelled, and those of them that were learned from.
        auroc: of supported against not, on the rows held back; None where these have one label only.
        bytes: of all files.
    """

    rows: dict[str, int]
    held: int
    pool: int
    kept: int
    auroc: float | None
    bytes: int


def make_adapter(request: AdapterRequest, progress: Progress) -> MadeAdapter:
    """Make an adapter and write it to `request.output`, with the rows held back and its card.

    Teachers learn from the rows and label a pool of pairs; the adapter learns from rows and pool (knowledge
    distillation: Hinton et al. 2015, arXiv:1503.02531). Raises UsageError for what is missing, before anything trains.
    """
    recipe, dice = request.recipe, random.Random(request.recipe.seed)  # noqa: S311  # a sample, not a secret
    sources, texts = _checked(request)
    base, teacher = locate(request.embedding_model), request.teacher
    require_adaptable(base)
    weights_sha256 = {"base": _weights_sha256(base), "teacher": _weights_sha256(teacher)}
    wordnet = read_wordnet(request.wordnet)
    rows = _rows(sources, request, progress)
    held, learned = held_back(rows, dice)
    pool = _pool(_texts(texts, held, learned, request, dice), base, wordnet, dice, progress)
    refuting = refuting_sources(rows, request.never_refuted)
    labels = label_targets(learned, refuting, request.weights)
    taught, teachers_steps = _taught(request, [row.pair for row in learned], labels, pool, progress)
    ours, theirs = taught[: len(learned)], taught[len(learned) :]
    kept = worth_learning(theirs, np.random.default_rng(recipe.seed))
    pairs = [*(row.pair for row in learned), *(pool[place] for place in kept)]
    targets = softened(labels, ours).followed_by(pool_targets(theirs[kept]))
    network, steps = _adapted(base, pairs, targets, recipe, progress)
    progress.phase("Judging the rows held back", len(held))
    tokens = tokenised(base, [row.pair for row in held], recipe.tokens_max)
    scores = judged_by(network, tokens, progress)[:, 0].tolist()
    auroc, by_source = _measured(held, scores)
    card = {
        "base": {"name": request.embedding_model, "weights_sha256": weights_sha256["base"]},
        "teacher": {"name": teacher.name, "weights_sha256": weights_sha256["teacher"]},
        "recipe": dataclasses.asdict(recipe),
        "sources": _described(sources, rows, refuting, request.weights),
        "texts": {source_name(path): {"sha256": sha256_file(path)} for path in texts},
        "pool": {"pairs": len(pool), "kept": len(kept)},
        "steps": {"teachers": teachers_steps, "adapter": steps},
        "held_back": {"rows": len(held), "auroc": auroc, "auroc_by_source": by_source},
    }
    size = _publish(request.output, network, held, card)
    return MadeAdapter(dict(Counter(row.source for row in rows)), len(held), len(pool), len(kept), auroc, size)


def _checked(request: AdapterRequest) -> tuple[list[Path], list[Path]]:
    """The files of rows and of texts. Raises UsageError for what would fail later."""
    if request.output.exists():
        raise UsageError(f"{request.output} exists already.", fix="Name a folder that does not exist yet.")
    if not (request.teacher / "config.json").is_file():
        raise UsageError(
            f"teacher {request.teacher}: there is no transformer in it (config.json).",
            fix="Name a folder with a model such as all-mpnet-base-v2: config.json, tokenizer.json and .safetensors.",
        )
    sources, texts = source_files(request.sources), source_files(request.texts)
    limited, weighed = set(request.most), set(request.weights) | set(request.never_refuted)
    names = {source_name(path) for path in sources}
    unknown = (limited - names - {source_name(path) for path in texts}) | (weighed - names)
    if unknown:
        raise UsageError(f"there is no training file called {', '.join(sorted(unknown))}.")
    return sources, texts


def _rows(sources: Sequence[Path], request: AdapterRequest, progress: Progress) -> list[EntailmentRow]:
    """The labelled rows of all sources, each beside what it is compared with."""
    seed, analyzer = request.recipe.seed, Analyzer()
    read = {path: read_source(path, request.most.get(source_name(path), 10**9), seed=seed) for path in sources}
    progress.phase("Comparing", sum(map(len, read.values())))
    found: list[EntailmentRow] = []
    for path, rows in read.items():
        found += beside_what_is_compared(rows, source_name(path), analyzer)
        progress.advance(len(rows))
    return found


def _texts(
    files: Sequence[Path],
    held: Sequence[EntailmentRow],
    learned: Sequence[EntailmentRow],
    request: AdapterRequest,
    dice: random.Random,
) -> list[TrainingText]:
    """What the pool draws on: texts of the files, and long evidence that no row held back has."""
    found: list[TrainingText] = []
    for path in files:
        rows = read_rows(path, request.most.get(source_name(path), TEXTS_MAX), seed=request.recipe.seed)
        found += [row.positive for row in rows]
    hidden = {row.evidence for row in held}
    by_source: dict[str, dict[str, None]] = {}
    for row in learned:
        if len(row.evidence) >= EVIDENCE_CHARS_MIN and row.evidence not in hidden:
            by_source.setdefault(row.source, {})[row.evidence] = None
    for evidence in by_source.values():
        found += [TrainingText("", text) for text in dice.sample(list(evidence), min(len(evidence), EVIDENCE_MAX))]
    return found


def _pool(
    texts: Sequence[TrainingText], base: Path, wordnet: WordNet, dice: random.Random, progress: Progress
) -> list[Pair]:
    """Pairs without a label: rewordings beside their sentences, and sentences beside others like them."""
    progress.phase("Drawing sentences", len(texts))
    drawn = drawn_sentences(texts, dice, progress)
    progress.phase("Rewording", len(drawn))
    pairs = reworded_pairs(drawn, wordnet, dice, progress)
    progress.phase("Finding neighbours")
    device = computing_device()
    return pairs + neighbour_pairs(drawn, vectors_of(drawn, base, device), dice, device)


def _taught(
    request: AdapterRequest, rows: Sequence[Pair], labels: Targets, pool: Sequence[Pair], progress: Progress
) -> tuple[Floats, list[int]]:
    """What the teachers say of the rows and then the pool, as probabilities, shape (pairs, 2); the steps of each."""
    recipe = request.recipe
    tokens = tokenised(request.teacher, [*rows, *pool], recipe.tokens_max)
    logits, steps = np.zeros((len(tokens), 2), np.float32), []
    for number in range(1, recipe.teachers + 1):
        seed = recipe.seed + number
        network = pair_network(request.teacher, seed)
        progress.phase(f"Training teacher {number} of {recipe.teachers}", recipe.teaching.epochs * len(rows))
        steps.append(train(network, tokens[: len(rows)], labels, recipe.teaching, seed, progress))
        progress.phase(f"Labelling by teacher {number} of {recipe.teachers}", len(tokens))
        logits += judged_by(network, tokens, progress) / recipe.teachers
    return probabilities(logits), steps


def _adapted(
    base: Path, pairs: Sequence[Pair], targets: Targets, recipe: Recipe, progress: Progress
) -> tuple[Any, int]:
    """The embedding model with a trained adapter and head, and the steps taken."""
    seed = recipe.seed + recipe.teachers + 1
    network = pair_network(base, seed)
    adapt(network, recipe.rank)
    progress.phase("Training the adapter", recipe.learning.epochs * len(pairs))
    tokens = tokenised(base, pairs, recipe.tokens_max)
    return network, train(network, tokens, targets, recipe.learning, seed, progress)


def _measured(held: Sequence[EntailmentRow], scores: Sequence[float]) -> tuple[float | None, dict[str, float | None]]:
    """AUROC of supported against not, overall and by source; None where there is one label only."""

    def auroc(places: Sequence[int]) -> float | None:
        figure = binary_auroc([scores[place] for place in places], [held[place].supported for place in places])
        return None if math.isnan(figure) else round(figure, 4)

    by_source: dict[str, list[int]] = {}
    for place, row in enumerate(held):
        by_source.setdefault(row.source, []).append(place)
    return auroc(range(len(held))), {source: auroc(places) for source, places in sorted(by_source.items())}


def _described(
    sources: Sequence[Path], rows: Sequence[EntailmentRow], refuting: Collection[str], weights: Mapping[str, float]
) -> dict[str, dict[str, Any]]:
    """What the card says of each file of rows."""
    counts = Counter(row.source for row in rows)
    return {
        name: {
            "sha256": sha256_file(path),
            "rows": counts[name],
            "weight": weights.get(name, 1.0),
            "tells_refuted": name in refuting,
        }
        for name, path in ((source_name(path), path) for path in sources)
    }


def _publish(output: Path, network: Any, held: Sequence[EntailmentRow], card: Mapping[str, Any]) -> int:
    """Write the folder, whole or not at all; its bytes."""
    build = output.with_name(f".build-{secrets.token_hex(4)}")
    build.mkdir(parents=True)
    try:
        (build / ADAPTER).write_bytes(save(learned_weights(network)))
        lines = [
            {"claim": row.claim, "text": row.text, "supported": row.supported, "source": row.source} for row in held
        ]
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (build / HELD).write_bytes(gzip.compress(text.encode(), mtime=0))
        sealed = {**card, "sha256": {name: sha256_file(build / name) for name in (ADAPTER, HELD)}}
        (build / CARD).write_text(json.dumps(sealed, indent=1) + "\n")
        Disk().publish_folder(build, output)
    finally:
        shutil.rmtree(build, ignore_errors=True)
    return sum(file.stat().st_size for file in output.iterdir())


def _weights_sha256(folder: Path) -> str:
    return read_space(str(folder), folder).weights_sha256
