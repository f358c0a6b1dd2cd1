"""The commands that make models: train reranker, train verifier, train entailment."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()
training = typer.Typer(help="Make the small models that Footnote can use. Needs the extra `training`.")
app.add_typer(training, name="train")


@training.callback()
def of_training() -> None:
    """Make the small models that Footnote can use. Needs the extra `training`."""


@training.command("reranker")
def reranker_command(
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCE...", help="Files or folders of training rows.")],
    output: Annotated[Path, typer.Option(help="Where the service's FOOTNOTE_RERANKER will point; must not exist.")],
    work: Annotated[Path, typer.Option(help="Where indexes, examples and checkpoints are kept.")] = Path(
        "~/.cache/footnote/training"
    ),
    rows: Annotated[int, typer.Option(min=1, help="Rows taken of each file at most.")] = 1000,
    negatives: Annotated[int, typer.Option(min=1, help="Texts that do not answer, for each question.")] = 4,
    pseudo_share: Annotated[float, typer.Option(min=0, help="Questions made of the texts, for each row.")] = 0.3,
    layers: Annotated[int, typer.Option(min=1, help="Layers of the embedding model that are kept.")] = 3,
    epochs: Annotated[float, typer.Option(min=0, help="How often every example is seen.")] = 1.0,
    tokens_max: Annotated[int, typer.Option(min=32, max=512, help="A question and a text are cut to this.")] = 160,
    learning_rate: Annotated[float, typer.Option(min=0, help="AdamW's, at its highest.")] = 1e-4,
    bf16: Annotated[bool, typer.Option(help="Matrix products in bfloat16; quicker where the CPU has it.")] = False,
) -> None:
    """Train a small cross-encoder on questions and the texts that answer them, and export it for the service.

    A row is {"query", "positive": {"title", "text"}, "negatives"?: [...]}, a line of .jsonl or .jsonl.gz. Negatives are
    mined with both legs; questions made of the texts are added. A run that was stopped goes on where it was.

        footnote train reranker rows/ --output models/reranker --layers 3
        FOOTNOTE_RERANKER=models/reranker footnote evaluate ablate sets/mine --only rerank
    """
    from indexer.progress import watching
    from indexer.settings import IndexerSettings
    from store.settings import load_settings
    from training.cross_encoder import Recipe
    from training.reranker import RerankerRequest, make_reranker

    _require_packages("torch", "datasets", "accelerate")
    recipe = Recipe(layers=layers, tokens_max=tokens_max, learning_rate=learning_rate, epochs=epochs, bf16=bf16)
    request = RerankerRequest(
        sources=sources,
        output=output,
        work=work.expanduser(),
        rows_max=rows,
        negatives=negatives,
        pseudo_share=pseudo_share,
        recipe=recipe,
    )
    with watching() as progress:
        made = make_reranker(request, load_settings(IndexerSettings, index=None), progress)
    for name, count in made.examples.items():
        typer.echo(f"{name:>28}: {count:,} examples")
    typer.echo(
        f"wrote {output}: {made.bytes / 1e6:.1f} MB; scores differ from the model's by {made.difference:.3f} at most"
    )


@training.command("verifier")
def verifier_command(
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCE...", help="Files or folders of training rows.")],
    output: Annotated[Path, typer.Option(help="Where FOOTNOTE_VERIFIER will point; must not exist.")],
    work: Annotated[Path, typer.Option(help="Where the exported encoder and figures are kept.")] = Path(
        "~/.cache/footnote/training"
    ),
    most: Annotated[
        list[str] | None, typer.Option(metavar="FILE=ROWS", help="Rows taken of a file at most; may be given again.")
    ] = None,
    rarity_from: Annotated[
        list[Path] | None, typer.Option(help="Files whose evidence tells how rare words are; else the sources.")
    ] = None,
    adapter: Annotated[
        Path | None,
        typer.Option(help="What `footnote train entailment` wrote; else the guardrail keeps the scorer it comes with."),
    ] = None,
    ridge: Annotated[float, typer.Option(min=1e-6, help="The penalty on squared weights.")] = 0.06,
) -> None:
    """Train the support scorer on claims and their evidence, and export it for the service.

    It holds two: one of texts of any length, trained here, and the guardrail's, of one sentence beside another, which
    an adapter makes (`footnote train entailment`); without one the guardrail's is the one that comes with Footnote.

    A row is {"claim", "evidence", "label": "supported"|"refuted"|"neutral"}, a line of .jsonl or .jsonl.gz. The
    embedding model is taken as it is; what is learned is a linear model of how its token vectors and words meet. Every
    file weighs the same, and each is scored by a model of the others to calibrate and to set the thresholds. A run that
    was stopped goes on where it was.

        footnote train verifier rows/ --output models/verifier --most snli=5000
        FOOTNOTE_VERIFIER=models/verifier footnote evaluate support claims.jsonl
    """
    from indexer.progress import watching
    from indexer.settings import IndexerSettings
    from store.settings import load_settings
    from training.verifier import VerifierRequest, make_verifier

    _require_packages("torch", "onnx")
    request = VerifierRequest(
        sources=sources,
        rarity_from=rarity_from or [],
        output=output,
        work=work.expanduser() / "verifier",
        most=dict(map(_rows_of, most or [])),
        adapter=adapter,
        ridge=ridge,
    )
    with watching() as progress:
        made = make_verifier(request, load_settings(IndexerSettings, index=None), progress)
    for name, count in made.examples.items():
        typer.echo(f"{name:>28}: {count:,} examples")
    typer.echo(
        f"wrote {output}: {made.bytes / 1e6:.1f} MB; on sources left out, mean balanced accuracy "
        f"{made.balanced_accuracy:.3f}, AUROC {made.auroc:.3f}"
    )


@training.command("entailment")
def entailment_command(
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCE...", help="Files or folders of training rows.")],
    texts: Annotated[
        list[Path], typer.Option(help="Files or folders of rows as `train reranker` takes them; may be given again.")
    ],
    teacher: Annotated[Path, typer.Option(help="The folder of a larger transformer, such as all-mpnet-base-v2.")],
    wordnet: Annotated[Path, typer.Option(help="The folder of WordNet 3.0's files, such as /usr/share/wordnet.")],
    output: Annotated[Path, typer.Option(help="Where the adapter is written; must not exist.")],
    most: Annotated[
        list[str] | None, typer.Option(metavar="FILE=ROWS", help="Rows taken of a file at most; may be given again.")
    ] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE=W", help="What a row of a file counts, else 1; may be given again."),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="How often the adapter sees every pair.")] = 4,
    teacher_epochs: Annotated[int, typer.Option(min=1, help="How often each teacher sees every row.")] = 3,
) -> None:
    """Teach the embedding model to judge support: train an adapter (LoRA) that larger models show how to.

    A row is {"claim", "evidence", "label": "supported"|"refuted"|"neutral"}, a line of .jsonl or .jsonl.gz. Two
    teachers learn from the rows, then label pairs that nobody did: sentences of the texts and of long evidence, beside
    their rewordings and beside sentences like them. The adapter learns from both. One row in 25 is held back and
    written next to it. A GPU takes ten minutes for 75,000 rows, CPUs take days.

        footnote train entailment rows/ --texts questions/ --teacher models/mpnet --wordnet wordnet/ --output adapter
        footnote train entailment rows/ ... --most snli=5000 --weight wice=3 --weight snli=0.7
    """
    from dataclasses import replace

    from indexer.progress import watching
    from indexer.settings import IndexerSettings
    from store.settings import load_settings
    from training.entailment import AdapterRequest, Recipe, make_adapter

    _require_packages("torch", "sentence_transformers")
    recipe = Recipe()
    request = AdapterRequest(
        sources=sources,
        texts=texts,
        teacher=teacher,
        wordnet=wordnet,
        output=output,
        embedding_model=load_settings(IndexerSettings, index=None).embedding_model,
        most=dict(map(_rows_of, most or [])),
        weights=dict(map(_weight_of, weight or [])),
        recipe=replace(
            recipe,
            teaching=replace(recipe.teaching, epochs=teacher_epochs),
            learning=replace(recipe.learning, epochs=epochs),
        ),
    )
    with watching() as progress:
        made = make_adapter(request, progress)
    for name, count in made.rows.items():
        typer.echo(f"{name:>28}: {count:,} rows")
    typer.echo(f"{'without a label':>28}: {made.pool:,} pairs, of which {made.kept:,} were learned from")
    typer.echo(
        f"wrote {output}: {made.bytes / 1e6:.1f} MB; on {made.held:,} rows held back, AUROC "
        + ("unknown: they have one label only" if made.auroc is None else f"{made.auroc:.3f}")
    )


def _rows_of(given: str) -> tuple[str, int]:
    name, _, rows = given.rpartition("=")
    if not name or not rows.isdecimal() or int(rows) == 0:
        raise typer.BadParameter(f"{given!r} is not FILE=ROWS, such as snli=5000.", param_hint="--most")
    return name, int(rows)


def _weight_of(given: str) -> tuple[str, float]:
    name, _, weight = given.rpartition("=")
    if not name or re.fullmatch(r"\d+(?:\.\d+)?|\.\d+", weight) is None or float(weight) == 0:
        raise typer.BadParameter(f"{given!r} is not FILE=W, such as wice=3 or snli=0.7.", param_hint="--weight")
    return name, float(weight)


def _require_packages(*names: str) -> None:
    from importlib.util import find_spec

    from store.errors import UsageError

    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"training needs {', '.join(missing)}.",
            fix="Install Footnote with the extras indexer, evaluation and training.",
        )
