"""Which language a text is in: a first look that costs microseconds, and a classifier for what it leaves open.

In this order: a text full of common English words is English; a script that only one of our languages is written in
decides; one language whose stop words are frequent, and more than twice as frequent as any other's, decides; py3langid
(Lui & Baldwin, "langid.py: An Off-the-shelf Language Identification Tool", ACL 2012; BSD licence) decides the rest. All
of it is a pure function of title and text.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

from store.language import NONE
from store.stop_words import question_words, stop_words

SAMPLE_CHARS = 600
"""How much of a document's text is looked at, beside its title: what it begins with."""

_FIRST_LOOK_CHARS = 250
_CLASSIFIED_CHARS = 240
_LETTERS_MIN = 30  # a classifier's guess on fewer is worth little
_LETTERS_SHARE = 0.55  # of prose it is seldom under 0.65; of code and tables often
_CONFIDENCE_MIN = 0.5
_ENGLISH_SHARE = 0.2
_LETTERS_PER_SIGN = 3  # a Chinese character says as much as several letters
_VOTES_MIN = 3
_SHARE_OF_QUESTION = 0.4
_VOTE_SHARE = 0.15

_ENGLISH_COMMON = (
    "the of and to in that with which by from this these those are is was were been be or have has had it its not as "
    "at for on an can may their they when where what how you your we our"
)
_LETTER_RUN = re.compile(r"[^\W\d_]+")

# Scripts by the blocks of their letters. Words of other scripts within Chinese, Japanese, Korean, Thai, Lao, Khmer or
# Burmese are mostly English, and stemmed so (as Lucene's SmartChineseAnalyzer does).
_SCRIPTS = {
    "unspaced": "\u0e01-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17dd\u3005-\u3007\u3041-\u30ff\u3131-\u318e"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff",
    "latin": "A-Za-z\u00aa\u00ba\u00c0-\u024f\u1e00-\u1eff",
    "cyrillic": "\u0400-\u052f",
    "arabic": "\u0620-\u064a\u066e-\u06d5\u06fa-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufefc",
    "greek": "\u0370-\u03ff\u1f00-\u1fff",
    "devanagari": "\u0900-\u097f",
    "hebrew": "\u05d0-\u05ea\u05ef-\u05f2",
    "armenian": "\u0531-\u0587",
    "tamil": "\u0b80-\u0bff",
}
_SCRIPT_LETTERS = {name: re.compile(f"[{blocks}]") for name, blocks in _SCRIPTS.items()}
_OF_ONE_LANGUAGE = {"unspaced": "english", "greek": "greek", "armenian": "armenian", "tamil": "tamil"}
_SCRIPT_OF = {
    "russian": "cyrillic",
    "serbian": "cyrillic",
    "arabic": "arabic",
    "persian": "arabic",
    "greek": "greek",
    "hindi": "devanagari",
    "nepali": "devanagari",
    "yiddish": "hebrew",
    "armenian": "armenian",
    "tamil": "tamil",
}

# Snowball's languages by ISO 639, and others, so that these are not taken for one of Snowball's. Small languages that
# are easily taken for a big one's short text (Aragonese, Scots, Luxembourgish ...) are left out.
_SNOWBALL = {
    "ar": "arabic", "arz": "arabic", "ary": "arabic", "hy": "armenian", "eu": "basque", "ca": "catalan", "cs": "czech",
    "da": "danish", "nl": "dutch", "en": "english", "eo": "esperanto", "et": "estonian", "fi": "finnish",
    "fr": "french", "de": "german", "el": "greek", "hi": "hindi", "hu": "hungarian", "id": "indonesian",
    "ga": "irish", "it": "italian", "lt": "lithuanian", "ne": "nepali", "no": "norwegian", "nn": "norwegian",
    "fa": "persian", "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian",
    "st": "sesotho", "es": "spanish", "sv": "swedish", "ta": "tamil", "tr": "turkish",
}  # fmt: skip
_OTHERS = (
    "af am az be bg bn bs cy fo gl gu ha he hr ht is ja ka kk km kn ko ku ky la lb lo lv mg mk ml mn mr ms mt my or pa "
    "ps si sk sl so sq sw te tg th tk tl tt ug uk ur uz vi xh yo zh zu zxx"
)


def iso_639(language: str) -> str:
    """The two letters of one of Snowball's languages; English where it is none."""
    return next((code for code, name in _SNOWBALL.items() if name == language), "en")


def detect(title: str, text: str) -> str | None:
    """The language of a document by Snowball's name of it, NONE for one that Snowball does not know, and None where too
    little text, or too uncertain a guess, leaves it open (code, tables, names).
    """
    words = text[:_FIRST_LOOK_CHARS].lower().split()
    common = sum(map(_common().__contains__, words))
    if common >= _VOTES_MIN and common >= _ENGLISH_SHARE * len(words):
        return "english"
    return _second_look(f"{title}\n{text[:SAMPLE_CHARS]}")


