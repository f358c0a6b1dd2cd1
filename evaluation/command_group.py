"""A group of commands that is itself a command: `evaluate SET...` beside `evaluate compare A B`."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

ITSELF = " "
"""The name, which nobody types, of the command that the group itself is."""


class GroupThatRuns(TyperGroup):
    """Runs the command registered as ITSELF unless the first word names another command.

    A path that is called like a command is reached as ./NAME.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ITSELF first where neither a command nor help is asked for."""
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = [ITSELF, *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: Any) -> list[str]:
        """The commands that have a name."""
        return [name for name in super().list_commands(ctx) if name != ITSELF]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The group's help, then that of the command that it is."""
        super().format_help(ctx, formatter)
        itself = self.commands[ITSELF]
        with type(ctx)(itself, info_name=ctx.info_name, parent=ctx.parent) as own:
            itself.format_help(own, formatter)
