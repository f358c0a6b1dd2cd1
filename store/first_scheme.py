"""Terms as the first scheme ("unicode-bigram-1:english") makes them, kept as they were: indexes made with it still open
and answer as they did. Nothing is improved here; what is new goes to `language.py`, under another name.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from functools import lru_cache

from store.language import new_stemmer

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_TOKEN = re.compile(rf"[{_UNSPACED}]+|[^\W{_UNSPACED}]+(?:['\u2019][^\W{_UNSPACED}]+)?")
_SPACED_TOKEN = re.compile(r"\w+(?:['\u2019]\w+)?")  # the same, where no such script occurs, in half the time
_TERM_CHARS_MAX = 128
_STEMS_KEPT = 200_000  # words a thread remembers the stem of
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_WORD_PARTS = re.compile("_+")

# The usual small English list (the one BM25 baselines on BEIR are published with), kept here because it is part of
# the index format: changing it changes the analyzer's name.
_ENGLISH_STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be but by for if in into is it no not of on or such that the their then there these they "
        "this to was will with",
    )
)
_LANGUAGES = {"english": _ENGLISH_STOP_WORDS}

# Words that frame a question and are not what it asks about: pronouns, question words, auxiliaries. They are indexed
# (a passage may be about them) and left out of questions only. "May" and "us" are a month and a country too.
_ENGLISH_QUESTION_WORDS = frozenset(
    re.findall(
        r"[\w']+",
        "i me my myself we our ours you your yours he him his she her hers its them what which who whom whose when "
        "where why how am were been being have has had having do does did doing would should could can i'm i've "
        "i'd i'll don't doesn't didn't can't isn't aren't won't what's there's it's",
    )
)
_QUESTION_WORDS = {"english": _ENGLISH_QUESTION_WORDS}
_WORD = re.compile(r"\w+(?:['\u2019]\w+)?")


class FirstTerms:
    """Terms of a text in one language, in order, with repetitions. Safe to call from several threads.

    Args:
        language: a Snowball language name ("english"), or "none" for no stemming and no stop words.
    """

    def __init__(self, language: str) -> None:
        self.language = language
        self._stop_words = _LANGUAGES.get(language, frozenset())
        self._question_words = _QUESTION_WORDS.get(language, frozenset())
        self._local = threading.local()

    def terms(self, text: str) -> list[str]:
        """The index terms of `text`."""
        folded = unicodedata.normalize("NFKC", text).casefold()
        if not _IS_UNSPACED.search(folded):
            return self._stemmed(self._words(_SPACED_TOKEN.findall(folded)))
        tokens = _TOKEN.findall(folded)
        unspaced = [token for token in tokens if _IS_UNSPACED.match(token)]
        spaced = [token for token in tokens if not _IS_UNSPACED.match(token)]
        return [pair for token in unspaced for pair in _bigrams(token)] + self._stemmed(self._words(spaced))

    def unframed(self, question: str) -> str:
        """A question without the words that only frame it ("how do I ..."). A word in capitals counts ("WHO")."""
        if not self._question_words:
            return question
        return _WORD.sub(lambda found: " " if self._frames(found[0]) else found[0], question)

    def _frames(self, word: str) -> bool:
        in_capitals = len(word) > 1 and word.isupper()
        return not in_capitals and word.casefold().replace("\u2019", "'") in self._question_words

    def _words(self, tokens: list[str]) -> list[str]:
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
        if self.language == "none":
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
            stems.update(zip(unknown, local.stemmer.stemWords(unknown), strict=True))
        return [stems[word] for word in words]


@lru_cache(maxsize=4096)
def _bigrams(token: str) -> tuple[str, ...]:
    if len(token) == 1:
        return (token,)
    return tuple(token[i : i + 2] for i in range(len(token) - 1))
