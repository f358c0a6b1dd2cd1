"""Telling how far long work is: a bar when a person watches, plain lines otherwise."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Protocol, Self, TextIO


class Progress(Protocol):
    """Told what is being done and how far it is."""

    def phase(self, name: str, total: int | None = None) -> None:
        """A new phase begins; `total` steps are expected (None: unknown)."""
        ...

    def advance(self, steps: int = 1) -> None:
        """Steps of the current phase are done."""
        ...


class Silent:
    """Tells nobody."""

    def phase(self, name: str, total: int | None = None) -> None:
        """Ignored."""

    def advance(self, steps: int = 1) -> None:
        """Ignored."""


class Lines:
    """One line when a phase begins and every few seconds while it lasts, with rate and time left.

    Args:
        stream: where to write.
        every_s: least seconds between two lines of a phase.
    """

    def __init__(self, stream: TextIO | None = None, every_s: float = 5.0) -> None:
        self._stream = stream or sys.stderr
        self._every_s = every_s
        self._name = ""
        self._total: int | None = None
        self._done = 0
        self._began = self._told = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def phase(self, name: str, total: int | None = None) -> None:
        """A new phase begins."""
        self._name, self._total, self._done = name, total, 0
        self._began = self._told = time.monotonic()
        if total != 0:
            self._write(f"{name}{'' if total is None else f' ({total:,})'}")

    def advance(self, steps: int = 1) -> None:
        """Steps are done; tells so every few seconds."""
        self._done += steps
        now = time.monotonic()
        if now - self._told < self._every_s:
            return
        self._told = now
        rate = self._done / max(now - self._began, 1e-9)
        line = f"{self._name}: {self._done:,}"
        if self._total:
            left_s = max(self._total - self._done, 0) / max(rate, 1e-9)
            line += f" of {self._total:,}, {rate:,.1f}/s, {left_s:,.0f} s left"
        else:
            line += f", {rate:,.1f}/s"
        self._write(line)

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


class Bar:
    """A rich progress bar with rate and time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            ProgressColumn,
            SpinnerColumn,
            Task,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as RichProgress
        from rich.text import Text

        class Rate(ProgressColumn):
            def render(self, task: Task) -> Text:
                return Text(f"{task.speed:,.1f}/s" if task.speed else "", style="cyan")

        self._progress = RichProgress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            Rate(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task: Any = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def phase(self, name: str, total: int | None = None) -> None:
        """A new phase begins; the last one's bar is left complete."""
        if self._task is not None:
            self._progress.stop_task(self._task)
        self._task = self._progress.add_task(name, total=total, visible=total != 0)

    def advance(self, steps: int = 1) -> None:
        """Steps are done."""
        self._progress.advance(self._task, steps)


def watching() -> Bar | Lines:
    """A bar where standard error is a terminal, else lines."""
    return Bar() if sys.stderr.isatty() else Lines()
