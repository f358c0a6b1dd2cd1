"""`footnote config show`: every setting, its value, and where it came from."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from store.commands import JsonOption

app = typer.Typer(help="Look at the settings.", no_args_is_help=True)


@app.callback()
def config() -> None:
    """Look at the settings."""


@app.command()
def show(
    json: JsonOption = False,
    names: Annotated[list[str] | None, typer.Argument(help="Only these.", show_default=False)] = None,
) -> None:
    """Every setting, its value, and whether it came from the environment, footnote.toml or is the default.

    Secrets are masked. A name in footnote.toml that is no setting is reported.
    """
    from store.errors import UsageError
    from store.output import emit

    found = {row["name"]: row for row in settings_rows()}
    unknown = [name for name in names or [] if name not in found]
    if unknown:
        raise UsageError(f"no setting is called {unknown[0]!r}.", fix="`footnote config show` lists all.")
    rows = [found[name] for name in names or found]
    if json:
        emit(rows)
        return
    for row in rows:
        typer.echo(f"{row['name']:<27} {row['value']!s:<32} {row['origin']:<14} {row['description']}")
    for name in unknown_names():
        typer.secho(f"footnote.toml: {name!r} is no setting", fg=typer.colors.YELLOW, err=True)


def settings_rows() -> list[dict[str, Any]]:
    """One row a setting over all rooms: name, value, origin, description."""
    import os

    from evaluation.settings import EvaluationSettings
    from indexer.settings import IndexerSettings
    from service.settings import ServiceSettings
    from store.settings import load_settings

    toml = _toml()
    rows: dict[str, dict[str, Any]] = {}
    for kind in (IndexerSettings, ServiceSettings, EvaluationSettings):
        loaded = load_settings(kind)
        shown = loaded.model_dump(mode="json")
        for name, field in kind.model_fields.items():
            variable = f"FOOTNOTE_{name.upper()}"
            in_environment = any(key.upper() == variable for key in os.environ)
            origin = variable if in_environment else "footnote.toml" if name in toml else "default"
            rows[name] = {
                "name": name,
                "value": shown[name],
                "origin": origin,
                "description": field.description or "",
            }
    return list(rows.values())


def unknown_names() -> list[str]:
    """Names in footnote.toml that no room knows."""
    known = {row["name"] for row in settings_rows()}
    return sorted(_toml().keys() - known)


def _toml() -> dict[str, Any]:
    import tomllib
    from pathlib import Path

    from store.settings import TOML_FILE

    path = Path(TOML_FILE)
    return tomllib.loads(path.read_text()) if path.is_file() else {}
