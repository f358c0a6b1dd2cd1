"""The names of figures about answers, and how they are laid side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

WRITTEN = "written_"
"""What the name of a figure begins with that is of a model's text before anything was checked."""

V = TypeVar("V")


def written_beside(figures: Mapping[str, V]) -> list[tuple[str, V | None, V | None]]:
    """(name, the figure of answers as they left, that of what a model wrote), in order; None where there is none."""
    names = dict.fromkeys(name.removeprefix(WRITTEN) for name in figures)
    return [(name, figures.get(name), figures.get(f"{WRITTEN}{name}")) for name in names]
