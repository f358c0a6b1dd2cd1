"""The one file that knows how a reranker is made: read rows, mine negatives, train, export."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from indexer.encoder import export_cross_encoder
from indexer.model import locate
from indexer.progress import Progress
from indexer.settings import IndexerSettings
from store.errors import UsageError
from training.cross_encoder import Recipe, train
from training.examples import Example
from training.mining import index_of_rows, mine
from training.rows import read_rows, source_files, source_name


@dataclass(frozen=True, slots=True)
class RerankerRequest:
    """What to make a reranker of.

    Args:
        sources: files and folders of training rows.
        output: the folder that the service reads; must not exist yet.
        work: where indexes, examples and checkpoints are kept, so that a stopped run goes on.
        rows_max: rows taken of each file at most.
        negatives: for each question.
        pseudo_share: pseudo-questions made of the files' texts, for each row.
        recipe: how to train.
    """

    sources: Sequence[Path]
    output: Path
    work: Path
    rows_max: int = 1000
    negatives: int = 4
    pseudo_share: float = 0.3
    recipe: Recipe = dataclasses.field(default_factory=Recipe)


@dataclass(frozen=True, slots=True)
class Made:
    """What was made: examples by source, and how far the export's scores are from the model's at most."""

    examples: dict[str, int]
    difference: float
    bytes: int


def make_reranker(request: RerankerRequest, settings: IndexerSettings, progress: Progress) -> Made:
    """Make a reranker and write it to `request.output`, in int8, with `card.json` beside it."""
    if request.output.exists():
        raise UsageError(f"{request.output} exists already.", fix="Name a folder that does not exist yet.")
    files = source_files(request.sources)
    examples = {source_name(path): _examples(path, request, settings, progress) for path in files}
    everything = [one for some in examples.values() for one in some]
    run = _digest([dataclasses.asdict(request.recipe), [_drawn(path, request) for path in files]])
    trained = train(everything, locate(settings.embedding_model), request.work / "runs" / run, request.recipe, progress)
    progress.phase("Exporting")
    difference = export_cross_encoder(str(trained), request.output, int8=True)
    card = {
        "base": settings.embedding_model,
        "recipe": dataclasses.asdict(request.recipe),
        "negatives": request.negatives,
        "pseudo_share": request.pseudo_share,
        "sources": {
            source_name(path): {"sha256": _sha256(path), "examples": len(examples[source_name(path)])} for path in files
        },
    }
    (request.output / "card.json").write_text(json.dumps(card, indent=1) + "\n")
    size = sum(file.stat().st_size for file in request.output.iterdir())
    return Made({name: len(some) for name, some in examples.items()}, difference, size)


def _examples(path: Path, request: RerankerRequest, settings: IndexerSettings, progress: Progress) -> list[Example]:
    """The file's examples: those mined before, or mined now."""
    name = source_name(path)
    kept = request.work / "examples" / f"{name}-{_drawn(path, request)}.jsonl"
    if kept.is_file():
        return [Example(**json.loads(line)) for line in kept.read_text().splitlines()]
    rows = read_rows(path, request.rows_max, seed=request.recipe.seed)
    mined = mine(
        rows,
        index_of_rows(rows, request.work / "indexes" / f"{name}-{request.rows_max}", settings, progress),
        negatives=request.negatives,
        pseudo_share=request.pseudo_share,
        seed=request.recipe.seed,
        progress=progress,
    )
    kept.parent.mkdir(parents=True, exist_ok=True)
    aside = kept.with_suffix(".new")
    aside.write_text("".join(json.dumps(dataclasses.asdict(one)) + "\n" for one in mined))
    aside.rename(kept)
    return mined


def _drawn(path: Path, request: RerankerRequest) -> str:
    """What tells one file's examples from another's."""
    choices = [request.rows_max, request.negatives, request.pseudo_share, request.recipe.seed]
    return _digest([_sha256(path), *choices])


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
