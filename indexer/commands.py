"""Commands that make an index: index, forget, export-reranker."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from store.commands import IndexOption, JsonOption

if TYPE_CHECKING:
    from indexer.erasure import Found

app = typer.Typer()

DONE_WITH_QUARANTINE = 3
"""Exit code: done, but some inputs were set aside."""


@app.command("index")
def index_command(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="A folder, a file, or a .jsonl file of documents; NAME=PATH names the source otherwise.",
            show_default=False,
        ),
    ],
    index: IndexOption = None,
    add: Annotated[bool, typer.Option("--add", help="Keep what other sources brought before.")] = False,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Accept that a source is missing or has nothing left.")
    ] = False,
    include: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="Only files that match.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="No files that match.")] = None,
    base_url: Annotated[str | None, typer.Option(help="Gives files a URL: this, then their path.")] = None,
    embedding_model: Annotated[
        str | None,
        typer.Option(help="A sentence-transformers model by name or folder.", show_default="all-MiniLM-L6-v2"),
    ] = None,
    vectors: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npy",
            help="Vectors made elsewhere: row by row those of the lines of the one JSONL source, each line a passage.",
        ),
    ] = None,
    vectors_model: Annotated[
        str | None,
        typer.Option(
            help="The model that made --vectors, so that questions can be embedded. Checked on a sample. "
            "Absent: questions must bring a vector, or use the lexical leg.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Bring the index up to date with its sources: additions, changes and deletions.

    The index holds exactly the sources given. Nothing changed, nothing published; unchanged text is never embedded
    again; stop it at any time, and the next run goes on where it was.

    Exit code: 0 done, 1 failed (nothing published), 2 usage, 3 done but some inputs were set aside (see the ledger).
    """
    from indexer.build import Request, build
    from indexer.progress import watching
    from indexer.settings import IndexerSettings
    from store.index import IndexDirectory
    from store.output import emit
    from store.settings import load_settings

    settings = load_settings(IndexerSettings, index=index, base_url=base_url, embedding_model=embedding_model)
    request = Request(sources, add, allow_empty, include or (), exclude or (), vectors, vectors_model)
    try:
        with watching() as progress:
            report = build(IndexDirectory(settings.index), request, settings, progress)
    except KeyboardInterrupt:
        typer.echo(
            "footnote: stopped; what was published is untouched, what was embedded is kept for the next run.", err=True
        )
        raise typer.Exit(130) from None
    if json:
        emit(
            {
                "published": report.published,
                "generation": report.generation,
                "snapshot": report.snapshot,
                "documents": report.documents,
                "passages": report.passages,
                "embedded": report.embedded,
                "reused": report.reused,
                "outcomes": report.outcomes,
                "problems": [
                    {"input": one.input, "reason": one.reason, "message": one.message} for one in report.problems
                ],
                "warnings": report.warnings,
                "removed": report.removed,
            }
        )
    else:
        _tell(report)
    if report.outcomes.get("quarantined") or report.outcomes.get("empty"):
        raise typer.Exit(DONE_WITH_QUARANTINE)


@app.command("forget")
def forget_command(
    document_id: Annotated[str, typer.Argument(metavar="DOCUMENT_ID", help="The id, as search results name it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Accept the document again when it comes.")] = False,
    index: IndexOption = None,
) -> None:
    """Erase a document from every kept snapshot and the embedding cache, and refuse it from now on.

    The current snapshot is published anew without it; those that hold it are removed, whoever reads them: a running
    service follows by itself. `footnote index`, `import` and `rollback` refuse it until `--undo`. Take it out of your
    sources and archives too.
    """
    import sys

    from indexer.erasure import find, forget, remember
    from indexer.progress import watching
    from store.errors import UsageError
    from store.index import IndexDirectory
    from store.settings import IndexSettings, load_settings
    from store.text import canonical

    directory = IndexDirectory(load_settings(IndexSettings, index=index).index)
    directory.require_current()
    wanted = canonical(document_id)
    if undo:
        known = remember(directory, wanted)
        typer.echo(f"{wanted!r} is accepted again when it is indexed" if known else f"{wanted!r} was not forgotten")
        return
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("forgetting cannot be taken back, and nobody can be asked.", fix="Add --yes.")
        _tell_before_forgetting(find(directory, wanted), wanted)
        typer.confirm("This cannot be taken back. Go on?", abort=True)
    with watching() as progress:
        done = forget(directory, wanted, progress)
    if done.published:
        typer.echo(f"published {done.published} without {wanted!r}")
    elif not done.removed:
        typer.echo(f"no kept snapshot held {wanted!r}; it is refused from now on")
    if done.removed:
        typer.echo(f"removed {len(done.removed)}: {', '.join(done.removed)}")
    typer.echo(f"{done.embeddings:,} embeddings left the cache; take the document out of your sources and archives too")


def _tell_before_forgetting(found: Found, wanted: str) -> None:
    if found.holding:
        typer.echo(f"{wanted!r} is in {', '.join(found.holding)}; these snapshots will be removed.")
    else:
        typer.echo(f"No kept snapshot holds {wanted!r}; the cache will be purged and the id refused from now on.")
    if found.former:
        typer.echo(f"It was called {', '.join(map(repr, found.former))} before; that is forgotten too.")
    if found.copies:
        typer.echo(f"The same text stays as {', '.join(map(repr, found.copies))}; forget that too if it must go.")
    if found.damaged:
        typer.echo(f"Damaged, so perhaps holding it, and to be removed too: {', '.join(found.damaged)}.")


def _tell(report: object) -> None:
    from indexer.build import Report

    assert isinstance(report, Report)
    what = "published" if report.published else "nothing changed: still"
    typer.echo(
        f"{what} generation {report.generation}: {report.documents:,} documents, {report.passages:,} passages "
        f"({report.embedded:,} embedded, {report.reused:,} reused)"
    )
    typer.echo("inputs: " + ", ".join(f"{count:,} {name}" for name, count in sorted(report.outcomes.items())))
    for one in report.problems[:10]:
        typer.echo(f"  {one.outcome}: {one.message or one.input}", err=True)
    if len(report.problems) > 10:
        typer.echo(f"  ... and {len(report.problems) - 10} more: `footnote status --json` lists all", err=True)
    for warning in report.warnings:
        typer.echo(f"WARNING: {warning}", err=True)


@app.command("export-reranker")
def export_reranker(
    model: Annotated[str, typer.Argument(help="A sentence-transformers CrossEncoder by name or folder.")],
    folder: Annotated[Path, typer.Argument(help="Where to write it; must not exist yet.")],
) -> None:
    """Export a cross-encoder to ONNX for the service, which has no torch (then set FOOTNOTE_RERANKER=FOLDER)."""
    from indexer.encoder import export_cross_encoder

    difference = export_cross_encoder(model, folder)
    typer.echo(f"exported {model} to {folder}; largest difference of a score: {difference:.2e}")
