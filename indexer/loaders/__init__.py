"""Loaders: one file's bytes in, its text with titles, sections and metadata out. Each is pure and knows no other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from store.document import EVERYONE, Section


@dataclass(frozen=True, slots=True)
class Extracted:
    """What a loader found in one file. `text` is canonical; sections refer to it."""

    text: str
    title: str = ""
    sections: tuple[Section, ...] = ()
    url: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    access: frozenset[str] = EVERYONE
