"""Real passages that nobody here wrote, of sets and of pages, for measuring on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evaluation.sets import read_lines
from indexer.load import load
from indexer.sources import SourceFile
from service.contract import DocumentHeaderModel, PassageModel, Result, Scores
from service.sentences import units
from store.document import Document

WORDS = 150
"""About as many as a passage of a longer text is cut to; a paragraph of a set stays whole."""


@dataclass(frozen=True, slots=True)
class Text:
    """A passage and the title it stands under."""

    title: str
    text: str


def passages(folder: Path) -> list[Text]:
    """The passages of a set (`corpus.jsonl`, or `qa.jsonl` whose questions bring theirs) or of a folder of pages, in
    their own order. Raises SystemExit where there are none.
    """
    if (found := next(folder.glob("corpus.jsonl*"), None)) is not None:
        return [piece for row in read_lines(found) for piece in _pieces(row.get("title", ""), row["text"])]
    if (found := next(folder.glob("qa.jsonl*"), None)) is not None:
        titled = dict.fromkeys(passage for row in read_lines(found) for passage in row["passages"])
        return [Text(one.partition(". ")[0], one.partition(". ")[2]) for one in titled]
    pages = [piece for path in sorted(folder.glob("*.html")) for piece in _page(path)]
    if not pages:
        raise SystemExit(f"{folder} has no passages: no corpus.jsonl, no qa.jsonl, no *.html.")
    return pages


def sources(texts: list[Text]) -> list[Result]:
    """Passages as they are sent to a generator."""
    return [
        Result(
            rank=number,
            score=1.0,
            scores=Scores(fused=1.0),
            passage=PassageModel(
                id=f"p{number}", document_id=f"d{number}", text=one.text, start=0, end=len(one.text), section=[]
            ),
            document=DocumentHeaderModel(id=f"d{number}", version="1", title=one.title, metadata={}),
        )
        for number, one in enumerate(texts, 1)
    ]


def _page(path: Path) -> Iterator[Text]:
    for document in load(SourceFile("pages", path, path.name)):
        if isinstance(document, Document):
            yield from _pieces(document.title, document.text)


def _pieces(title: str, text: str) -> Iterator[Text]:
    if len(text.split()) <= 2 * WORDS:
        yield Text(title, text)
        return
    begin = end = 0
    for unit in units(text):
        if len(text[begin : unit.end].split()) > WORDS and end > begin:
            yield Text(title, text[begin:end].strip())
            begin = unit.start
        end = unit.end
    yield Text(title, text[begin:].strip())
