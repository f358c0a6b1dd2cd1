"""What can go wrong with measurements that were kept."""

from __future__ import annotations

from store.errors import UsageError


class RunUnreadable(UsageError):
    """A run file is missing, is none, or does not hold what was asked of it."""


class RunsDiffer(UsageError):
    """Two runs do not measure the same questions."""
