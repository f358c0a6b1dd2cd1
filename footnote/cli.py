"""The command line: composes each room's commands."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import footnote
from footnote.rooms import Rooms

app = typer.Typer(
    name="footnote",
    cls=Rooms,
    help="A retrieval service whose answers can be checked. Start: `footnote index FOLDER`, then `footnote serve`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
    from footnote.config import warn_of_unknown_names

    warn_of_unknown_names()


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
