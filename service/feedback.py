"""A second look at the candidates, with what the best of the first look say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from service.engine import Engine
from service.question import Question
from store.embedding import Vectors
from store.feedback import moved, telling_terms
from store.snapshot import LegQuery, Vector
from store.vectors import inner_products

PASSAGES = 10
"""Passages of the first look that are believed; the softmax lets few of them count."""

TERMS = 10
QUESTION_TIMES = 6
"""How often the question's own terms count, beside terms added once each."""

_WORD = re.compile(r"\w+")


def dense_again(
    question: Vector, share: float, best: Sequence[tuple[str, float]], ids: Sequence[str], vectors: Vectors
) -> dict[str, float]:
    """Dense scores of candidates for the question's vector moved towards the best passages'.

    Args:
        question: its vector.
        share: of the best passages in the moved vector, 0 to 1.
        best: ids and fused scores, best first.
        ids, vectors: of the candidates; float32, shape (ids, dimension).
    """
    place = {key: number for number, key in enumerate(ids)}
    believed = best[:PASSAGES]
    query = moved(question, vectors[[place[key] for key, _ in believed]], [score for _, score in believed], share)
    return dict(zip(ids, inner_products(vectors, query).tolist(), strict=True))


async def lexical_again(
    question: Question, engine: Engine, best: Sequence[tuple[str, float]], ids: Sequence[str]
) -> Mapping[str, float]:
    """Lexical scores by id of candidates that share a term with the question and the words added to it."""
    scores = dict(best[:PASSAGES])
    stored = await engine.snapshot.passages(list(scores), question.principals)
    texts = [one.passage.text for one in stored.values()]
    analyzer = engine.analyzer.of(question.text)
    words: dict[str, str] = {}  # a term, and a word that has it
    for text in texts:
        for word in _WORD.findall(text):
            for term in analyzer.terms(word)[:1]:
                words.setdefault(term, word)
    weights = await engine.snapshot.term_weights(" ".join(words.values()))
    known = set(analyzer.terms(question.text))
    terms = [analyzer.terms(text) for text in texts]
    added = telling_terms(terms, [scores[key] for key in stored], weights, known, TERMS)
    asked = " ".join([question.text] * QUESTION_TIMES + [words[term] for term in added if term in words])
    found = await engine.snapshot.score(LegQuery(asked, None), ids)
    return {key: one.lexical for key, one in zip(ids, found, strict=True) if one.lexical}
