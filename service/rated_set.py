"""An evaluation set made of ratings: what they say of questions and documents, as far as they honestly say it.

What is read from a rating of a whole answer:

    up, answered      the question can be answered, and each document that the answer cites is relevant
    up, refused       the question cannot be answered
    down, refused     the question can be answered: the refusal was wrong. By which document nobody said
    down, answered    nothing: the answer was bad, but not whether there is a better one, nor where

and of one of a sentence: up, that the documents it cites are relevant and the question can be answered; down, that they
are not judged by the rating of the whole answer. Ratings of the same question are taken together; where they
contradict each other about whether it can be answered, it is left out.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from service.ratings import Rated
from store.errors import UsageError
from store.files import disk_errors

LEFT_OUT: Mapping[str, str] = {
    "bad answers": "an answer was rated down, which does not say where a better one is",
    "contradicted": "people disagree on whether the question can be answered",
    "not everyone's": "asked with rights that measuring has not",
}
"""Why a question is in no set."""


@dataclass(slots=True)
class _Asked:
    """A question, and what all its ratings say."""

    id: str
    text: str
    answerable: set[bool] = field(default_factory=set)
    relevant: set[str] = field(default_factory=set)
    ratings: int = 0
    ups: int = 0
    generation: int = 0


@dataclass(frozen=True, slots=True)
class RatedSet:
    """A set, and what is in none.

    Args:
        queries: rows of queries.jsonl.
        qrels: (question id, document id) of what is relevant.
        left_out: questions by a word of LEFT_OUT.
    """

    queries: Sequence[Mapping[str, object]]
    qrels: Sequence[tuple[str, str]]
    left_out: Mapping[str, int]


def rated_set(ratings: Iterable[Rated]) -> RatedSet:
    """What the ratings say, a question once. Pure."""
    by_answer: dict[str, list[Rated]] = {}
    for one in ratings:
        by_answer.setdefault(one.answer.request_id, []).append(one)
    questions: dict[str, _Asked] = {}
    foreign: set[str] = set()
    for given in by_answer.values():
        answer = given[-1].answer
        key = " ".join(answer.query_used.casefold().split())
        if answer.principals:
            foreign.add(key)
            continue
        asked = questions.setdefault(key, _Asked(answer.request_id, answer.query_used))
        asked.ratings += len(given)
        asked.ups += sum(one.rating == "up" for one in given)
        asked.generation = max(asked.generation, answer.generation)
        _read(given, asked)
    left_out: Counter[str] = Counter({"not everyone's": len(foreign - set(questions))})
    queries: list[Mapping[str, object]] = []
    qrels: list[tuple[str, str]] = []
    for asked in questions.values():
        if len(asked.answerable) != 1:
            left_out["contradicted" if asked.answerable else "bad answers"] += 1
            continue
        answerable = asked.answerable == {True}
        queries.append(
            {
                "_id": asked.id,
                "text": asked.text,
                "answerable": answerable,
                "ratings": asked.ratings,
                "up": asked.ups,
                "generation": asked.generation,
            }
        )
        qrels += [(asked.id, document) for document in sorted(asked.relevant)] if answerable else []
    return RatedSet(queries, qrels, {name: left_out[name] for name in LEFT_OUT if left_out[name]})


def _read(given: Sequence[Rated], asked: _Asked) -> None:
    """What the ratings of one answer say of its question."""
    answer = given[0].answer
    of_sentence = {one.sentence_index: one.rating for one in given if one.sentence_index is not None}
    whole = next((one.rating for one in given if one.sentence_index is None), None)
    if answer.verdict == "abstained":
        if whole is not None:
            asked.answerable.add(whole == "down")
        return
    for sentence in answer.sentences:
        if sentence.verdict == "supported" and of_sentence.get(sentence.index, whole) == "up":
            asked.answerable |= {True}
            asked.relevant.update(sentence.documents)


def write_set(made: RatedSet, folder: Path) -> None:
    """Write `queries.jsonl` and `qrels/test.tsv`, as `footnote evaluate` reads them. A set that is there is replaced,
    anything else is not. Raises UsageError or WriteFailed.
    """
    queries, qrels = folder / "queries.jsonl", folder / "qrels" / "test.tsv"
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is no folder.")
    if folder.is_dir() and any(folder.iterdir()) and not queries.is_file():
        raise UsageError(f"{folder} holds something else than a question set.", fix="Name another folder.")
    rows = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made.queries)
    lines = "query-id\tcorpus-id\tscore\n" + "".join(f"{query}\t{document}\t1\n" for query, document in made.qrels)
    with disk_errors(folder):
        qrels.parent.mkdir(parents=True, exist_ok=True)
        queries.write_text(rows, encoding="utf-8")
        qrels.write_text(lines, encoding="utf-8")
