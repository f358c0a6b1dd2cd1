"""Printing for machines: one JSON value on standard output; and for people: how far long copying is."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any


def emit(value: Any) -> None:
    """Print a value as indented JSON, non-ASCII text as it is."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def emit_list(head: dict[str, Any], name: str, items: Iterable[Any], tail: Callable[[], dict[str, Any]]) -> None:
    """Print an object with a list that is never held whole, one item a line; `tail` is asked once that was read."""
    sys.stdout.write("{\n")
    _emit_fields(head, ",\n")
    sys.stdout.write(f"  {json.dumps(name)}: [")
    separator = "\n"
    for item in items:
        sys.stdout.write(f"{separator}    {json.dumps(item, ensure_ascii=False)}")
        separator = ",\n"
    sys.stdout.write("],\n" if separator == "\n" else "\n  ],\n")
    _emit_fields(tail(), "")
    sys.stdout.write("\n}\n")


def _emit_fields(fields: dict[str, Any], end: str) -> None:
    lines = [f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items()]
    sys.stdout.write(",\n".join(lines) + end)


@contextmanager
def watched_bytes(what: str, every_s: float = 5.0) -> Iterator[Callable[[int], None]]:
    """A function to tell of bytes done: a line on standard error every few seconds, on one line for a terminal."""
    done, began = 0, time.monotonic()
    terminal = sys.stderr.isatty()
    every_s = 0.2 if terminal else every_s
    told = began

    def advance(count: int) -> None:
        nonlocal done, told
        done += count
        moment = time.monotonic()
        if moment - told >= every_s:
            told = moment
            line = f"{what}: {done / 1e6:,.0f} MB, {done / 1e6 / (moment - began):,.0f} MB/s"
            sys.stderr.write(f"\r{line} " if terminal else f"{line}\n")
            sys.stderr.flush()

    try:
        yield advance
    finally:
        if terminal and told > began:
            sys.stderr.write("\n")
