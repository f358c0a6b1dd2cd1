"""Printing for machines: one JSON value on standard output."""

from __future__ import annotations

import json
import sys
from typing import Any


def emit(value: Any) -> None:
    """Print a value as indented JSON, non-ASCII text as it is."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
