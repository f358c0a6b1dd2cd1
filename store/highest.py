"""INDEX/HIGHEST: the highest generation there ever was, so that no number comes twice with other content.

Only needed while CURRENT names an older one (after a rollback), since the newer may then be removed: one line,
`<generation> <sha256 of that number as written>`.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from store.errors import StoreCorrupt
from store.files import Disk, read_regular

_LINE = re.compile(r"^(\d{6,}) ([0-9a-f]{64})\n$")


def read_highest(path: Path) -> int:
    """The generation noted in INDEX/HIGHEST; 0 where there is no such file. Raises StoreCorrupt."""
    try:
        text = read_regular(path).decode("ascii", errors="replace")
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise _damaged(path, error.strerror) from error
    match = _LINE.match(text)
    if match is None or text != _line(int(match.group(1))):
        raise _damaged(path, repr(text[:100]))
    return int(match.group(1))


def write_highest(path: Path, generation: int, disk: Disk) -> None:
    """Replace INDEX/HIGHEST at once and for good. Only for the holder of the lock."""
    disk.replace_file(path, _line(generation).encode())


def _line(generation: int) -> str:
    number = f"{generation:06d}"
    return f"{number} {hashlib.sha256(number.encode()).hexdigest()}\n"


def _damaged(path: Path, found: object) -> StoreCorrupt:
    fix = "Put it back from a copy, or remove it: at worst a generation's number comes twice then."
    return StoreCorrupt(str(path), "`<generation> <sha256>`", found, fix=fix)
