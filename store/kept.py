"""A kept snapshot, held while something long is done with it, so that no prune removes it meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from store.errors import StoreCorrupt, UsageError
from store.files import SharedHold
from store.index import IndexDirectory
from store.local import read_manifest
from store.manifest import Manifest


@contextmanager
def held(index: IndexDirectory, generation: int | None = None) -> Iterator[tuple[Path, Manifest]]:
    """The folder and manifest of a kept generation (None: the current one), held; its files are not checked yet.

    Works on a read-only index. Raises UsageError where the generation is not kept, IndexMissing, StoreCorrupt.
    """
    found = _find(index, generation)
    while True:
        folder, manifest_sha256 = found
        try:
            hold = SharedHold(folder / "manifest.json")
            break
        except OSError as error:
            now_found = _find(index, generation)
            if now_found == found:  # else it was pruned meanwhile
                raise StoreCorrupt(
                    str(folder / "manifest.json"), "a manifest", f"no readable file ({error})"
                ) from error
            found = now_found
    try:
        yield folder, read_manifest(folder, manifest_sha256)
    finally:
        hold.release()


def _find(index: IndexDirectory, generation: int | None) -> tuple[Path, str | None]:
    current = None
    if generation is None:
        current = index.require_current()
        return index.snapshots / current.name, current.manifest_sha256
    published = index.published()
    if not published:
        index.require_current()
    with suppress(StoreCorrupt):  # another generation can be had without it
        current = index.current()
    for folder in published:
        if int(folder.name.partition("-")[0]) == generation:
            known = current is not None and current.name == folder.name
            return folder, current.manifest_sha256 if known and current is not None else None
    kept = ", ".join(str(int(folder.name.partition("-")[0])) for folder in published) or "none"
    raise UsageError(f"generation {generation} is not kept; kept: {kept}.")
