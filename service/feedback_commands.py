"""`footnote feedback`: what people said of answers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from store.commands import IndexOption, JsonOption

if TYPE_CHECKING:
    from service.ratings import Rated

app = typer.Typer(help="Look at ratings, and make a question set of them.", no_args_is_help=True)

FileOption = Annotated[
    Path | None,
    typer.Option("--file", help="The file of ratings.", show_default="as the setting feedback says"),
]


@app.callback()
def feedback() -> None:
    """Look at ratings, and make a question set of them."""


@app.command("list")
def list_ratings(
    rating: Annotated[str | None, typer.Option(help="Only these: up or down.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=0, help="The latest so many; 0: all.")] = 50,
    file: FileOption = None,
    index: IndexOption = None,
    json: JsonOption = False,
) -> None:
    """The ratings, the latest last, each with its question, verdict and comment."""
    from store.errors import UsageError
    from store.output import emit

    if rating not in (None, "up", "down"):
        raise UsageError(f"unknown rating {rating!r}; known: up, down.")
    found = [one for one in _ratings(file, index) if rating in (None, one.rating)]
    shown = found[-limit:] if limit else found
    if json:
        emit([one.model_dump(mode="json") for one in shown])
        return
    for one in shown:
        where = "" if one.sentence_index is None else f", sentence {one.sentence_index}"
        typer.secho(f"{one.rated[:19]}  {one.rating:<4}  {one.answer.verdict}{where}", bold=True)
        typer.echo(f"  {_line(one.answer.question)}")
        if one.comment:
            typer.echo(f"  comment: {_line(one.comment)}")
    left = len(found) - len(shown)
    if left:
        typer.echo(f"{left} earlier; --limit 0 lists all")
    elif not shown:
        typer.echo("no ratings")


@app.command()
def stats(file: FileOption = None, index: IndexOption = None, json: JsonOption = False) -> None:
    """How many ratings there are, by verdict and by generation."""
    from store.output import emit

    found = counted(_ratings(file, index))
    if json:
        emit(found)
        return
    typer.echo(f"{found['ratings']} ratings of {found['answers']} answers: {found['up']} up, {found['down']} down")
    typer.echo(f"{found['comments']} with a comment, {found['of_sentences']} of single sentences")
    for title, name in (("verdict", "by_verdict"), ("generation", "by_generation")):
        for key, counts in found[name].items():
            typer.echo(f"  {title} {key}: {counts['up']} up, {counts['down']} down")


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Where the set goes.", show_default=False)],
    file: FileOption = None,
    index: IndexOption = None,
    json: JsonOption = False,
) -> None:
    """Write a question set for `footnote evaluate` from what the ratings say, and tell what is left out and why."""
    from service.rated_set import LEFT_OUT, rated_set, write_set
    from store.errors import UsageError
    from store.output import emit

    made = rated_set(_ratings(file, index))
    if not made.queries:
        why = "; ".join(f"{count} left out: {LEFT_OUT[name]}" for name, count in made.left_out.items())
        raise UsageError(f"the ratings say of no question what is right{f' ({why})' if why else ''}.")
    write_set(made, folder)
    answerable = sum(row["answerable"] is True for row in made.queries)
    judged = len({query for query, _ in made.qrels})
    told = {
        "folder": str(folder),
        "questions": len(made.queries),
        "answerable": answerable,
        "unanswerable": len(made.queries) - answerable,
        "with_relevant_documents": judged,
        "left_out": dict(made.left_out),
    }
    if json:
        emit(told)
        return
    typer.echo(
        f"{told['questions']} questions in {folder}: {answerable} answerable ({judged} with relevant documents),"
        f" {told['unanswerable']} not"
    )
    for name, count in made.left_out.items():
        typer.echo(f"{count} questions left out: {LEFT_OUT[name]}")
    typer.echo(f"measure with: footnote evaluate {folder}")


def counted(ratings: list[Rated]) -> dict[str, Any]:
    """What `stats` tells."""
    whole = [one for one in ratings if one.sentence_index is None]
    return {
        "ratings": len(ratings),
        "answers": len({one.answer.request_id for one in ratings}),
        "up": sum(one.rating == "up" for one in ratings),
        "down": sum(one.rating == "down" for one in ratings),
        "comments": sum(bool(one.comment) for one in ratings),
        "of_sentences": len(ratings) - len(whole),
        "by_verdict": _by([(one.answer.verdict, one.rating) for one in whole]),
        "by_generation": _by([(str(one.answer.generation), one.rating) for one in whole]),
    }


def _by(pairs: list[tuple[str, str]]) -> dict[str, dict[str, int]]:
    counts = Counter(pairs)
    return {
        key: {rating: counts[key, rating] for rating in ("up", "down")} for key in sorted({key for key, _ in pairs})
    }


def _ratings(file: Path | None, index: Path | None) -> list[Rated]:
    from service.ratings import read_ratings
    from service.settings import ServiceSettings
    from store.errors import UsageError
    from store.settings import load_settings

    path = file or load_settings(ServiceSettings, index=index).feedback_file
    if path is None:
        raise UsageError("the setting feedback is none: nothing is kept.", fix="Name a file with --file.")
    if file is not None and not file.exists():
        raise UsageError(f"there is no file {file}.")
    return read_ratings(path)


def _line(text: str) -> str:
    return " ".join(text.split())[:200]
