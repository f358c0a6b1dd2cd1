"""What people are shown of documents: a title and the beginning of a passage, kept for the documents worth showing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from service.question import ANYONE
from store.snapshot import Snapshot

TOP = 10
"""Documents of a ranking that may be shown."""

RELEVANT = 10
"""Relevant documents of a question that may be shown."""

SNIPPET_CHARS = 240


class Shown:
    """Titles and snippets, by document id: of the first documents of every ranking, and of the relevant ones."""

    def __init__(self) -> None:
        self.texts: dict[str, dict[str, str]] = {}

    def note(self, ranking: Sequence[str], passages: Iterable[tuple[str, str, str]]) -> None:
        """Keep the first documents of a ranking from its (document id, title, text of a passage), best first."""
        wanted = set(ranking[:TOP]) - self.texts.keys()
        for document_id, title, text in passages if wanted else ():
            if document_id in wanted:
                self.texts[document_id] = {"title": snippet(title), "snippet": snippet(text)}
                wanted.remove(document_id)

    async def add_relevant(self, qrels: Mapping[str, Mapping[str, int]], snapshot: Snapshot) -> None:
        """Look up the relevant documents that no ranking showed; one that the index lacks stays unknown."""
        for grades in qrels.values():
            for document_id in sorted(grades, key=lambda one: (-grades[one], one))[:RELEVANT]:
                if document_id in self.texts:
                    continue
                found = await snapshot.document(id=document_id, principals=ANYONE)
                if found is not None:
                    self.texts[document_id] = {"title": snippet(found.header.title), "snippet": snippet(found.text)}


def snippet(text: str) -> str:
    """The beginning of a text on one line, cut at a word."""
    line = " ".join(text[: SNIPPET_CHARS * 4].split())
    if len(line) <= SNIPPET_CHARS:
        return line
    return line[:SNIPPET_CHARS].rsplit(" ", 1)[0] + " ..."
