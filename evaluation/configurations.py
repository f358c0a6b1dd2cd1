"""What is measured: a mode under settings, by a name that tables, run files and reports call it by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, TypeVar

from evaluation.fusions import Fusion
from indexer.settings import IndexerSettings
from service.contract import Mode
from service.settings import ServiceSettings
from store.errors import UsageError
from store.settings import IndexSettings, load_settings

MODES: tuple[Mode, ...] = ("lexical", "dense", "hybrid")
SHIPPED = "hybrid"
"""The configuration that others are compared with: the shipped mode under the settings as they are."""

_FIXED = frozenset(  # the evaluation's own affair, or of no matter to what is found
    [
        "admin_token",
        "allowed_hosts",
        "allowed_origins",
        "budgets",
        "example_question",
        "host",
        "log_level",
        "port",
        "public_url",
        "trusted_proxies",
        "workers",
    ]
)
_MEASURABLE = {
    name: kind
    for kind in (ServiceSettings, IndexerSettings)
    for name in kind.model_fields
    if name not in _FIXED and name not in IndexSettings.model_fields
}

S = TypeVar("S", bound=IndexSettings)


@dataclass(frozen=True, slots=True)
class Configuration:
    """One thing to measure.

    Args:
        name: unique within a run; no colon, which separates a run file from a name.
        mode: the legs asked.
        indexing, serving: settings of the indexer and the service that differ from those of the run. Another
            `indexing` is another index.
        fusion: fuse the legs' scores so instead of as the service does; None: as the service does.
    """

    name: str
    mode: Mode
    indexing: Mapping[str, Any] = field(default_factory=dict)
    serving: Mapping[str, Any] = field(default_factory=dict)
    fusion: Fusion | None = None

    @property
    def changes(self) -> dict[str, Any]:
        """What differs from the run's settings, for a run file."""
        fused = {} if self.fusion is None else {"fusion": self.fusion.name}
        return {**self.indexing, **self.serving, **fused}


def configurations(modes: Sequence[str], changes: Sequence[str] = ()) -> list[Configuration]:
    """Every mode under the settings as they are, then under each of `changes` ("NAME=VALUE,NAME=VALUE").

    Raises UsageError naming a mode or setting that is none.
    """
    known: dict[str, Mode] = {mode: mode for mode in MODES}
    unknown = [mode for mode in modes if mode not in known]
    if unknown:
        raise UsageError(f"unknown mode {unknown[0]!r}; known: {', '.join(MODES)}.")
    chosen = [known[mode] for mode in dict.fromkeys(modes)]
    found = [Configuration(mode, mode) for mode in chosen]
    for text in dict.fromkeys(changes):
        indexing, serving = _parse(text)
        found.extend(Configuration(f"{mode} {text}", mode, indexing, serving) for mode in chosen)
    return found


def changed(settings: S, changes: Mapping[str, Any]) -> S:
    """Settings with changes, validated as from the environment. Raises UsageError naming a value that cannot be."""
    if not changes:
        return settings
    checked = load_settings(type(settings), **changes)
    return settings.model_copy(update={name: getattr(checked, name) for name in changes})


def groups(found: Iterable[Configuration]) -> list[list[Configuration]]:
    """Configurations that share an index and a service, together; those of the settings' own index come first."""
    together: dict[tuple[str, str], list[Configuration]] = {}
    for one in found:
        key = (repr(sorted(one.indexing.items())), repr(sorted(one.serving.items())))
        together.setdefault(key, []).append(one)
    return sorted(together.values(), key=lambda group: bool(group[0].indexing))


def _parse(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    indexing: dict[str, Any] = {}
    serving: dict[str, Any] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not name:
            raise UsageError(f"--with {text!r}: expected NAME=VALUE, found {part!r}.", fix="Example: rerank=true")
        kind = _MEASURABLE.get(name)
        if kind is None:
            close = get_close_matches(name, _MEASURABLE, 1)
            hint = f"Did you mean {close[0]!r}?" if close else "`footnote config show` lists the settings."
            raise UsageError(f"--with {text!r}: {name!r} is no setting that can be measured.", fix=hint)
        if ":" in value:
            raise UsageError(
                f"--with {text!r}: a value with a colon cannot be named.", fix=f"Set FOOTNOTE_{name.upper()}."
            )
        load_settings(kind, **{name: value})
        (indexing if kind is IndexerSettings else serving)[name] = value
    return indexing, serving
