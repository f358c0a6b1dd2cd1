"""The analyzer: text to index terms. The same object, from the same name, on both sides.

A document has one language and its passages' terms are that language's. A question is looked up by the terms it has in
each of the index's languages that it may be in (`detection.candidates`), so that a wrong guess costs nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache

from store.detection import candidates, detect, likeliest, of_other_scripts
from store.first_scheme import FirstTerms
from store.language import NONE, LanguageTerms

AUTO = "auto"
"""Stands for detecting each document's language."""

_SCHEMES: Mapping[str, type[LanguageTerms | FirstTerms]] = {
    "unicode-bigram-1": FirstTerms,
    "unicode-bigram-2": LanguageTerms,
}
_LATEST = "unicode-bigram-2"


class Analyzer:
    """Terms of texts, in order, with repetitions. Safe to call from several threads.

    Equal to every other of its name, so that what is remembered by it still holds after the index was opened anew.

    Args:
        languages: Snowball language names, or "none" for no stemming and no stop words; the main one first.
        detects: whether each document has its own of these languages; otherwise all have the first.
        scheme: how terms are made; part of the name.

    Raises:
        ValueError: an unknown language.
    """

    def __init__(self, *languages: str, detects: bool = False, scheme: str = _LATEST) -> None:
        names = languages or ("english",)
        self.main = names[0]
        self.languages = (names[0], *sorted(set(names[1:]) - {names[0]})) if detects else names[:1]
        self.detects = detects
        self._scheme = scheme
        self._of = {language: _terms_in(scheme, language) for language in self.languages}
        listed = "+".join(self.languages)
        self.name = f"{scheme}:{AUTO}:{listed}" if detects else f"{scheme}:{listed}"
        """Identifies the analyzer in the manifest; anything that changes terms changes this name."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Analyzer) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    @classmethod
    def from_name(cls, name: str) -> Analyzer:
        """The analyzer with this manifest name; raises ValueError for one this program does not have."""
        scheme, _, rest = name.partition(":")
        detects = scheme != "unicode-bigram-1" and rest.startswith(f"{AUTO}:")
        languages = rest.removeprefix(f"{AUTO}:").split("+") if detects else [rest]
        if scheme not in _SCHEMES or not all(languages):
            raise ValueError(f"unknown analyzer {name!r}")
        try:
            return cls(*languages, detects=detects, scheme=scheme)
        except ValueError as error:
            raise ValueError(f"unknown analyzer {name!r}: {error}") from error

    @classmethod
    def for_languages(cls, documents: Mapping[str | None, int]) -> Analyzer:
        """The analyzer of an index of documents whose languages were detected.

        Args:
            documents: how many have each language; None for those that left it open, which take the commonest (of
                equally common ones the first by name; English without any).
        """
        known = sorted((one for one in documents if one is not None), key=lambda one: (-documents[one], one))
        return cls(*(known or ["english"]), detects=True)

    @classmethod
    def for_documents(cls, documents: Iterable[tuple[str, str]]) -> Analyzer:
        """The analyzer of an index of these documents (title, text)."""
        return cls.for_languages(Counter(detect(title, text) for title, text in documents))

    def language_of(self, title: str, text: str) -> str:
        """The language a document's terms are made in."""
        return self.language(detect(title, text)) if self.detects else self.main

    def language(self, detected: str | None) -> str:
        """The language that the terms of a document are made in for which `detect` found this."""
        return detected if detected in self._of else self.main

    def of(self, text: str) -> Analyzer:
        """The analyzer of the one language that a text is most likely in, for comparing texts with it: both must have
        their terms made alike.
        """
        return self._alone(likeliest(text, self.languages))

    def _alone(self, language: str) -> Analyzer:
        return self if self.languages == (language,) else _alone(self._scheme, language)

    def terms(self, text: str, language: str | None = None) -> list[str]:
        """The index terms of `text` in a language of this index; by default in the one it is most likely in."""
        if language is None:
            language = likeliest(text, self.languages)
        return self._of[language].terms(text)

    def all_terms(self, text: str) -> list[str]:
        """Every term that `text` has in any of the index's languages, once."""
        return list(dict.fromkeys(term for one in self._of.values() for term in one.terms(text)))

    def question_terms(self, question: str) -> list[str]:
        """What a question is looked up by: its terms, less those of words that only frame it ("how do I ..."), unless
        nothing else would be left; in several languages each word's distinct terms. Where the index has languages of
        other scripts too, words also as documents in those have them.
        """
        asked_in = [self._of[one] for one in candidates(question, self.languages)]
        texts = [one.unframed(question) for one in asked_in]
        found = _merged(asked_in, texts)
        if not found:
            return _merged(asked_in, [question] * len(asked_in))
        others = of_other_scripts(question, self.languages)
        return [*found, *self._as_documents_have(others, asked_in, texts, set(found))] if others else found

    def _as_documents_have(
        self,
        others: Sequence[str],
        asked_in: Sequence[LanguageTerms | FirstTerms],
        texts: Sequence[str],
        known: AbstractSet[str],
    ) -> list[str]:
        """What else the words of the texts are in documents of other scripts' languages, which do not stem them. Stop
        words of the text's own language are left out: where they are none, they would count for much.
        """
        plain = _terms_in(self._scheme, NONE)
        words = dict.fromkeys(
            word for one, text in zip(asked_in, texts, strict=True) for word in plain.terms(text) if one.terms(word)
        )
        telling = " ".join(words)
        found = dict.fromkeys(term for other in others for term in self._of[other].terms(telling))
        return [term for term in found if term not in known]


def detects_latest(name: str) -> bool:
    """Whether this is the name of an analyzer that detects languages, as this program makes them."""
    return name.startswith(f"{_LATEST}:{AUTO}:")


def _merged(asked_in: Sequence[LanguageTerms | FirstTerms], texts: Sequence[str]) -> list[str]:
    """The terms of each text in its language; one that several have counts as often as where it is most frequent."""
    if len(asked_in) == 1:
        return asked_in[0].terms(texts[0])
    most: Counter[str] = Counter()
    for one, text in zip(asked_in, texts, strict=True):
        most |= Counter(one.terms(text))
    return list(most.elements())


@lru_cache(maxsize=128)
def _terms_in(scheme: str, language: str) -> LanguageTerms | FirstTerms:
    """Shared, so that a word's stem is remembered once in a process; raises ValueError for an unknown language."""
    made = _SCHEMES[scheme](language)
    made.terms("any words")
    return made


@lru_cache(maxsize=128)
def _alone(scheme: str, language: str) -> Analyzer:
    return Analyzer(language, scheme=scheme)
