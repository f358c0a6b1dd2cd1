"""Help drawn without importing what draws none of it.

typer draws help with rich, and imports for that rich's Markdown and its tracebacks too, and through them a parser and a
highlighter: a third of the time of `footnote --help`, which has neither.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

UNUSED = {"rich.markdown": "Markdown", "rich.traceback": "Traceback"}
"""What typer takes of which module."""


class _Later(type):
    """The type of classes that stand for one of the same name, whose module is imported when it is used after all."""

    def real(cls) -> Any:
        return getattr(import_module(cls.__module__), cls.__name__)

    def __call__(cls, *arguments: Any, **named: Any) -> Any:
        return cls.real()(*arguments, **named)

    def __getattr__(cls, name: str) -> Any:
        return getattr(cls.real(), name)


def import_drawing() -> None:
    """Import typer's drawing, with stand-ins for what UNUSED names unless that was imported before."""
    standing_in = {
        module: _stand_in(module, name)
        for module, name in UNUSED.items()
        if not {module, "typer.rich_utils"} & sys.modules.keys()
    }
    sys.modules.update(standing_in)
    try:
        import_module("typer.rich_utils")
    finally:
        for module in standing_in:
            del sys.modules[module]


def _stand_in(module: str, name: str) -> ModuleType:
    made = ModuleType(module)
    setattr(made, name, _Later(name, (), {"__module__": module}))
    return made
