"""The command line: composes each room's commands."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import evaluation.commands
import footnote
import footnote.calibrating
import footnote.config
import indexer.commands
import service.commands
import store.commands
import training.commands

app = typer.Typer(
    name="footnote",
    help="A retrieval service whose answers can be checked. Start: `footnote index FOLDER`, then `footnote serve`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for room in (indexer.commands, service.commands, store.commands, evaluation.commands, training.commands):
    app.registered_commands.extend(room.app.registered_commands)
    app.registered_groups.extend(room.app.registered_groups)
for command in app.registered_commands:
    if command.name in footnote.calibrating.COMMANDS and command.callback is not None:
        command.callback = footnote.calibrating.then_calibrated(command.callback)
app.add_typer(footnote.config.app, name="config")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(footnote.__version__)
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """A retrieval service whose answers can be checked. Start: `footnote index FOLDER`, then `footnote serve`."""
    footnote.config.warn_of_unknown_names()


def main() -> None:
    """Run the command line; errors a user can act on are one message, never a traceback."""
    from store.errors import FootnoteError, UsageError

    try:
        app()
    except UsageError as error:
        _fail(str(error), 2)
    except FootnoteError as error:
        _fail(str(error), 1)
    except KeyboardInterrupt:
        _fail("stopped.", 130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        _fail(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", 1)


def _fail(message: str, code: int) -> None:
    sys.stderr.write(f"footnote: {message}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
