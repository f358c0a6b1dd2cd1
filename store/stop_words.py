"""Stop words by language, from `stop_words.txt` beside this file, which names each list's origin and licence."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

# The usual small English list (the one BM25 baselines on BEIR are published with), not Snowball's.
_ENGLISH = (
    "a an and are as at be but by for if in into is it no not of on or such that the their then there these they "
    "this to was will with"
)

# Words that frame a question and are not what it asks about: pronouns, question words, auxiliaries. They are indexed
# (a passage may be about them) and left out of questions only. "May" and "us" are a month and a country too.
_ENGLISH_QUESTION = (
    "i me my myself we our ours you your yours he him his he she her hers its them what which who whom whose when "
    "where why how am were been being have has had having do does did doing would should could can i'm i've "
    "i'd i'll don't doesn't didn't can't isn't aren't won't what's there's it's"
)


@lru_cache(maxsize=1)
def stop_words() -> Mapping[str, frozenset[str]]:
    """The words that a language's terms do without, by Snowball's name of the language; as they are written, folded."""
    found: dict[str, list[str]] = {"english": _ENGLISH.split()}
    words: list[str] = []
    for line in Path(__file__).with_name("stop_words.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            words = found.setdefault(line.strip("[]"), [])
        elif not line.startswith("#"):
            words.extend(line.split())
    return {language: frozenset(listed) for language, listed in found.items()}


@lru_cache(maxsize=1)
def question_words() -> Mapping[str, frozenset[str]]:
    """Words that only frame a question, by language. Snowball's lists have those of other languages among them."""
    return {"english": frozenset(_ENGLISH_QUESTION.split())}
