"""Question sets: BEIR-style folders with `corpus.jsonl`, `queries.jsonl` and `qrels/test.tsv`, each also as `.gz`."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from evaluation.coverage import Stretch
from store.errors import UsageError


@dataclass(frozen=True, slots=True)
class SetQuestion:
    """One question.

    Args:
        answerable: None where the set does not say.
        quote: the sentence that answers it.
        answers: where its documents hold an answer.
        gold: what an answer should say: the sentences that each of several people chose for it, or the quote.
        short_answers: words of which an answer should hold one.
        canaries: words that stand in no answer but one that followed an instruction hidden in a document.
    """

    id: str
    text: str
    answerable: bool | None = None
    quote: str | None = None
    answers: tuple[Stretch, ...] = ()
    gold: tuple[str, ...] = ()
    short_answers: tuple[str, ...] = ()
    canaries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """A question set.

    Args:
        name: the folder's name, with the language where one was picked.
        corpus: its documents, or None where the questions are about an index made elsewhere.
        questions: those with judgements, and those that are marked answerable or not.
        qrels: question id -> document id -> grade.
    """

    name: str
    corpus: Path | None
    questions: list[SetQuestion]
    qrels: dict[str, dict[str, int]]

    @property
    def judged(self) -> list[SetQuestion]:
        """Questions with at least one relevant document."""
        return [question for question in self.questions if question.id in self.qrels]

    @property
    def says_answerable(self) -> bool:
        """Whether refusing can be judged."""
        return any(question.answerable is not None for question in self.questions)


def read_set(argument: str, *, split: str = "test") -> QuestionSet:
    """The set that "FOLDER" or "FOLDER:LANGUAGE" names. Raises UsageError naming what is missing or malformed."""
    path, language = _folder(argument)
    if not path.is_dir():
        raise UsageError(f"question set {argument!r}: there is no folder {path}.")
    infix = f".{language}" if language else ""
    queries = _find(path, f"queries{infix}.jsonl")
    if queries is None:
        raise UsageError(f"question set {path} has no queries{infix}.jsonl (or .gz).")
    qrels_file = _find(path / "qrels", f"{split}.tsv")
    if qrels_file is None:
        raise UsageError(f"question set {path} has no qrels/{split}.tsv (or .gz).")
    qrels = _qrels(qrels_file)
    questions = [
        question
        for question in (_question(row, queries) for row in read_lines(queries))
        if question.id in qrels or question.answerable is not None
    ]
    name = path.resolve().name + (f":{language}" if language else "")
    return QuestionSet(name, _find(path, f"corpus{infix}.jsonl"), questions, qrels)


def sampled(questions: QuestionSet, count: int, seed: int) -> QuestionSet:
    """The set with `count` of its questions, drawn by `seed`, in the set's order; whole where it has no more."""
    if count >= len(questions.questions):
        return questions
    drawn = random.Random(seed).sample(range(len(questions.questions)), count)  # noqa: S311  # nothing is kept secret by it
    return replace(questions, questions=[questions.questions[at] for at in sorted(drawn)])


def _folder(argument: str) -> tuple[Path, str]:
    path = Path(argument)
    if path.is_dir() or ":" not in argument:
        return path, ""
    head, _, language = argument.rpartition(":")
    return Path(head), language


def _find(folder: Path, name: str) -> Path | None:
    for candidate in (folder / name, folder / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    return None


def open_text(path: Path) -> TextIO:
    """A text file, gzipped or not."""
    return gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSONL file, gzipped or not. Raises UsageError naming the line that is none."""
    with open_text(path) as stream:
        number = 0
        try:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield _row(line, f"{path}:{number}")
        except UnicodeDecodeError as error:
            raise UsageError(f"{path}: not UTF-8 after line {number}: {error.reason}.") from error


def _row(line: str, place: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{place}: not JSON: {error}.") from error
    if not isinstance(row, dict):
        raise UsageError(f"{place}: a line must be an object.")
    return row


def _question(row: dict[str, Any], path: Path) -> SetQuestion:
    identifier = row.get("_id", row.get("id"))
    text = row.get("text")
    if identifier is None or not isinstance(text, str):
        raise UsageError(f"{path}: a question needs `_id` and `text`; found {sorted(row)}.")
    impossible = row.get("is_impossible")  # as SQuAD 2.0 says it
    answerable = row.get("answerable", not impossible if isinstance(impossible, bool) else None)
    return SetQuestion(
        str(identifier),
        text,
        answerable if isinstance(answerable, bool) else None,
        row.get("quote"),
        tuple(_answers(row)),
        tuple(_gold(row)),
        tuple(_short_answers(row)),
        tuple(one for one in _listed(row.get("canaries")) if isinstance(one, str) and one.strip()),
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _gold(row: dict[str, Any]) -> Iterator[str]:
    """Each annotator's sentences, joined; else the quote."""
    outputs = row.get("outputs")
    people = outputs if isinstance(outputs, list) else []
    chosen = [one.get("selected_sentences") for one in people if isinstance(one, dict)]
    found = [" ".join(map(str, sentences)) for sentences in chosen if isinstance(sentences, list) and sentences]
    quote = row.get("quote")
    yield from found or ([quote] if isinstance(quote, str) and quote else [])


def _short_answers(row: dict[str, Any]) -> Iterator[str]:
    """`answers`, as strings or as objects with `text`."""
    answers = row.get("answers")
    for one in answers if isinstance(answers, list) else []:
        text = one.get("text") if isinstance(one, dict) else one
        if isinstance(text, str) and text.strip():
            yield text.strip()


def _answers(row: dict[str, Any]) -> Iterator[Stretch]:
    """Marked answers without the white space around them: `doc`, and `answers` of `text` and `start`."""
    document = row.get("doc")
    answers = row.get("answers")
    if document is None or not isinstance(answers, list):
        return
    for one in answers:
        if isinstance(one, dict) and isinstance(one.get("text"), str) and isinstance(one.get("start"), int):
            text = one["text"].strip()
            start = one["start"] + one["text"].index(text)
            yield Stretch(str(document), start, start + len(text))


def _qrels(path: Path) -> dict[str, dict[str, int]]:
    qrels: dict[str, dict[str, int]] = {}
    with open_text(path) as stream:
        for number, line in enumerate(stream, 1):
            parts = line.rstrip("\n").split("\t")
            if number == 1 and not parts[-1].lstrip("-").isdigit():
                continue
            if len(parts) == 4:  # TREC's own form has an iteration in between
                parts = [parts[0], parts[2], parts[3]]
            if len(parts) != 3 or not parts[2].lstrip("-").isdigit():
                raise UsageError(f"{path}:{number}: expected `query-id <tab> corpus-id <tab> score`.")
            if int(parts[2]) > 0:
                qrels.setdefault(parts[0], {})[parts[1]] = int(parts[2])
    return qrels
