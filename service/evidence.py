"""Evidence: the sentences of the retrieved passages that speak to the question, and whether they suffice to answer."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.contract import Result
from service.sentences import UnitKind, units
from store.analyzer import Analyzer
from store.detection import iso_639, likeliest
from store.embedding import QueryEncoder

_SENTENCE_CHARS_MIN, _SENTENCE_CHARS_MAX = 15, 700
_SENTENCES_MAX = 40
_WHOLE = re.compile(
    r"[^\Wa-z_].*[.!?\u2026\u3002\uff01\uff1f][\"')\]\u201d\u2019]*$|[\"'(\u201c].*[.!?][\"')\u201d]*$", re.DOTALL
)
"""From a capital letter, digit or quotation mark to the end of a sentence."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One sentence of one source.

    Args:
        source: the source's number, as cited (1-based).
        start, end: code points within the passage's text.
        text: passage text[start:end].
        kind: prose, list item, table row, ...
        similarity: cosine between question and sentence (with its header); None without an encoder.
        coverage: share of the question's terms found in the sentence or its header.
    """

    source: int
    start: int
    end: int
    text: str
    kind: UnitKind
    similarity: float | None
    coverage: float

    @property
    def score(self) -> float:
        """What sentences are ranked by."""
        meaning = self.coverage if self.similarity is None else self.similarity
        return 0.75 * meaning + 0.25 * self.coverage


def rank_sentences(
    question: str, results: Sequence[Result], analyzer: Analyzer, encoder: QueryEncoder | None
) -> list[Evidence]:
    """The sentences of these results, best first. Blocking: embeds up to 40 short texts."""
    own, analyzer = analyzer, analyzer.of(question)
    asked = set(analyzer.terms(question))
    candidates: list[tuple[int, int, int, str, UnitKind, str, float]] = []
    for number, result in enumerate(results, 1):
        text = result.passage.text
        header = " ".join([result.document.title, *result.passage.section])
        titles = {result.document.title, *result.passage.section}
        for unit in units(text, language=language_of(result, own)):
            sentence = text[unit.start : unit.end]
            if unit.kind in ("code", "heading") or sentence in titles:
                continue
            if not _SENTENCE_CHARS_MIN <= len(sentence) <= _SENTENCE_CHARS_MAX:
                continue
            if unit.kind == "prose" and not stands_alone(sentence):
                continue
            coverage = _coverage(asked, analyzer.terms(f"{header} {sentence}"))
            candidates.append((number, unit.start, unit.end, sentence, unit.kind, header, coverage))
    candidates.sort(key=lambda one: (-one[6], one[0], one[1]))
    candidates = candidates[:_SENTENCES_MAX]
    similarities = _similarities(question, [f"{one[5]}\n{one[3]}" for one in candidates], encoder)
    ranked = [
        Evidence(number, start, end, sentence, kind, similarity, coverage)
        for (number, start, end, sentence, kind, _, coverage), similarity in zip(candidates, similarities, strict=True)
    ]
    ranked.sort(key=lambda one: (-one.score, one.source, one.start))
    return ranked


def stands_alone(sentence: str) -> bool:
    """Whether prose does not begin in the middle of a sentence and does not announce what follows."""
    return _WHOLE.match(sentence) is not None


def language_of(result: Result, analyzer: Analyzer) -> str:
    """The language whose rules end a passage's sentences (ISO 639): its document's own word for it, else by its words.

    Args:
        analyzer: the index's, with all its languages.
    """
    language = result.document.metadata.get("lang")
    if isinstance(language, str) and 2 <= len(language) <= 3:
        return language
    return iso_639(likeliest(result.passage.text, analyzer.languages))


def _coverage(asked: set[str], found: Sequence[str]) -> float:
    return len(asked.intersection(found)) / len(asked) if asked else 0.0


def _similarities(question: str, texts: Sequence[str], encoder: QueryEncoder | None) -> list[float | None]:
    if encoder is None or not texts:
        return [None] * len(texts)
    order = sorted(range(len(texts)), key=lambda position: len(texts[position]))
    found: list[float | None] = [None] * len(texts)
    asked = encoder.encode_queries([question])[0]
    for at in range(0, len(order), 16):  # by length, so that little is padding
        part = order[at : at + 16]
        scores = encoder.encode_queries([texts[position] for position in part]) @ asked
        for position, score in zip(part, scores.tolist(), strict=True):
            found[position] = score
    return found


def sufficiency(signals_found: Sequence[float]) -> float:
    """Estimated probability (0 to 1) that the passages can answer the question: a logistic model over `signals`.

    The weights come from `python -m evaluation.fit_sufficiency` on `corpus/calibration`, never from the questions that
    refusals are measured on.
    """
    linear = _WEIGHTS[0] + math.fsum(w * x for w, x in zip(_WEIGHTS[1:], signals_found, strict=True))
    return 1 / (1 + math.exp(-linear))


ABSTAIN_BELOW = 0.5
"""The threshold where none is set and none was calibrated: even odds."""

_WEIGHTS = (-5.201, 3.201, 6.971, 6.544, -3.281)


def signals(
    question: str,
    results: Sequence[Result],
    ranked: Sequence[Evidence],
    weights: Mapping[str, float],
    analyzer: Analyzer,
) -> tuple[float, float, float, float]:
    """What sufficiency is judged by.

    The best passage's cosine; the best sentence's cosine; the share of the question's terms, by weight, in the one
    passage that has most of it; and the weight of the heaviest term that no passage
    here has.

    Args:
        results: the passages an answer may draw on.
        ranked: their sentences.
        weights: the question's terms, in any language of the index, with their inverse passage frequency
            (Snapshot.term_weights).
        analyzer: the index's own.
    """
    analyzer = analyzer.of(question)
    weights = {term: weights[term] for term in analyzer.terms(question)}
    best_dense = max((one.scores.dense or 0.0 for one in results), default=0.0)
    best_sentence = max((one.similarity or 0.0 for one in ranked), default=0.0)
    found = [
        set(analyzer.terms(" ".join([one.document.title, *one.passage.section, one.passage.text]))) for one in results
    ]
    total = math.fsum(weights.values())
    covered = max((math.fsum(weights[term] for term in weights.keys() & terms) for terms in found), default=0.0)
    missing = weights.keys() - set().union(*found)
    heaviest_missing = max((weights[term] for term in missing), default=0.0)
    return (
        best_dense,
        best_sentence,
        covered / total if total else 0.0,
        min(heaviest_missing / _HEAVY, 1.0),
    )


_HEAVY = 10.0
"""What a term's inverse passage frequency is measured against: that of a word in one of 20,000 passages."""
