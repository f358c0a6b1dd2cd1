"""Finding an article among a site's boilerplate: trafilatura says which words are content, our blocks keep the form.

Of the words alone, trafilatura finds more than any rule of ours; but it loses tables and code, and sometimes an
article's second half. So its text is only the sign by which blocks of ours are known.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

from indexer.loaders.html_blocks import Block

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
# In scripts without spaces (Thai to Khmer, Chinese, Japanese) each character counts as a word.
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
_RUN = 4  # words in a row that must agree
_AGREED_SHARE_MIN = 0.5  # of a block's runs
_WORDS_MIN = 3  # shorter blocks are captions, labels, buttons
_WHOLE_SHARE_MIN = 0.9  # where this share of the characters is content, all of it is
_LONG_WORDS_MIN = 50  # running text of this length, hardly linked, after the article began, belongs to it
_LONG_LINKED_MAX = 0.1
_SET_LINKED_MAX = 0.3  # tables, code and definitions after the article began
_LEADING_HEADINGS = 3  # blocks before the first content within which a heading is the article's own
_SOURCE_CHARS_MAX = 4 << 20  # a larger page is no article,
_BLOCKS_MAX = 2000  # nor is one of more blocks; trafilatura's time grows with their square (20,000 take 40 s)


def article(source: str, main: Sequence[Block], page: Sequence[Block]) -> Sequence[Block]:
    """The blocks that are the article; all of `main` where none can be told.

    Args:
        source: the page as HTML.
        main: the blocks of the element that the page declares to be its content.
        page: the blocks of the whole page, for when that element is not the one.
    """
    content = _content(source) if len(page) <= _BLOCKS_MAX and len(source) <= _SOURCE_CHARS_MAX else ""
    if not content:
        return main
    runs = _Runs(content)
    for candidates in (main, page):
        found = _kept(candidates, runs)
        if found:
            whole = _chars(found) >= _WHOLE_SHARE_MIN * _chars(candidates)
            return candidates if whole else found
    return main


def _content(source: str) -> str:
    import trafilatura

    try:
        return trafilatura.extract(source, include_comments=False, include_tables=True) or ""
    except Exception as error:  # noqa: BLE001 - a heuristic over hostile input; without its help the page is kept whole
        logging.getLogger(__name__).debug("no article found: %r", error)
        return ""


class _Runs:
    """Which runs of 1 to `_RUN` words occur in a text."""

    def __init__(self, text: str) -> None:
        words = _WORD.findall(text.lower())
        self._runs = {
            size: {tuple(words[at : at + size]) for at in range(len(words) - size + 1)}
            for size in range(_WORDS_MIN, _RUN + 1)
        }

    def share(self, words: Sequence[str]) -> float:
        """The share of the runs of `words` that occur, 0 for fewer than `_WORDS_MIN` words."""
        size = min(_RUN, len(words))
        if size < _WORDS_MIN:
            return 0.0
        runs = [tuple(words[at : at + size]) for at in range(len(words) - size + 1)]
        return sum(run in self._runs[size] for run in runs) / len(runs)


def _kept(candidates: Sequence[Block], content: _Runs) -> list[Block]:
    words = [_WORD.findall(block.text.lower()) for block in candidates]
    keep = [content.share(each) >= _AGREED_SHARE_MIN for each in words]
    if True not in keep:
        return []
    first = keep.index(True)
    for at in range(first, len(candidates)):
        keep[at] = keep[at] or _belongs(candidates[at], len(words[at]))
    below = False  # whether the block that follows is kept: a heading stands and falls with it
    for at in range(len(candidates) - 1, -1, -1):
        if candidates[at].kind != "heading":
            below = keep[at]
        elif at >= first - _LEADING_HEADINGS:
            keep[at] = below
    return [block for block, kept in zip(candidates, keep, strict=True) if kept]


def _belongs(block: Block, words: int) -> bool:
    if block.kind in {"pre", "table", "term"}:
        return block.linked < _SET_LINKED_MAX
    return block.kind in {"paragraph", "item"} and words >= _LONG_WORDS_MIN and block.linked < _LONG_LINKED_MAX


def _chars(found: Sequence[Block]) -> int:
    return sum(len(block.text) for block in found)
