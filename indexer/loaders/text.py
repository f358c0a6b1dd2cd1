"""Plain text: kept as it is; underlined reStructuredText headings become sections."""

from __future__ import annotations

import re

from indexer.loaders import Extracted
from store.document import Section
from store.text import canonical

_UNDERLINE = re.compile(r"([=\-~^\"'`#*+.:_])\1{2,}[ \t]*")


def extract(source: str, *, stem: str, underlined_headings: bool = False) -> Extracted:
    """The text as it is, titled by the file's stem; sections only where `underlined_headings` (.rst)."""
    text = canonical(source)
    return Extracted(text, title=canonical(stem), sections=_sections(text) if underlined_headings else ())


def _sections(text: str) -> tuple[Section, ...]:
    """Headings: a line of text between blank (or an overline) and a line of one punctuation mark, at least as long.

    Levels follow the order in which the styles first appear, as reStructuredText has it.
    """
    sections: list[Section] = []
    styles: list[tuple[str, bool]] = []
    lines = text.split("\n")
    start = 0
    for number, line in enumerate(lines[:-1]):
        before = lines[number - 1] if number else ""
        below = _UNDERLINE.fullmatch(lines[number + 1])
        title = line.strip()
        overlined = bool(before) and before.strip() == lines[number + 1].strip()
        heading = below and title and not _UNDERLINE.fullmatch(line) and len(lines[number + 1].rstrip()) >= len(title)
        if heading and below and (overlined or (not before.strip() and line == line.lstrip())):
            style = (below.group(1), overlined)
            if style not in styles:
                styles.append(style)
            sections.append(Section(start, min(styles.index(style) + 1, 6), title))
        start += len(line) + 1
    return tuple(sections)
