"""INDEX/calibration/<snapshot>.json: what was measured for one snapshot, for whoever asks it. Optional.

One line of JSON, then `sha256` and that of the line. Absent, the defaults hold; damage is an error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from store.errors import StoreCorrupt
from store.files import Disk, read_regular

Share = Annotated[float, Field(ge=0, le=1)]


AskedOf = Literal["questions", "pseudo-questions"]


class Refusing(BaseModel):
    """Below which sufficiency one snapshot's questions are refused, and what that was concluded from.

    Args:
        below: the threshold; None where the default holds.
        bounded: the highest threshold that keeps what is promised; None where there were too few answerable questions.
        asked: whose questions: somebody's, or ones made of the index's own passages.
        answerable: how many questions that can be answered there were.
        refused: how many of them `bounded` refuses.
        share_max: of answerable questions that may be refused.
        confidence: with which that holds for questions exchangeable with these.
        bound: the share of wrong refusals under `bounded` that holds with that confidence (`evaluation.thresholds`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    below: Share | None
    bounded: Share | None
    asked: AskedOf
    answerable: Annotated[int, Field(ge=0)]
    refused: Annotated[int, Field(ge=0)] = 0
    share_max: Share
    confidence: Share
    bound: Share | None = None


class Calibration(BaseModel):
    """How one snapshot's legs are fused and when it is refused to answer, and what that was concluded from.

    Args:
        snapshot: its name.
        dense_weight: the dense leg's weight in TM2C2 (`store.fusion`).
        questions: how many pseudo-questions were asked.
        dense, lexical: how well each leg alone found the passages they were made of (`evaluation.calibration`).
        fitted_weight: the dense leg's weight that told those passages best, before it was moved towards the default.
        changed: the share of passages that changed since, where it was carried over from an earlier snapshot.
        refusing: None in files of version 1, which had none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1, 2] = 2
    snapshot: str
    dense_weight: Share
    questions: Annotated[int, Field(ge=0)]
    dense: Share
    lexical: Share
    fitted_weight: Share
    changed: Share = 0.0
    refusing: Refusing | None = None


def calibration_file(folder: Path, snapshot: str) -> Path:
    """Where a snapshot's calibration is kept."""
    return folder / f"{snapshot}.json"


def read_calibration(folder: Path, snapshot: str) -> Calibration | None:
    """The calibration of a snapshot; None where there is none. Raises StoreCorrupt."""
    path = calibration_file(folder, snapshot)
    try:
        data = read_regular(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _damaged(path, "a readable file", error.strerror) from error
    line, _, seal = data.partition(b"\n")
    expected = _seal(line)
    if seal != expected:
        raise _damaged(path, expected.decode().strip(), repr(seal[:100]))
    try:
        found = Calibration.model_validate_json(line)
    except ValidationError as error:
        raise _damaged(path, "a calibration of version 1 or 2", str(error).splitlines()[0]) from error
    if found.snapshot != snapshot:
        raise _damaged(path, snapshot, found.snapshot)
    return found


def write_calibration(folder: Path, calibration: Calibration, disk: Disk) -> None:
    """Put a snapshot's calibration in its place, at once and for good. Only for the holder of the lock."""
    disk.make_folder(folder)
    line = calibration.model_dump_json().encode()
    disk.replace_file(calibration_file(folder, calibration.snapshot), line + b"\n" + _seal(line))


def sweep_calibrations(folder: Path, kept: Collection[str], disk: Disk) -> None:
    """Remove what was measured for snapshots that are not kept, and strays. Only for the holder of the lock."""
    if not folder.is_dir():
        return
    names = {calibration_file(folder, name).name for name in kept}
    for path in sorted(folder.iterdir()):
        if path.name not in names and path.is_file():
            disk.unlink(path)


def _seal(line: bytes) -> bytes:
    return f"sha256 {hashlib.sha256(line).hexdigest()}\n".encode()


def _damaged(path: Path, expected: object, found: object) -> StoreCorrupt:
    return StoreCorrupt(str(path), expected, found, fix="Make it again: `footnote calibrate`; or remove the file.")
