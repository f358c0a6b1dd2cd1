"""Which kept snapshots may go."""

from __future__ import annotations

from collections.abc import Sequence


def superfluous(
    newest_first: Sequence[tuple[str, bool]], *, current: str | None, parent: str | None, keep: int
) -> list[str]:
    """Names to remove, oldest first: all that are older than the newest `keep` usable ones.

    The current one always stays, and, where more than one is to be kept, what it was made from: the last that is known
    to have served. What cannot be used counts for nothing, so that it never pushes out what can.

    Args:
        newest_first: names, and whether each can be used.
        current, parent: names.
        keep: at least 1.
    """
    spared = {current, parent} if keep > 1 else {current}
    counted, old = 0, []
    for name, is_usable in newest_first:
        if counted >= keep and name not in spared:
            old.append(name)
        counted += is_usable
    return old[::-1]
