"""The terms of a text in one language: letters made alike, words, stop words, stems.

What is common to all: NFKC and case folding; characters that only format (soft hyphens, joiners, direction marks) left
out; a combining mark belongs to its letter, else Hindi falls apart at every vowel sign. Scripts written without spaces
(Han, Hiragana, Katakana, Thai, Lao, Khmer, Myanmar), and Hangul, whose particles hang on the words, become overlapping
bigrams: the standard index unit for them where there is no morphological analyzer (McNamee & Mayfield, "Character
N-Gram Tokenization for European Language Text Retrieval", Information Retrieval 7, 2004; Lucene's CJKBigramFilter).

By language, as Lucene's analyzers have it: stop words (`stop_words.txt`), Snowball's stemmer (which itself folds German
umlauts spelled out, Arabic alef and hamza, Greek accents and final sigma), elided articles ("l'eau"), Turkish dotless i
and suffixes behind an apostrophe, Arabic and Hebrew vowel signs and tatweel, Persian letters typed on Arabic keyboards,
Romanian cedillas, Russian ё. Hindi stems are normalised after stemming (Lucene's HindiNormalizer, which goes before a
stemmer of its own): Snowball's needs the long vowels.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from store.stop_words import question_words, stop_words

NONE = "none"
"""The language of what Snowball does not know: neither stop words nor stems."""

UNSPACED = (
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ecf\u0edc-\u0eff\u1000-\u103f\u1050-\u109f\u1780-\u17d3\u17d7\u17dc\u17dd"
    "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
    "\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3"  # Hangul
)
"""Letters of scripts whose words cannot be told by spaces, for a character class."""

_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u0711"
    "\u0730-\u074a\u07a6-\u07b0\u08d3-\u08ff\u0900-\u0903\u093a-\u0963\u0971-\u0df3\u0f18-\u0f39\u0f71-\u0f84"
    "\u135d-\u135f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20f0\ufe20-\ufe2f"
)
_UNPLAIN = re.compile(f"[{UNSPACED}{_MARKS}]")
_IS_UNSPACED = re.compile(f"[{UNSPACED}]")
_TOKEN = re.compile(rf"[{UNSPACED}]+|[^\W{UNSPACED}](?:[^\W{UNSPACED}]|[{_MARKS}])*(?:'[^\W{UNSPACED}]+)?")
_PLAIN_TOKEN = re.compile(r"\w+(?:'\w+)?")  # the same, where none of these occurs, in half the time
_WORD = re.compile(rf"\w(?:\w|[{_MARKS}])*(?:['\u2019]\w+)?")
_WORD_PARTS = re.compile("_+")
_TERM_CHARS_MAX = 128
_STEMS_KEPT = 200_000  # words a thread remembers the stem of

# Soft hyphen, zero width joiner and non-joiner, direction marks, word joiner, byte order mark, variation selectors.
_FORMAT = "\u00ad\u200c-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff"
_VOWEL_SIGNS = "\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670"
_DROPPED = re.compile(f"[{_FORMAT}{_VOWEL_SIGNS}]+")

_ELIDED = {
    "french": "l m t qu n s j d c jusqu quoiqu lorsqu puisqu",
    "catalan": "d l m n s t",
    "italian": "c l all dall dell nell sull coll pell gl agl dagl degl negl sugl un m t s v d",
    "irish": "d m b",
}
_LETTERS: Mapping[str, Mapping[int, int | None]] = {
    "russian": {0x451: 0x435},
    "romanian": str.maketrans("şţ", "șț"),
    "persian": str.maketrans("يىكةۀ", "ییکهه"),
    "greek": str.maketrans("άέήίϊΐόύϋΰώς", "αεηιιιουυυωσ"),
    "hindi": {0x901: 0x902, 0x93C: None},  # one sign for both nasals, and no dots below
}
_TURKISH_CAPITALS = {0x49: 0x131, 0x130: 0x69}
_HINDI_STEMS = str.maketrans("ऑऍऎऒईऊॠॡऐऔीूॄॣैौॉॅ", "ओएएओइउऋऌएओिुृॢेोोे", "\u094d")


class LanguageTerms:
    """Terms of a text in one language, in order, with repetitions. Safe to call from several threads.

    Args:
        language: a Snowball language name ("english"), or "none" for no stemming and no stop words.
    """

    def __init__(self, language: str) -> None:
        self.language = language
        self._letters = _LETTERS.get(language)
        self._elided = frozenset(_ELIDED.get(language, "").split())
        listed = stop_words().get(language, frozenset())
        self._stop_words = frozenset(token for word in listed for token in self._tokens(self._fold(word))[0])
        self._question_words = question_words().get(language, frozenset())
        self._local = threading.local()

    def terms(self, text: str) -> list[str]:
        """The index terms of `text`."""
        folded = self._fold(text)
        tokens, plain = self._tokens(folded)
        if plain:
            return self._stemmed(self._words(tokens))
        unspaced = [token for token in tokens if _IS_UNSPACED.match(token)]
        spaced = [token for token in tokens if not _IS_UNSPACED.match(token)]
        return [pair for token in unspaced for pair in _bigrams(token)] + self._stemmed(self._words(spaced))

    def unframed(self, question: str) -> str:
        """A question without the words that only frame it ("how do I ..."). A word in capitals counts ("WHO")."""
        if not self._question_words:
            return question
        plain = _DROPPED.sub("", unicodedata.normalize("NFKC", question))
        return _WORD.sub(lambda found: " " if self._frames(found[0]) else found[0], plain)

    def _frames(self, word: str) -> bool:
        in_capitals = len(word) > 1 and word.isupper()
        return not in_capitals and word.casefold().replace("\u2019", "'") in self._question_words

    def _fold(self, text: str) -> str:
        if text.isascii() and self.language != "turkish":
            return text.lower()
        text = unicodedata.normalize("NFKC", text)
        if self.language == "turkish":
            text = text.translate(_TURKISH_CAPITALS)
        text = text.casefold().replace("\u2019", "'")
        if self.language == "persian":
            text = text.replace("\u200c", " ")  # parts of a word, and stands where others have a space
        if _DROPPED.search(text):
            text = _DROPPED.sub("", text)
        return text.translate(self._letters) if self._letters else text

    def _tokens(self, folded: str) -> tuple[list[str], bool]:
        """Its words, articles off; and whether that was all, no script without spaces among them."""
        plain = folded.isascii() or not _UNPLAIN.search(folded)
        tokens: list[str] = (_PLAIN_TOKEN if plain else _TOKEN).findall(folded)
        if "'" in folded:
            if self._elided:
                tokens = [self._without_article(token) for token in tokens]
            elif self.language == "turkish":
                tokens = [token.partition("'")[0] for token in tokens]
        return tokens, plain

    def _without_article(self, token: str) -> str:
        before, _, rest = token.partition("'")
        return rest if rest and before in self._elided else token

    def _words(self, tokens: Sequence[str]) -> list[str]:
        """Without stop words, none too long, and those joined by underscores also in their parts."""
        words = [token[:_TERM_CHARS_MAX] for token in tokens if token not in self._stop_words]
        if not any("_" in word for word in words):
            return words
        parted: list[str] = []
        for word in words:
            parted.append(word)
            if "_" in word:  # max_connections is found by its parts too
                parted.extend(part for part in _WORD_PARTS.split(word) if part)
        return parted

    def _stemmed(self, words: list[str]) -> list[str]:
        if self.language == NONE:
            return words
        local = self._local
        try:
            stems = local.stems
        except AttributeError:  # PyStemmer objects must not be shared between threads
            local.stemmer, local.stems = new_stemmer(self.language), {}
            stems = local.stems
        unknown = [word for word in words if word not in stems]
        if unknown:
            if len(stems) > _STEMS_KEPT:
                stems.clear()
                unknown = words
            found = local.stemmer.stemWords(unknown)
            if self.language == "hindi":
                found = [stem.translate(_HINDI_STEMS) for stem in found]
            stems.update((word, stem or word) for word, stem in zip(unknown, found, strict=True))
        return [stems[word] for word in words]


def new_stemmer(language: str) -> Any:
    """Snowball's stemmer; raises ValueError for a language that it does not have."""
    import Stemmer

    try:
        return Stemmer.Stemmer(language)
    except KeyError:
        known = ", ".join(sorted(Stemmer.algorithms()))
        raise ValueError(f"unknown stemming language {language!r}; known: none, {known}") from None


@lru_cache(maxsize=4096)
def _bigrams(token: str) -> tuple[str, ...]:
    if len(token) == 1:
        return (token,)
    return tuple(token[i : i + 2] for i in range(len(token) - 1))
