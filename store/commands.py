"""Commands that look after an index: status, verify, history, rollback, prune, diff, export, import."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Annotated, Any

import typer

from store.output import watched_bytes

app = typer.Typer()

IndexOption = Annotated[
    Path | None,
    typer.Option("--index", metavar="DIR", help="The index directory.", show_default="data/index"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@app.command()
def status(index: IndexOption = None, json: JsonOption = False) -> None:
    """What the index holds: generation, counts, model, and inputs that were set aside."""
    from store.files import check_file
    from store.index import IndexDirectory, generation_of
    from store.kept import held
    from store.ledger import LedgerEntry, read_ledger
    from store.output import emit
    from store.settings import IndexSettings, load_settings

    directory = IndexDirectory(load_settings(IndexSettings, index=index).index)
    with held(directory) as (folder, manifest):
        ledger = manifest.files["ledger.jsonl"]
        check_file(folder / "ledger.jsonl", sha256=ledger.sha256, size=ledger.size)
        entries = [line for line in read_ledger(folder / "ledger.jsonl") if isinstance(line, LedgerEntry)]
    problems = [entry for entry in entries if entry.outcome in ("quarantined", "empty")]
    size = sum(entry.size for entry in manifest.files.values())
    facts: dict[str, Any] = {
        "index": str(directory.path),
        "generation": manifest.generation,
        "snapshot": folder.name,
        "created_at": manifest.created_at,
        "documents": manifest.counts.documents,
        "passages": manifest.counts.passages,
        "set_aside": len(problems),
        "bytes": size,
        "model": manifest.space.model,
        "fingerprint": manifest.space.fingerprint,
        "dimension": manifest.space.dimension,
        "vector_index": manifest.vector_index.kind,
        "recall_at_10": manifest.vector_index.recall_at_10,
        "analyzer": manifest.analyzer,
        "kept_generations": [generation_of(path.name) for path in directory.published()],
    }
    if json:
        problem_lines = [{"input": one.input, "reason": one.reason, "message": one.message} for one in problems]
        emit({**facts, "problems": problem_lines})
        return
    for name, value in facts.items():
        typer.echo(f"{name:>17}  {value}")
    for one in problems[:20]:
        typer.echo(f"  {one.outcome}: {one.message or one.input}")
    if len(problems) > 20:
        typer.echo(f"  ... and {len(problems) - 20} more (--json lists all)")


@app.command()
def verify(index: IndexOption = None, json: JsonOption = False) -> None:
    """Check every byte of every kept snapshot, exported encoder and file beside them. Shows all that is wrong."""
    from store.errors import StoreCorrupt
    from store.index import IndexDirectory
    from store.output import emit
    from store.settings import IndexSettings, load_settings
    from store.verification import verified_files, verified_snapshots

    directory = IndexDirectory(load_settings(IndexSettings, index=index).index)
    try:
        current = directory.require_current().name
    except StoreCorrupt:  # is among what is found below
        current = None
    found = [*verified_snapshots(directory), *verified_files(directory)]
    whole = all(one["ok"] for one in found)
    if json:
        emit({"ok": whole, "current": current, "snapshots": found})
    else:
        for one in found:
            mark = "current" if one["snapshot"] == current else "kept"
            state = f"ok, {one['files']} files" if one["ok"] else f"DAMAGED: {one['error']}"
            typer.echo(f"{one['snapshot']}  {mark:7}  {state}")
    if not whole:
        raise typer.Exit(1)


@app.command()
def history(index: IndexOption = None, json: JsonOption = False) -> None:
    """The kept snapshots, newest first, those that cannot be read included."""
    from store.index import IndexDirectory, generation_of
    from store.output import emit
    from store.settings import IndexSettings, load_settings

    directory = IndexDirectory(load_settings(IndexSettings, index=index).index)
    current = directory.require_current()
    lines = [
        {
            "generation": generation_of(one.folder.name),
            "snapshot": one.folder.name,
            "current": one.is_named(current),
            "created_at": one.manifest and one.manifest.created_at,
            "documents": one.manifest and one.manifest.counts.documents,
            "passages": one.manifest and one.manifest.counts.passages,
            "parent": one.manifest and one.manifest.parent,
            "error": one.error and one.error.message,
        }
        for one in directory.listing()
    ]
    if json:
        emit({"snapshots": lines})
        return
    for line in lines:
        mark = "*" if line["current"] else " "
        if line["error"] is not None:
            typer.echo(f"{mark} {line['generation']:>6}  cannot be read: {line['error']}")
            continue
        typer.echo(
            f"{mark} {line['generation']:>6}  {line['created_at']}  {line['documents']:>8} documents  "
            f"{line['passages']:>9} passages  {line['snapshot']}"
        )


@app.command()
def rollback(
    generation: Annotated[int, typer.Argument(help="A kept generation (see `footnote history`).")],
    index: IndexOption = None,
) -> None:
    """Make a kept generation the current one, after verifying every byte of it. A running service follows by itself."""
    from store.index import IndexDirectory
    from store.settings import IndexSettings, load_settings

    directory = IndexDirectory(load_settings(IndexSettings, index=index).index)
    if not directory.published():
        directory.require_current()
    with directory.lock():  # a damaged CURRENT is what this mends
        current = directory.rollback(generation)
    typer.echo(f"current is now {current.name}")


@app.command()
def prune(
    keep: Annotated[
        int | None, typer.Option(min=1, help="How many of the newest snapshots to keep.", show_default="3")
    ] = None,
    index: IndexOption = None,
) -> None:
    """Remove old snapshots, never the current one nor one that a reader holds."""
    from store.index import IndexDirectory
    from store.settings import IndexSettings, load_settings

    settings = load_settings(IndexSettings, index=index, keep_generations=keep)
    directory = IndexDirectory(settings.index)
    directory.require_current()
    with directory.lock():
        removed = directory.prune(settings.keep_generations)
    typer.echo(f"removed {len(removed)}: {', '.join(removed)}" if removed else "nothing to remove")


@app.command()
def diff(
    before: Annotated[int, typer.Argument(metavar="A", help="A kept generation (see `footnote history`).")],
    after: Annotated[int, typer.Argument(metavar="B", help="Another one.")],
    index: IndexOption = None,
    lines: Annotated[int, typer.Option("--lines", min=0, help="How many documents to list; JSON lists all.")] = 20,
    json: JsonOption = False,
) -> None:
    """What generation B has that A had not: documents and passages added (+), changed (~) and removed (-)."""
    from dataclasses import asdict

    from store.difference import difference
    from store.index import IndexDirectory
    from store.output import emit_list
    from store.settings import IndexSettings, load_settings

    directory = IndexDirectory(load_settings(IndexSettings, index=index).index)
    with difference(directory, before, after) as found:
        if json:
            emit_list(
                {"from": before, "to": after},
                "changes",
                map(asdict, found.changes()),
                lambda: {
                    "documents": asdict(found.documents),
                    "passages": asdict(found.passages),
                    "unlike": found.unlike,
                },
            )
            return
        changes = found.changes()
        listed = list(itertools.islice(changes, lines))
        more = sum(1 for _ in changes)
        unlike = found.unlike
    for name, counts in (("documents", found.documents), ("passages", found.passages)):
        typer.echo(
            f"{name:>9}: {counts.added:,} added, {counts.changed:,} changed, {counts.removed:,} removed, "
            f"{counts.same:,} the same"
        )
    for name, values in unlike.items():
        typer.echo(f"{name:>9}: {values[0]} before, {values[1]} after")
    for one in listed:
        passages = f"passages +{len(one.added)} ~{len(one.changed)} -{len(one.removed)}"
        what = ", ".join([*one.fields, passages])
        typer.echo(f"{ {'added': '+', 'changed': '~', 'removed': '-'}[one.change] } {one.id}  ({what})")
    if more:
        typer.echo(f"  ... and {more:,} more (--lines N lists more, --json all)")


@app.command("export")
def export_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The archive to write; one that is there is replaced.")],
    generation: Annotated[
        int | None, typer.Option(help="A kept generation; absent, the current one.", show_default=False)
    ] = None,
    index: IndexOption = None,
) -> None:
    """Write a snapshot, with its vectors and query encoder, to one archive. Serving goes on meanwhile."""
    from store.archive import export_archive
    from store.index import IndexDirectory
    from store.settings import IndexSettings, load_settings

    directory = IndexDirectory(load_settings(IndexSettings, index=index).index)
    with watched_bytes("Exporting") as advance:
        done = export_archive(directory, file, generation, advance)
    counts = done.manifest.counts
    typer.echo(
        f"exported {done.snapshot} to {file}: {counts.documents:,} documents, {counts.passages:,} passages, "
        f"{done.size:,} bytes"
    )


@app.command("import")
def import_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An archive that `footnote export` wrote.")],
    index: IndexOption = None,
) -> None:
    """Make an archive's snapshot the current one, after verifying every byte of it. Nothing is embedded again.

    What is current already is not published again. Old snapshots beyond `keep_generations` are removed.
    """
    from store.arrival import import_archive
    from store.index import IndexDirectory
    from store.settings import IndexSettings, load_settings

    settings = load_settings(IndexSettings, index=index)
    directory = IndexDirectory(settings.index)
    with watched_bytes("Importing") as advance:
        done = import_archive(directory, file, advance)
    counts = done.manifest.counts
    held = f"{counts.documents:,} documents, {counts.passages:,} passages"
    if not done.published:
        typer.echo(f"nothing to do: {done.snapshot}, which is current, has this very content: {held}")
        return
    renamed = "" if done.snapshot == done.exported_as else f" as {done.snapshot}"
    typer.echo(f"imported {done.exported_as}{renamed}, which is current now: {held}")
    if done.space_before:
        space = done.manifest.space
        typer.echo(
            f"WARNING: the embedding model was {done.space_before} and is {space.model} ({space.fingerprint}) now; "
            "indexing with the old one embeds everything again.",
            err=True,
        )
    with directory.lock():
        removed = directory.prune(settings.keep_generations)
    if removed:
        typer.echo(f"removed {len(removed)}: {', '.join(removed)}")
