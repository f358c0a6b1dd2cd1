"""Commands that ask an index: search, ask, serve."""

from __future__ import annotations

import asyncio
import gc
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import service.feedback_commands
from store.commands import IndexOption, JsonOption

if TYPE_CHECKING:
    from service.contract import SearchResponse
    from service.question import Question
    from service.settings import ServiceSettings
    from service.wiring import Service

app = typer.Typer()
app.add_typer(service.feedback_commands.app, name="feedback")

FilterOption = Annotated[
    str | None, typer.Option("--filter", metavar="JSON", help='A metadata filter, as in HTTP: \'{"lang": "en"}\'.')
]
NoBudgets = Annotated[bool, typer.Option("--no-budgets", help="Lift the stage budgets.")]


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="What to look for.")],
    mode: Annotated[str, typer.Option(help="hybrid, dense or lexical.")] = "hybrid",
    top_k: Annotated[int | None, typer.Option(min=1, max=1000, help="How many passages.", show_default="10")] = None,
    filter: FilterOption = None,  # noqa: A002  # the option's name
    rerank: Annotated[bool | None, typer.Option("--rerank/--no-rerank", help="Rerank or not.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Tell how the scores came about.")] = False,
    why: Annotated[
        str | None,
        typer.Option("--why", metavar="DOCUMENT", help="Tell why this document is (not) found.", show_default=False),
    ] = None,
    segment_words: Annotated[
        int | None,
        typer.Option(
            "--segments",
            metavar="WORDS",
            min=0,
            max=2_000,
            help="Merge neighbouring results, and grow each to at least so many words.",
            show_default=False,
        ),
    ] = None,
    no_budgets: NoBudgets = False,
    index: IndexOption = None,
    json: JsonOption = False,
) -> None:
    """Ranked passages for a question."""
    from service.answer import search as run
    from service.budget import Deadline
    from store.text import canonical

    with _service(index, no_budgets) as service, service.holder.lease() as engine:
        settings = service.settings
        wanted = top_k or settings.top_k
        question = _question(
            query,
            settings,
            mode=mode,
            top_k=wanted,
            filter=filter,
            rerank=rerank,
            explain=explain,
            why=None if why is None else canonical(why),
            segment_words=segment_words,
        )
        response = asyncio.run(run(question, engine, Deadline(engine.clock, None)))
    if json:
        typer.echo(response.model_dump_json(indent=2))
    else:
        _show(response)


_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


def _said(text: str) -> str:
    """What a document or a model wrote, without characters by which it would command the terminal."""
    return _CONTROL.sub(" ", text)


def _show(response: SearchResponse) -> None:
    if not response.results:
        typer.echo(f"nothing found: {response.empty_because}")
    for result in response.results:
        scores = " ".join(
            f"{name} {value:.3f}" for name, value in result.scores.model_dump().items() if value is not None
        )
        path = _said(" > ".join(result.passage.section))
        typer.secho(f"{result.rank:>3}. {_said(result.document.title or result.document.id)}", bold=True)
        shown = result.segment or result.passage
        typer.echo(f"     {_said(result.document.id)} [{shown.start}:{shown.end}]  {path}")
        typer.echo(f"     {scores}")
        text = _said(" ".join(shown.text.split()))
        most = 240 if result.segment is None else 2_000
        typer.echo(f"     {text[:most]}{'...' if len(text) > most else ''}\n")
    stages = ", ".join(f"{one.name} {one.took_ms:.1f} ms" for one in response.stages)
    typer.echo(f"generation {response.generation}; {stages}")
    for message in response.degraded:
        typer.secho(f"degraded: {message}", fg=typer.colors.YELLOW)
    if response.explain is not None:
        _show_explanation(response.explain)


def _show_explanation(explanation: dict[str, Any]) -> None:
    for name, value in explanation.items():
        if name not in ("candidates", "why"):
            typer.echo(f"{name:>17}  {value}")
    _show_steps("candidates", explanation["candidates"][:10])
    told = explanation.get("why")
    if told is not None:
        typer.secho(f"\n{told['document_id']}: {told['outcome'].replace('_', ' ')}", bold=True)
        typer.echo(told["reason"])
        if told["passages"]:
            _show_steps("its passages", told["passages"][:10])


def _show_steps(title: str, rows: list[dict[str, Any]]) -> None:
    """Ranks (scores) of each step, a line a passage."""
    typer.echo(f"\n{title:<28} {'rank':>6} {'dense':>14} {'lexical':>14} {'fused':>14} {'rerank':>9}")
    for row in rows:
        legs = " ".join(f"{_step(row[name]):>14}" for name in ("dense", "lexical", "fused"))
        rerank = "-" if row["rerank"] is None else f"{row['rerank']:.3f}"
        typer.echo(f"{row['passage_id']:<28} {row['rank'] or '-':>6} {legs} {rerank:>9}")


def _step(step: dict[str, Any]) -> str:
    rank = "-" if step["rank"] is None else str(step["rank"])
    return rank if step["score"] is None else f"{rank} ({step['score']:.3f})"


@app.command()
def ask(
    query: Annotated[str, typer.Argument(help="The question.")],
    mode: Annotated[str, typer.Option(help="hybrid, dense or lexical.")] = "hybrid",
    filter: FilterOption = None,  # noqa: A002  # the option's name
    guardrail: Annotated[str | None, typer.Option(help="verified (withhold) or flagged (mark).")] = None,
    no_budgets: NoBudgets = False,
    index: IndexOption = None,
    json: JsonOption = False,
) -> None:
    """A cited answer, sentence by sentence, each checked before it is printed."""
    with _service(index, no_budgets) as service:
        settings = service.settings
        wanted = guardrail or settings.guardrail
        question = _question(
            query, settings, mode=mode, top_k=settings.answer_passages, filter=filter, guardrail=wanted
        )
        asyncio.run(_ask(service, question, json=json))