def _second_look(sample: str) -> str | None:
    script = _main_script(sample)
    if script in _OF_ONE_LANGUAGE:
        return _OF_ONE_LANGUAGE[script]
    words = _LETTER_RUN.findall(sample.casefold())
    if script == "latin":
        votes = _votes(words).most_common(2)
        if votes:
            language, most = votes[0]
            second = votes[1][1] if len(votes) > 1 else 0
            if most >= _VOTES_MIN and most >= _VOTE_SHARE * len(words) and most > 2 * second:
                return language
    letters = sum(map(len, words))
    if letters < _LETTERS_MIN or (script == "latin" and letters < _LETTERS_SHARE * len(sample)):
        return None
    return _classified(sample)


def _main_script(text: str) -> str | None:
    """The script of most letters; None without any. One that we have no language for is "other"."""
    if text.isascii():
        return "latin" if _SCRIPT_LETTERS["latin"].search(text) else None
    counts = {name: len(letters.findall(text)) for name, letters in _SCRIPT_LETTERS.items()}
    other = sum(map(len, _LETTER_RUN.findall(text))) - sum(counts.values())
    counts["other"] = max(other, 0)
    counts["unspaced"] *= _LETTERS_PER_SIGN
    name = max(counts, key=counts.__getitem__)
    return name if counts[name] else None


def _votes(words: Collection[str], among: Collection[str] | None = None) -> Counter[str]:
    """How many of these words each language has among its stop words; single letters are as often symbols."""
    speaking = _speaking()
    found = Counter(language for word in words if len(word) > 1 for language in speaking.get(word, ()))
    return found if among is None else Counter({key: found[key] for key in among if found[key]})


@lru_cache(maxsize=1)
def _common() -> frozenset[str]:
    return frozenset(_ENGLISH_COMMON.split())


@lru_cache(maxsize=1)
def _speaking() -> Mapping[str, tuple[str, ...]]:
    """The languages that have a word among their stop words."""
    lists = {language: set(words) for language, words in stop_words().items()}
    lists["english"] |= question_words()["english"] | _common()
    found: dict[str, list[str]] = {}
    for language in sorted(lists):
        for word in lists[language]:
            found.setdefault(word, []).append(language)
    return {word: tuple(languages) for word, languages in found.items()}


_guard = threading.Lock()


@lru_cache(maxsize=1)
def _classifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    made = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    made.set_languages([*_SNOWBALL, *_OTHERS.split()])
    return made


def _classified(sample: str) -> str | None:
    with _guard:
        classifier = _classifier()
    code, confidence = classifier.classify(sample[:_CLASSIFIED_CHARS])
    if confidence < _CONFIDENCE_MIN or code == "zxx":
        return None
    return _SNOWBALL.get(code, NONE)


def candidates(question: str, present: Sequence[str]) -> list[str]:
    """Which of the languages that an index has a question is looked up in: those of its script; of these one alone, if
    its stop words are there at least twice and half as often again as any other's.

    Args:
        question: any short text; a classifier's guess on one is not relied upon.
        present: not empty, the index's main language first.
    """
    fitting = _of_its_script(question, present)
    if len(fitting) == 1:
        return fitting
    words = _LETTER_RUN.findall(question.casefold())
    votes = _votes(words, fitting).most_common(2)
    if not votes:
        return fitting
    most, second = votes[0][1], votes[1][1] if len(votes) > 1 else 0
    # "do", "to" and "on" are Polish too, of which there is no list: English must be more than these.
    share = 0.0 if stop_words().keys() >= set(fitting) else _SHARE_OF_QUESTION
    return [votes[0][0]] if most >= 2 and most > 1.5 * second and most >= share * len(words) else fitting


def likeliest(text: str, present: Sequence[str]) -> str:
    """The one of an index's languages that a text is most likely in; `present` as for `candidates`."""
    fitting = _of_its_script(text, present)
    if len(fitting) == 1:
        return fitting[0]
    votes = _votes(_LETTER_RUN.findall(text.casefold()), fitting)
    return max(fitting, key=lambda language: votes[language])  # the first of equally likely ones


def of_other_scripts(text: str, present: Sequence[str]) -> list[str]:
    """The languages of an index that are written in none of the text's scripts; their documents may still quote it."""
    fitting = _of_its_script(text, present)
    return [] if len(fitting) == len(present) else [one for one in present if one not in fitting]


def _of_its_script(text: str, present: Sequence[str]) -> list[str]:
    """The languages written in a script of the text; the main one where there is none."""
    if len(present) == 1:
        return list(present)
    scripts = {name for name, letters in _SCRIPT_LETTERS.items() if letters.search(text)}
    return [one for one in present if one == NONE or _SCRIPT_OF.get(one, "latin") in scripts] or list(present[:1])
