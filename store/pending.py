"""Snapshots that are in their place but not published yet: an empty file `.pending-<name>` stands beside each.

The folder must be there before CURRENT can name it. A run that stops in between would leave one that looks published
and never was. So its name is noted durably before the folder gets it, and the note goes once CURRENT is durable.
"""

from __future__ import annotations

import os
from pathlib import Path

from store.files import Disk

_PREFIX = ".pending-"


def note_pending(snapshots: Path, name: str, disk: Disk) -> None:
    """Durably note that a folder of this name is not published yet. Before the folder gets the name."""
    disk.write(_note(snapshots, name), b"")
    disk.fsync(_note(snapshots, name))
    disk.fsync(snapshots)


def is_pending(snapshots: Path, name: str) -> bool:
    """Whether such a note is there. Who lists folders without the lock lists first, then asks: the note comes first."""
    return os.path.lexists(_note(snapshots, name))


def pending_names(snapshots: Path) -> list[str]:
    """The names that are noted, whether or not the folder is there."""
    return sorted(path.name.removeprefix(_PREFIX) for path in snapshots.glob(f"{_PREFIX}*"))


def forget_pending(snapshots: Path, name: str, disk: Disk) -> None:
    """Durably remove the note: the name is in a durable CURRENT, or its folder is gone for good."""
    disk.unlink(_note(snapshots, name))
    disk.fsync(snapshots)


def _note(snapshots: Path, name: str) -> Path:
    return snapshots / f"{_PREFIX}{name}"
