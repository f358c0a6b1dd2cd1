"""Run files: what one evaluation saw on one set, whole, so that comparing and reporting never measure again.

A run is a folder with one file a set, or one such file. RUN:CONFIGURATION names one configuration of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evaluation.configurations import SHIPPED
from evaluation.errors import RunUnreadable
from store.errors import UsageError


class ConfigurationRecord(BaseModel):
    """What one configuration was: its mode, what it changed, and the index it asked."""

    model_config = ConfigDict(frozen=True)

    mode: str
    changes: dict[str, Any]
    generation: int
    documents: int
    passages: int
    splitter: dict[str, Any] = {}
    model: str = ""


class ShownText(BaseModel):
    """What people are shown of a document."""

    model_config = ConfigDict(frozen=True)

    title: str
    snippet: str


class RunFile(BaseModel):
    """One set of a run. Keys by question hold the judged questions only; times are milliseconds.

    Args:
        format: 1 was without question texts, judgements and settings, and is not read; 2 is whole.
        set: the set's name.
        settings: of indexer and service, as the run had them (secrets masked).
        modes: the figures as printed, by configuration.
        queries: text by question.
        qrels: grade by question and document.
        by_question: measure by configuration and question.
        rankings: up to 100 document ids, best first, by configuration and question.
        latency_by_question: time by configuration, question and stage ("total" among them), of those that were timed.
        texts: what is shown of the documents at the top of a ranking and of the relevant ones.
        answers_by_question: what was asked, answered, withheld and used, under the settings as they are.
        answer_measures: measure of answers by configuration and question, of those questions that have it.
        sample: how many questions were drawn by which seed; None: all were asked.
    """

    model_config = ConfigDict(frozen=True)

    format: Literal[2]
    set: str
    created_at: str
    corpus: str | None
    generation: int
    documents: int
    passages: int
    questions: int
    modes: dict[str, dict[str, Any]]
    answers: dict[str, Any] | None = None
    results_file: str
    settings: dict[str, Any] = {}
    configurations: dict[str, ConfigurationRecord]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]
    by_question: dict[str, dict[str, dict[str, float]]]
    rankings: dict[str, dict[str, list[str]]]
    latency_by_question: dict[str, dict[str, dict[str, float]]]
    texts: dict[str, ShownText] = Field(default_factory=dict)
    answers_by_question: dict[str, dict[str, Any]] | None = None
    answer_measures: dict[str, dict[str, dict[str, float]]] = {}
    sample: dict[str, int] | None = None
    refusals: dict[str, float] | None = None
    refusals_by_question: dict[str, dict[str, Any]] | None = None

    def values(self, configuration: str, measure: str) -> dict[str, float]:
        """One measure by question: a measure of answers only of the questions that have it. Raises RunUnreadable naming
        what the run has instead.
        """
        found = self.by_question[self.named(configuration)]
        answers = self.answer_measures.get(configuration, {})
        of_answers = list(dict.fromkeys(name for measures in answers.values() for name in measures))
        if measure in of_answers:
            return {question: measures[measure] for question, measures in answers.items() if measure in measures}
        known = next(iter(found.values()), {measure: 0.0})
        if measure not in known:
            raise RunUnreadable(f"{self.results_file} has no {measure!r}; it has {', '.join([*known, *of_answers])}.")
        return {question: measures[measure] for question, measures in found.items()}

    def named(self, configuration: str) -> str:
        """The name, if it is one of this run's. Raises RunUnreadable naming those that are."""
        if configuration not in self.by_question:
            known = ", ".join(map(repr, self.by_question))
            raise RunUnreadable(f"{self.results_file} has no configuration {configuration!r}; it has {known}.")
        return configuration


class Run:
    """A run as it was named on a command line: PATH or PATH:CONFIGURATION.

    Only one set is held in memory at a time: `sets` reads each file when it is asked for.

    Args:
        argument: a run folder or file, with or without a configuration.

    Raises RunUnreadable where there is none.
    """

    def __init__(self, argument: str) -> None:
        self.path, self.configuration = _split(argument)
        self.files = _files(self.path)
        self.name = self.path.stem if self.path.is_file() else self.path.resolve().name
        self._places: dict[str, Path] | None = None

    @property
    def places(self) -> dict[str, Path]:
        """The file of each set. Raises RunUnreadable for two of one name."""
        if self._places is None:
            places: dict[str, Path] = {}
            for file in self.files:
                name = read_run(file).set
                if name in places:
                    raise RunUnreadable(
                        f"{self.path} holds the set {name!r} twice ({places[name].name}, {file.name}).",
                        fix="Name one of the files.",
                    )
                places[name] = file
            self._places = places
        return self._places

    def sets(self) -> Iterator[RunFile]:
        """Every set, read when its turn comes."""
        for file in self.places.values():
            yield read_run(file)

    def chosen(self, one: RunFile) -> str:
        """The configuration that was named, else the shipped one, else the only one. Raises RunUnreadable."""
        if self.configuration is not None:
            return one.named(self.configuration)
        if SHIPPED in one.by_question or len(one.by_question) != 1:
            return one.named(SHIPPED)
        return next(iter(one.by_question))


def read_run(path: Path) -> RunFile:
    """One set's file. Raises RunUnreadable naming what is wrong with it."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RunUnreadable(f"{path} cannot be read: {error.strerror or error}.") from error
    try:
        found = RunFile.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole file"
        raise RunUnreadable(
            f"{path} is no run of this version: {first['msg']} at {place}.",
            fix="Measure again with `footnote evaluate SET...`.",
        ) from error
    return found.model_copy(update={"results_file": str(path)})


def write_run(run: RunFile, path: Path) -> None:
    """Write one set's file; it appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".partial")
    aside.write_text(run.model_dump_json(), encoding="utf-8")
    aside.replace(path)


def new_run_folder(cache: Path, wanted: Path | None) -> Path:
    """Where a run's files go: the folder wanted, which must hold no run yet, else a new one in the cache.

    Raises UsageError where the folder is in use.
    """
    if wanted is not None:
        if wanted.is_file() or (wanted.is_dir() and any(wanted.iterdir())):
            raise UsageError(
                f"--output {wanted} is not empty.", fix="Name a new folder: a run is never mixed with another."
            )
        return wanted
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for number in range(1, 1000):
        folder = cache / "runs" / (stamp if number == 1 else f"{stamp}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise UsageError(f"{cache / 'runs'} has a thousand runs of this second.")


def free_file(folder: Path, name: str) -> Path:
    """A file in `folder` for the set `name`; numbered where another set of that name has it."""
    plain = "".join(character if character.isalnum() or character in "-_." else "-" for character in name)
    for number in range(1, 1000):
        path = folder / (f"{plain}.json" if number == 1 else f"{plain}-{number}.json")
        if not path.exists():
            return path
    raise UsageError(f"{folder} has a thousand sets called {name!r}.")


def _split(argument: str) -> tuple[Path, str | None]:
    path = Path(argument)
    if path.exists() or ":" not in argument:
        return path, None
    head, _, configuration = argument.rpartition(":")
    return Path(head), configuration


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise RunUnreadable(
            f"there is no run {path}.",
            fix="`footnote evaluate SET... --output FOLDER` makes one; it also prints where.",
        )
    files = sorted(path.glob("*.json"))
    if not files:
        raise RunUnreadable(f"{path} holds no run: no .json file is in it.")
    return files
