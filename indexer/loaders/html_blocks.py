"""An HTML tree as blocks of text: one walk, without recursion, that knows what each element looks like as text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from store.text import canonical

Kind = Literal["heading", "paragraph", "item", "term", "pre", "table"]


@dataclass(frozen=True, slots=True)
class Block:
    """A block of canonical text, as it will stand in the document.

    Args:
        kind: what it is.
        text: one or more lines, without surrounding blank ones.
        level: 1 to 6 for headings, else 0.
        linked: the share of its characters that stand in links, 0 to 1.
    """

    kind: Kind
    text: str
    level: int = 0
    linked: float = 0.0


HEADINGS = {"h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 5, "h6": 6}
_BREAK = "\x00"  # a <br>: canonical text has no NUL of its own
_INVISIBLE = re.compile("[\u00ad\u200b\ufeff]")
_MANY_BREAKS = re.compile("\n{3,}")
_INLINE_NAMES = (
    "a abbr acronym b bdi bdo big cite code data del dfn em font i img ins kbd label mark math mi mn mo mrow msub msup"
    " mtext nobr q rp rt ruby s samp small span strike strong sub sup time tt u var wbr"
)
_INLINE = frozenset(_INLINE_NAMES.split())
_CELL_PARAGRAPHS_MAX = 4  # more of them in a cell without header cells above are running text
_NOTES = {"note", "tip", "warning", "caution", "important", "admonition", "danger", "hint", "seealso", "attention"}


def blocks(root: Any) -> Iterator[Block]:
    """The blocks below `root` (an lxml element, already pruned), in document order."""
    from lxml import etree

    walk = _Walk()
    for event, element in etree.iterwalk(root, events=("start", "end")):
        if not isinstance(element.tag, str):
            continue
        if event == "start":
            yield from walk.start(element)
        else:
            yield from walk.end(element, tail=element is not root)
    yield from walk.flush()


class _Walk:
    """What the walk remembers between two tags."""

    def __init__(self) -> None:
        self.inline: list[str] = []  # text since the last block began
        self.kind: Kind = "paragraph"
        self.level = 0
        self.links = 0  # depth of a
        self.linked = 0  # characters of `inline` that stand in links
        self.lists = 0  # depth of ul/ol
        self.items: list[bool] = []  # for each open li: its first block is out
        self.pre = 0
        self.notes: list[Any] = []
        self.table: Any = None  # the data table that is open, its rows so far, the row's cells so far
        self.rows: list[str] = []
        self.cells: list[str] = []

    def start(self, element: Any) -> Iterator[Block]:
        tag = element.tag
        self.links += tag == "a"
        if self.table is not None:
            self._start_in_table(tag)
        elif tag == "br":
            self.inline.append("\n" if self.pre else _BREAK)
        elif self.pre:
            pass
        elif tag == "table" and is_data_table(element):
            yield from self.flush()
            self.table = element
        elif tag not in _INLINE:
            yield from self.flush()
            self._open(tag, element)
        if element.text:
            self._text(element.text)

    def _text(self, text: str) -> None:
        self.inline.append(text)
        if self.links:
            self.linked += len(text)

    def _open(self, tag: str, element: Any) -> None:
        if tag == "pre":
            self.pre += 1
            self.kind = "pre"
        elif tag in HEADINGS:
            in_text = self.items or self.notes
            self.kind, self.level = ("paragraph", 0) if in_text else ("heading", HEADINGS[tag])
        elif tag in {"ul", "ol", "menu"}:
            self.lists += 1
        elif tag == "li":
            self.items.append(False)
        elif tag == "dt":
            self.kind = "term"
        elif _NOTES.intersection((element.get("class") or "").split()):
            self.notes.append(element)

    def _start_in_table(self, tag: str) -> None:
        if tag == "tr":
            self._row()
        elif tag in {"td", "th"}:
            self._cell()
        elif tag not in _INLINE:
            self.inline.append(" ")

    def end(self, element: Any, *, tail: bool) -> Iterator[Block]:
        tag = element.tag
        if self.table is not None:
            yield from self._end_in_table(element)
        elif self.pre:
            if tag == "pre":
                yield from self.flush()
                self.pre -= 1
                self.kind = "paragraph"
        elif tag not in _INLINE and tag != "br":
            yield from self.flush()
            self._close(tag, element)
        self.links -= tag == "a"
        if tail and element.tail:
            self._text(element.tail)

    def _close(self, tag: str, element: Any) -> None:
        if tag in {"ul", "ol", "menu"}:
            self.lists -= 1
        elif tag == "li":
            self.items.pop()
        elif self.notes and self.notes[-1] is element:
            self.notes.pop()

    def _end_in_table(self, element: Any) -> Iterator[Block]:
        if element is self.table:
            self._row()
            text = "\n".join(self.rows)
            self.table, self.rows = None, []
            if text:
                yield Block("table", text, linked=min(1.0, self.linked / len(text)))
            self.linked = 0
        elif element.tag == "caption":
            text = _prose(self.inline).replace("\n", " ")
            self.inline.clear()
            if text:
                self.rows.append(text)
        elif element.tag not in _INLINE:
            self.inline.append(" ")

    def _cell(self) -> None:
        """Closes the cell before; what stands before the first cell of a row is no cell unless it has text."""
        text = _prose(self.inline).replace("\n", " ")
        self.inline.clear()
        if self.open_cell or text:
            self.cells.append(text)
        self.open_cell = True

    open_cell = False

    def _row(self) -> None:
        if self.open_cell or self.inline:
            self._cell()
        self.open_cell = False
        row = " | ".join(self.cells).rstrip(" |") if any(self.cells) else ""
        self.cells = []
        if row:
            self.rows.append(row)

    def flush(self) -> Iterator[Block]:
        """The block that is open, if it has text; a paragraph begins."""
        kind, level, parts, linked = self.kind, self.level, self.inline, self.linked
        self.inline, self.linked = [], 0
        if kind != "pre":
            self.kind, self.level = "paragraph", 0
        if not parts:
            return
        if kind == "pre":
            lines = canonical("".join(parts)).split("\n")
            text = "\n".join(f"    {line}".rstrip() for line in lines).strip("\n")
        else:
            text = _prose(parts)
        if not text.strip():
            return
        if kind in {"heading", "term"}:
            text = text.replace("\n", " ")
        if self.lists and kind in {"paragraph", "term"}:
            kind, text = self._in_list(kind, text)
        elif self.items:
            self.items[-1] = True
        yield Block(kind, text, level, min(1.0, linked / len(text)))

    def _in_list(self, kind: Kind, text: str) -> tuple[Kind, str]:
        indent = "  " * self.lists
        first = bool(self.items) and not self.items[-1]
        if self.items:
            self.items[-1] = True
        text = text.replace("\n", f"\n{indent}")
        return ("item", f"{indent[:-2]}- {text}") if first else (kind, indent + text)


def _prose(parts: list[str]) -> str:
    """Whitespace collapsed, breaks as newlines (two at most), invisible marks gone, canonical."""
    text = _INVISIBLE.sub("", "".join(parts)).replace(_BREAK, f" {_BREAK} ")
    lines = " ".join(text.split()).split(_BREAK)
    return canonical(_MANY_BREAKS.sub("\n\n", "\n".join(line.strip() for line in lines)).strip())


def is_data_table(table: Any) -> bool:
    """Whether a table holds data rather than the page's layout.

    Data has no tables or headings inside, and header cells or rows of several short cells.
    """
    if table.get("role") in {"presentation", "none"}:
        return False
    header, width, widest, paragraphs = False, 0, 0, 0
    for element in table.iter("tr", "td", "th", "p", "table", *HEADINGS):
        if element.tag in HEADINGS or (element.tag == "table" and element is not table):
            return False
        if element.tag in {"tr", "table"}:
            width = 0
        elif element.tag == "p":
            paragraphs += 1
            if paragraphs > _CELL_PARAGRAPHS_MAX and not header:
                return False
        else:
            header = header or element.tag == "th"
            width, paragraphs = width + 1, 0
            widest = max(widest, width)
    return header or widest > 1
