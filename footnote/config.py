"""`footnote config show`: every setting, its value, and where it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from store.commands import JsonOption

if TYPE_CHECKING:
    from store.settings import IndexSettings

app = typer.Typer()
settings = typer.Typer(help="Look at the settings.", no_args_is_help=True)
app.add_typer(settings, name="config")


@settings.callback()
def config() -> None:
    """Look at the settings."""


@settings.command()
def show(
    json: JsonOption = False,
    names: Annotated[list[str] | None, typer.Argument(help="Only these.", show_default=False)] = None,
) -> None:
    """Every setting, its value, and whether it came from the environment, footnote.toml or is the default.

    Secrets are masked.
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


def settings_rows() -> list[dict[str, Any]]:
    """One row a setting over all rooms: name, value, origin, description."""
    import os

    from store.settings import load_settings

    toml = _toml()
    rows: dict[str, dict[str, Any]] = {}
    for kind in _kinds():
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


def warn_of_unknown_names() -> None:
    """Tell people which names in footnote.toml no room knows, and which one they may have meant."""
    names = _toml()
    if not names:
        return
    from difflib import get_close_matches

    known = [name for kind in _kinds() for name in kind.model_fields]
    for name in sorted(names.keys() - set(known)):
        close = get_close_matches(name, known, 1)
        hint = f"; did you mean {close[0]!r}?" if close else "; `footnote config show` lists all settings"
        typer.secho(f"footnote.toml: {name!r} is no setting{hint}", fg=typer.colors.YELLOW, err=True)


def _kinds() -> tuple[type[IndexSettings], ...]:
    from evaluation.settings import EvaluationSettings
    from indexer.settings import IndexerSettings
    from service.settings import ServiceSettings

    return IndexerSettings, ServiceSettings, EvaluationSettings


def _toml() -> dict[str, Any]:
    """What footnote.toml says; nothing where there is none. Raises UsageError where it cannot be read."""
    from pathlib import Path

    path = Path("footnote.toml")  # store.settings.TOML_FILE, whose import every `--help` would pay for
    if not path.is_file():
        return {}
    import tomllib

    from store.errors import UsageError

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
