"""Splitting: a document to passage spans, along its structure, measured in the embedder's own tokens.

First at headings, then at blank lines, lines, sentence ends, words; langchain-text-splitters does the cutting with
overlap 0 and nothing stripped, so that pieces join to exactly the text and offsets follow by adding lengths.

Where the model's vocabulary does not know a document's language and spells its words out (an English model takes five
to seven tokens for a word of Arabic or Russian), its passages may be so many times longer than the model reads, up to
STRETCH_MAX times; the embedder embeds such a passage in parts. They would be a few lines long otherwise.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from store.document import Document, embedded_text, section_path
from store.language import UNSPACED
from store.manifest import SplitterSettings
from store.passages import Span

SPLITTER_VERSION = 2
"""Bumped whenever other spans would result from the same text and settings."""

CHARS_PER_TOKEN_MAX = 24
"""A tokenizer may take a megabyte without a space for one unknown token; it counts as one for so many characters."""

STRETCH_MAX = 4.0

_SPELLED_OUT_TOKENS = 3.5  # for a word, on average; MiniLM takes 1.1 to 3.1 of en, es and de, 3.7 to 8.3 of ar and ru
_USUAL_TOKENS = 1.3
_STRETCH_SAMPLE_CHARS = 4_000
_STRETCH_WORDS_MIN = 5
_STRETCH_BYTES_MIN = 1.3  # of UTF-8 a character: every model's vocabulary spells Latin letters in larger pieces
_SPACED_WORD = re.compile(rf"[^\W\d_{UNSPACED}]{{2,}}")
_SMALL_SECTION_TOKENS = 96  # a shorter section is joined with the one that follows, if both fit
_SEPARATORS = [r"\n\n+", r"\n", r"(?<=[.!?])\s+", r"(?<=[。！？])", r"\s+", r"[\s\S]{48}"]  # noqa: RUF001

CountTokens = Callable[[str], int]


def word_counter(text: str) -> int:
    """Tokens for an embedder without a tokenizer: words, long ones by their length."""
    return max(len(text.split()), len(text) // CHARS_PER_TOKEN_MAX)


def token_counter(tokenizer_file: Path) -> CountTokens:
    """Counts tokens as the model's tokenizer does, special tokens left out; long unknown words by their length."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def count(text: str) -> int:
        return max(len(tokenizer.encode(text, add_special_tokens=False)), len(text) // CHARS_PER_TOKEN_MAX)

    return count


class WholeText:
    """Does not split: a document is one passage, as whoever made its vector meant it.

    Args:
        header: whether title and section path are indexed with it.
    """

    def __init__(self, *, header: bool = True) -> None:
        self.settings = SplitterSettings(version=SPLITTER_VERSION, passage_tokens=0, header_tokens_max=0, header=header)

    def split(self, document: Document) -> list[Span]:
        """One span without the white space around the text; none where that is all there is."""
        text = document.text
        start, end = len(text) - len(text.lstrip()), len(text.rstrip())
        return [_span(document, start, end, header=self.settings.header)] if start < end else []


class Splitter:
    """Splits documents; pure but for the tokenizer it was handed.

    Args:
        count_tokens: length of a text in the embedder's tokens.
        passage_tokens: longest embedded text (header and passage), special tokens left out; `stretch` times as long
            where the tokenizer spells the document's words out.
        header: whether title and section path come before a passage.
    """

    def __init__(self, count_tokens: CountTokens, passage_tokens: int, *, header: bool = True) -> None:
        self._count = count_tokens
        self._passage_tokens = passage_tokens
        self._header = header

    @property
    def settings(self) -> SplitterSettings:
        """What the manifest records of it."""
        return SplitterSettings(
            version=SPLITTER_VERSION,
            passage_tokens=self._passage_tokens,
            header_tokens_max=self._passage_tokens - max(self._passage_tokens // 4, 1),
            header=self._header,
        )

    def split(self, document: Document) -> list[Span]:
        """The document's passages: in order, not overlapping, covering every character that is not white space.

        White space at the borders of a passage belongs to none.
        """
        spans = []
        longest = int(self._passage_tokens * self.stretch(document.text))
        for start, end, room in self._sections(document, longest):
            text = document.text[start:end]
            at = start
            for piece in self._pieces(text, room):
                left = at + len(piece) - len(piece.lstrip())
                right = at + len(piece.rstrip())
                at += len(piece)
                if left < right:
                    spans.append(_span(document, left, right, header=self._header))
        return spans

    def stretch(self, text: str) -> float:
        """How many times longer than usual this document's passages may be: 1.0 where its words are known."""
        sample = text[:_STRETCH_SAMPLE_CHARS]
        if len(sample.encode()) < _STRETCH_BYTES_MIN * len(sample):
            return 1.0
        words = _SPACED_WORD.findall(sample)
        if len(words) < _STRETCH_WORDS_MIN:
            return 1.0
        tokens = self._count(" ".join(words)) / len(words)
        return 1.0 if tokens <= _SPELLED_OUT_TOKENS else min(tokens / _USUAL_TOKENS, STRETCH_MAX)

    def _sections(self, document: Document, longest: int) -> Iterator[tuple[int, int, int]]:
        """(start, end, room in tokens) of each stretch to cut: sections, small ones joined with what follows."""
        length = len(document.text)
        borders = sorted({0, length, *(section.start for section in document.sections)})
        start = 0
        tokens = 0
        small = _SMALL_SECTION_TOKENS * longest // self._passage_tokens
        room = self._room(document, 0, longest)
        blank = True  # characters may count no token and still be text
        for left, right in itertools.pairwise(borders):
            stretch = document.text[left:right]
            more = self._count(stretch)
            if tokens and (tokens >= small or tokens + more > room):
                yield start, left, room
                tokens, blank = 0, True
            if blank:
                start, room = left, self._room(document, left, longest)
            tokens += more
            blank = blank and stretch.isspace()
        if start < length:
            yield start, length, room

    def _room(self, document: Document, offset: int, longest: int) -> int:
        header = embedded_text(document.title, section_path(document.sections, offset), "", header=self._header)
        return longest - min(self._count(header), self.settings.header_tokens_max)

    def _pieces(self, text: str, room: int) -> list[str]:
        total = self._count(text)
        if total <= room:
            return [text]
        pieces = self._cutter(room, total).split_text(text)
        return [part for piece in pieces for part in self._fitting(piece, room)]

    def _fitting(self, piece: str, room: int) -> list[str]:
        """A piece that is still too long (one endless word) is halved until it fits."""
        if len(piece) < 2 or self._count(piece) <= room:
            return [piece]
        middle = len(piece) // 2
        return self._fitting(piece[:middle], room) + self._fitting(piece[middle:], room)

    def _cutter(self, room: int, total: int) -> Any:
        from langchain_text_splitters import RecursiveCharacterTextSplitter

        # Even pieces rather than full ones and a crumb: a tail of a few words makes a poor vector.
        even = math.ceil(total / math.ceil(total / room))
        return RecursiveCharacterTextSplitter(
            separators=_SEPARATORS,
            is_separator_regex=True,
            keep_separator="end",
            strip_whitespace=False,
            chunk_size=min(room, math.ceil(even * 1.15)),
            chunk_overlap=0,
            length_function=self._count,
        )


def _span(document: Document, start: int, end: int, *, header: bool) -> Span:
    section = section_path(document.sections, start)
    embedded = embedded_text(document.title, section, document.text[start:end], header=header)
    return Span(start, end, section, hashlib.sha256(embedded.encode()).digest())