async def _ask(service: Service, question: Question, *, json: bool) -> None:
    from service.answer import answer
    from service.budget import Deadline
    from service.contract import DegradedEvent, PipelineEvent, SentenceEvent, WithheldEvent, fold

    events: list[PipelineEvent] = []
    with service.holder.lease() as engine:
        async for event in answer(question, engine, Deadline(engine.clock, engine.budgets.total_ms)):
            events.append(event)
            if json:
                continue
            match event:
                case SentenceEvent():
                    typer.echo(_said(event.text), nl=False)
                case WithheldEvent():
                    typer.secho(
                        f"\n[withheld: {event.reason}, {event.chars} characters]", fg=typer.colors.YELLOW, err=True
                    )
                case DegradedEvent():
                    typer.secho(f"[degraded: {event.message}]", fg=typer.colors.YELLOW, err=True)
    response = fold(events)
    if json:
        typer.echo(response.model_dump_json(indent=2))
        return
    typer.echo("" if response.answer.endswith("\n") else "\n", nl=False)
    shown: set[int] = set()
    for citation in response.citations:
        typer.echo(
            f"\n[{citation.marker}] {_said(citation.title or citation.document_id)} "
            f"({_said(citation.document_id)} {citation.source_start}-{citation.source_end})"
            if citation.marker not in shown
            else f"    ({citation.source_start}-{citation.source_end})"
        )
        shown.add(citation.marker)
        typer.echo(f'    "{_said(" ".join(citation.quote.split()))}"')
    if response.verdict == "abstained" and response.sources:
        typer.echo("\nNearest sources:")
        for source in response.sources:
            typer.echo(f"  {_said(source.document.title or source.document.id)} ({_said(source.document.id)})")
    typer.echo(f"\n{response.verdict}; generation {response.generation}")


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.", show_default="8000")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes.", show_default="1")] = None,
    fd: Annotated[
        int | None,
        typer.Option(min=0, metavar="NUMBER", help="Serve on this inherited listening socket.", show_default=False),
    ] = None,
    no_budgets: NoBudgets = False,
    index: IndexOption = None,
) -> None:
    """Serve the HTTP API. A new snapshot is noticed, verified, warmed and swapped in without a restart.

    SIGTERM or Ctrl-C: what runs is finished, then it ends; a second one ends it at once. SIGHUP, with several workers:
    these are replaced one by one.
    """
    gc.disable()  # until the service has settled: hardly anything that starting makes is garbage
    from service.http.serve import run
    from service.settings import ServiceSettings
    from store.settings import load_settings

    budgets = False if no_budgets else None
    settings = load_settings(
        ServiceSettings, host=host, port=port, workers=workers, fd=fd, index=index, budgets=budgets
    )
    raise typer.Exit(run(settings))


MCP_HELP = """Offer search, answer and fetch as tools of the Model Context Protocol, over stdin and stdout.

A client starts it. Most are told so in JSON, with the whole path of both:

\b
    {"mcpServers": {"footnote": {
      "command": "/path/to/footnote",
      "args": ["mcp", "--index", "/path/to/index"]
    }}}

A service that runs offers the same at /mcp: {"url": "http://127.0.0.1:8000/mcp"}.
"""


@app.command(help=MCP_HELP)
def mcp(no_budgets: NoBudgets = False, index: IndexOption = None) -> None:
    """Offer the tools over stdin and stdout."""
    from service.http.routes_mcp import is_installed
    from service.settings import ServiceSettings
    from store.errors import UsageError
    from store.settings import load_settings

    if not is_installed():
        raise UsageError(
            "the Model Context Protocol is not installed here.", fix='Install it: pip install "footnote[mcp]".'
        )
    from service.mcp.stdio import run

    run(load_settings(ServiceSettings, index=index, budgets=False if no_budgets else None))


@contextmanager
def _service(index: Path | None, no_budgets: bool) -> Iterator[Service]:
    from service.settings import ServiceSettings
    from service.wiring import Service
    from store.settings import load_settings

    settings = load_settings(ServiceSettings, index=index, budgets=False if no_budgets else None)
    service = Service(settings.without_caches())
    try:
        service.reload()
        yield service
    finally:
        service.close()


def _question(
    query: str,
    settings: ServiceSettings,
    *,
    mode: str,
    top_k: int,
    filter: str | None,  # noqa: A002
    **more: Any,
) -> Question:
    import json

    from service.question import Question
    from store.errors import UsageError
    from store.filters import parse_filter
    from store.text import canonical

    text = canonical(query).strip()
    if not text:
        raise UsageError("the question is empty.", fix="Write it in quotes after the command.")
    size = len(text.encode())
    if size > settings.query_bytes_max:
        raise UsageError(f"the question has {size} bytes; at most {settings.query_bytes_max} are read.")
    if mode not in ("hybrid", "dense", "lexical"):
        raise UsageError(f"unknown mode {mode!r}; known: hybrid, dense, lexical.")
    if more.get("guardrail") not in (None, "verified", "flagged"):
        raise UsageError(f"unknown guardrail {more['guardrail']!r}; known: verified, flagged.")
    try:
        tree = None if filter is None else parse_filter(json.loads(filter))
    except ValueError as error:
        raise UsageError(f"--filter is not JSON: {error}.") from error
    return Question(
        request_id=uuid.uuid4().hex[:16],
        text=text,
        mode=mode,  # type: ignore[arg-type]  # checked above
        top_k=top_k,
        filter=tree,
        **more,
    )
