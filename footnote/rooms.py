"""The commands of all rooms: which module has each, imported once it is asked for, and the page that lists them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any

from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from footnote.drawing import import_drawing

INDEXER, SERVICE, STORE = "indexer.commands", "service.commands", "store.commands"
EVALUATION, TRAINING, SETTINGS = "evaluation.commands", "training.commands", "footnote.config"

COMMANDS = {
    "index": (INDEXER, "Bring the index up to date with its sources: additions, changes and deletions."),
    "forget": (
        INDEXER,
        "Erase a document from every kept snapshot and the embedding cache, and refuse it from now on.",
    ),
    "export-reranker": (
        INDEXER,
        "Export a cross-encoder to ONNX for the service, which has no torch (then set FOOTNOTE_RERANKER=FOLDER).",
    ),
    "search": (SERVICE, "Ranked passages for a question."),
    "ask": (SERVICE, "A cited answer, sentence by sentence, each checked before it is printed."),
    "serve": (
        SERVICE,
        "Serve the HTTP API. A new snapshot is noticed, verified, warmed and swapped in without a restart.",
    ),
    "mcp": (SERVICE, "Offer search, answer and fetch as tools of the Model Context Protocol, over stdin and stdout."),
    "status": (STORE, "What the index holds: generation, counts, model, and inputs that were set aside."),
    "verify": (
        STORE,
        "Check every byte of every kept snapshot, exported encoder and file beside them. Shows all that is wrong.",
    ),
    "history": (STORE, "The kept snapshots, newest first, those that cannot be read included."),
    "rollback": (
        STORE,
        (
            "Make a kept generation the current one, after verifying every byte of it. "
            "A running service follows by itself."
        ),
    ),
    "prune": (STORE, "Remove old snapshots, never the current one nor one that a reader holds."),
    "diff": (
        STORE,
        "What generation B has that A had not: documents and passages added (+), changed (~) and removed (-).",
    ),
    "export": (
        STORE,
        "Write a snapshot, with its vectors and query encoder, to one archive. Serving goes on meanwhile.",
    ),
    "import": (
        STORE,
        "Make an archive's snapshot the current one, after verifying every byte of it. Nothing is embedded again.",
    ),
    "calibrate": (
        EVALUATION,
        "Weigh the legs of the current snapshot again, and set when it refuses, by questions made of its own passages.",
    ),
    "feedback": (SERVICE, "Look at ratings, and make a question set of them."),
    "evaluate": (EVALUATION, "Measure retrieval and answers on question sets, compare runs, and look at them."),
    "train": (TRAINING, "Make the small models that Footnote can use. Needs the extra `training`."),
    "config": (SETTINGS, "Look at the settings."),
}
"""The module whose `app` has the command, and the first paragraph of its help, which `footnote --help` shows."""


class Rooms(TyperGroup):
    """The group of all commands. Its help is written from COMMANDS alone: importing what it lists takes longer than
    showing it, and a command needs its own room only.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = _Commands()  # type: ignore[assignment]  # nobody adds to them

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  # the signature of groups
        """Their names, as they are listed."""
        return list(COMMANDS)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The page of a group that has the names and first paragraphs, and nothing behind them."""
        page = TyperGroup(
            name=self.name,
            help=self.help,
            params=self.params,
            commands=[TyperCommand(name, help=says) for name, (_, says) in COMMANDS.items()],
            rich_markup_mode=self.rich_markup_mode,
        )
        import_drawing()
        page.format_help(ctx, formatter)


class _Commands(Mapping[str, Any]):
    def __getitem__(self, name: str) -> Any:
        module, _ = COMMANDS[name]
        return _commands_of(module)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


@cache
def _commands_of(module: str) -> Mapping[str, Any]:
    """Those of one room; what publishes a snapshot weighs its legs after that."""
    from footnote.calibrating import COMMANDS as PUBLISHING
    from footnote.calibrating import then_calibrated

    app = import_module(module).app
    for command in app.registered_commands:
        if command.name in PUBLISHING and command.callback is not None:
            command.callback = then_calibrated(command.callback)
    return get_group(app).commands
