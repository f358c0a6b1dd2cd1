"""INDEX/FORGOTTEN: which document ids are refused for good, without naming them.

A text file: `footnote-forgotten 1 <salt>`, then the sha256 of salt and id of each, sorted, one a line, then `sha256`
and that of all lines before. Damage is an error, never an empty list: what was forgotten must not come back by it.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from store.errors import Forgotten, StoreCorrupt
from store.files import Disk
from store.ledger import LedgerEntry, read_ledger
from store.passages import PassageReader

_FIRST = re.compile(r"^footnote-forgotten 1 ([0-9a-f]{32})$")
_HASH = re.compile(r"^[0-9a-f]{64}$")


@dataclass(frozen=True, slots=True)
class ForgottenIds:
    """The ids that were forgotten, as salted hashes.

    Args:
        salt: random, hex; made once for an index.
        hashes: sha256 (hex) of salt and id.
    """

    salt: str = field(default_factory=lambda: secrets.token_hex(16))
    hashes: frozenset[str] = frozenset()

    def hash_of(self, document_id: str) -> str:
        """What stands for an id here."""
        return hashlib.sha256(f"{self.salt}{document_id}".encode()).hexdigest()

    def holds(self, document_id: str | None) -> bool:
        """Whether this id was forgotten."""
        return bool(self.hashes) and document_id is not None and self.hash_of(document_id) in self.hashes

    def stand_in(self, document_id: str) -> str:
        """What a ledger calls an input with this id."""
        return f"forgotten-{self.hash_of(document_id)[:16]}"

    @property
    def state(self) -> str:
        """Differs whenever the ids do; empty where there are none."""
        return hashlib.sha256("".join(sorted(self.hashes)).encode()).hexdigest()[:8] if self.hashes else ""

    def with_id(self, document_id: str) -> ForgottenIds:
        """These and one more."""
        return ForgottenIds(self.salt, self.hashes | {self.hash_of(document_id)})

    def without_id(self, document_id: str) -> ForgottenIds:
        """These but one."""
        return ForgottenIds(self.salt, self.hashes - {self.hash_of(document_id)})


def read_forgotten(path: Path) -> ForgottenIds:
    """The ids of INDEX/FORGOTTEN; none where there is no such file. Raises StoreCorrupt."""
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise _damaged(path, "a file", "something else")
        text = path.read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return ForgottenIds()
    except OSError as error:
        raise _damaged(path, "a readable file", error.strerror) from error
    first, *lines = text.split("\n")
    match = _FIRST.match(first)
    if match is None or len(lines) < 2 or lines[-1] or not all(map(_HASH.match, lines[:-2])):
        raise _damaged(path, "a list of salted hashes", repr(text[:100]))
    expected = _sealed([first, *lines[:-2]])
    if text != expected:
        raise _damaged(path, expected.splitlines()[-1], repr(lines[-2][:100]))
    return ForgottenIds(match.group(1), frozenset(lines[:-2]))


def write_forgotten(path: Path, ids: ForgottenIds, disk: Disk) -> None:
    """Replace INDEX/FORGOTTEN at once and for good. Only for the holder of the lock."""
    disk.replace_file(path, _sealed([f"footnote-forgotten 1 {ids.salt}", *sorted(ids.hashes)]).encode())


def _sealed(lines: list[str]) -> str:
    body = "".join(f"{line}\n" for line in lines)
    return f"{body}sha256 {hashlib.sha256(body.encode()).hexdigest()}\n"


def _damaged(path: Path, expected: object, found: object) -> StoreCorrupt:
    return StoreCorrupt(
        str(path), expected, found, fix="Put it back from a copy; without it, forgotten documents could come back."
    )


def refuse_forgotten(path: Path, folder: Path, what: str) -> None:
    """Raise Forgotten where a snapshot's folder holds, or names, a document that INDEX/FORGOTTEN (`path`) lists.

    The folder's files must have been verified.
    """
    ids = read_forgotten(path)
    if not ids.hashes:
        return
    for document_id in ids_in(folder):
        if ids.holds(document_id):
            raise Forgotten(what, document_id)


def ids_in(folder: Path) -> Iterator[str]:
    """The id of every document that a snapshot's folder holds or names in any of its files, some more than once."""
    reader = PassageReader(folder / "passages.sqlite")
    try:
        for document_id, _ in reader.document_ids():
            yield document_id
    finally:
        reader.close()
    for line in read_ledger(folder / "ledger.jsonl"):
        if isinstance(line, LedgerEntry):
            yield from (one for one in (line.document_id, line.input) if one is not None)
    yield from _ids_of_lines(folder / "gave_way.jsonl")


def _ids_of_lines(path: Path) -> Iterable[str]:
    if not path.exists():
        return
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            yield json.loads(line)["document_id"]
