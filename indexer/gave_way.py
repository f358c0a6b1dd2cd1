"""Documents that gave way to another with their id: kept aside in the snapshot, so that they can come back unread."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from store.document import Document, Section
from store.passages import Origin

FILE_NAME = "gave_way.jsonl"
"""In a snapshot's folder, where there are any: one document a line, by source, file and id."""


@dataclass(frozen=True, slots=True)
class GaveWay:
    """A document that was left out because its id came before.

    Args:
        origin: where it came from.
        document_id, version: its own.
        document: itself; None where the one it gave way to, in the same snapshot, is its equal to the letter.
    """

    origin: Origin
    document_id: str
    version: str
    document: Document | None

    def to_line(self) -> str:
        """One line of the file, without its newline."""
        origin, document = self.origin, self.document
        fields: dict[str, object] = {
            "source": origin.source,
            "file": origin.file,
            "input": origin.input,
            "document_id": self.document_id,
            "version": self.version,
        }
        if document is not None:
            fields["document"] = {
                "text": document.text,
                "title": document.title,
                "url": document.url,
                "metadata": dict(document.metadata),
                "access": sorted(document.access),
                "sections": [[one.start, one.level, one.title] for one in document.sections],
            }
        return json.dumps(fields, ensure_ascii=False)

    @classmethod
    def of_line(cls, line: str) -> GaveWay:
        """What `to_line` wrote."""
        fields = json.loads(line)
        document, stored = None, fields.get("document")
        if stored is not None:
            document = Document(
                id=fields["document_id"],
                text=stored["text"],
                title=stored["title"],
                url=stored["url"],
                metadata=stored["metadata"],
                access=frozenset(stored["access"]),
                sections=tuple(Section(*one) for one in stored["sections"]),
            )
        origin = Origin(fields["source"], fields["file"], fields["input"])
        return cls(origin, fields["document_id"], fields["version"], document)


class GaveWayFile:
    """Reads the file of a published snapshot, file by file of the sources; holds one number a document.

    Args:
        folder: the snapshot's folder; it need not have such a file.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._places: dict[tuple[str, str], list[int]] = {}
        if not self._path.exists():
            return
        with self._path.open("rb") as stream:
            at = 0
            for line in stream:
                fields = json.loads(line)
                self._places.setdefault((fields["source"], fields["file"]), []).append(at)
                at += len(line)

    def files(self) -> set[tuple[str, str]]:
        """(source, file) of every file of which a document gave way."""
        return set(self._places)

    def count(self, source: str, file: str) -> int:
        """How many documents of a source's file gave way."""
        return len(self._places.get((source, file), []))

    def of_file(self, source: str, file: str) -> Iterator[GaveWay]:
        """The documents of a source's file that gave way, by id, those of one id as they came."""
        places = self._places.get((source, file), [])
        if not places:
            return
        with self._path.open("rb") as stream:
            for place in places:
                stream.seek(place)
                yield GaveWay.of_line(stream.readline().decode())
