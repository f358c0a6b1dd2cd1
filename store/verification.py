"""Everything of an index that can be checked, checked: nothing that is wrong keeps the rest from being looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from store.cached import check_cache
from store.calibration import read_calibration
from store.errors import FootnoteError, Forgotten, StoreCorrupt
from store.forgotten import read_forgotten, refuse_forgotten
from store.highest import read_highest
from store.index import IndexDirectory
from store.local import LocalSnapshot, check_query_encoder
from store.manifest import Manifest

Checked = dict[str, Any]
"""`snapshot`: its name, or a file's; `ok`; where it is, `files`: how many; else `error`."""


def verified_snapshots(index: IndexDirectory) -> Iterator[Checked]:
    """Every kept snapshot, newest first, with its query encoder; then one that CURRENT names and that is not there.

    One that is pruned meanwhile is left out.
    """
    try:
        current = index.current()
    except FootnoteError:  # `verified_files` says so
        current = None
    holds_forgotten_can_be_told = _is_readable(index.forgotten_file)
    seen = set()
    with ThreadPoolExecutor(1) as executor:
        for folder in reversed(index.published()):
            seen.add(folder.name)
            wanted = current.manifest_sha256 if current is not None and current.name == folder.name else None
            try:
                snapshot = LocalSnapshot(folder, executor, manifest_sha256=wanted, full=True)
                snapshot.close()
                check_query_encoder(index.path, snapshot.manifest)
                _refuse_extra_folders(folder, snapshot.manifest)
                if holds_forgotten_can_be_told:
                    refuse_forgotten(index.forgotten_file, folder, folder.name)
            except Forgotten as error:
                again = f"run `footnote forget {error.document_id}` again"
                yield _wrong(folder.name, f"holds {error.document_id!r}, which was forgotten: {again}")
            except FootnoteError as error:
                if folder.exists():
                    yield _wrong(folder.name, str(error))
            else:
                yield {"snapshot": folder.name, "ok": True, "files": len(snapshot.manifest.files)}
    if current is not None and current.name not in seen:
        yield _wrong(current.name, "CURRENT names it, but it is not there")


def _refuse_extra_folders(folder: Path, manifest: Manifest) -> None:
    """Opening lets an empty folder pass, since it can do no harm; here it is told."""
    known = {str(parent) for name in manifest.files for parent in PurePosixPath(name).parents}
    for path in sorted(folder.rglob("*/")):
        if str(path.relative_to(folder)) not in known:
            raise StoreCorrupt(str(path), "no such file in the manifest", "a folder")


def verified_files(index: IndexDirectory) -> Iterator[Checked]:
    """What is wrong with the files beside the snapshots: CURRENT, FORGOTTEN, HIGHEST, calibrations
    and the embedding cache.
    """
    checks: list[tuple[str, Callable[[], object]]] = [
        (index.current_file.name, index.current),
        (index.forgotten_file.name, lambda: read_forgotten(index.forgotten_file)),
        (index.highest_file.name, lambda: read_highest(index.highest_file)),
    ]
    if index.calibration.exists() and not index.calibration.is_dir():
        yield _wrong(index.calibration.name, f"{index.calibration} is damaged: expected a folder, found a file.")
    checks += [
        (f"calibration/{path.name}", partial(read_calibration, index.calibration, path.stem))
        for path in sorted(index.calibration.glob("*.json"))
    ]
    checks += [(f"cache/{path.name}", partial(check_cache, path)) for path in sorted(index.cache.glob("*.sqlite"))]
    for name, check in checks:
        try:
            check()
        except FootnoteError as error:
            yield _wrong(name, str(error))


def _is_readable(forgotten: Path) -> bool:
    try:
        read_forgotten(forgotten)
    except FootnoteError:  # `verified_files` says so, once
        return False
    return True


def _wrong(name: str, error: str) -> Checked:
    return {"snapshot": name, "ok": False, "error": error}
