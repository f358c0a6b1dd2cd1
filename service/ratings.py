"""What people said of answers: a record of what was answered, and the file that ratings are kept in.

A rating names a request id, and what is stored with it is what this service answered, never what a client says that it
saw. Any worker may get the rating of any other's answer, so that recent answers are in the file too: at most
`feedback_answers_max` of them, for a day. No text of a document and no answer's text is kept.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from service.contract import AnswerResponse, AnswerVerdict, FinishReason, Model, Reason, SentenceVerdict
from store.errors import FootnoteError

_LOG = logging.getLogger("footnote.service")

Rating = Literal["up", "down"]

COMMENT_CHARS_MAX = 2_000
SOURCES_MAX = 50
"""Sources of an answer that are noted; what it cites is noted in any case."""

ANSWER_S_MAX = 86_400
"""Seconds that an answer can be rated."""

BUSY_S = 5.0
"""Seconds that one process waits for another to let go of the file."""

WAITING_MAX = 64
"""Ratings that may wait for the file."""

FORMAT_VERSION = 1
_APPLICATION_ID = 0x466F6F74  # "Foot"
_WHOLE = -1
"""Stands for the whole answer where a sentence's index would be."""

_TABLES = """
CREATE TABLE IF NOT EXISTS answers (
    request_id TEXT PRIMARY KEY, answered REAL NOT NULL, record TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS answers_by_time ON answers (answered);
CREATE TABLE IF NOT EXISTS ratings (
    request_id TEXT NOT NULL, sentence_index INTEGER NOT NULL, rated TEXT NOT NULL, rating TEXT NOT NULL,
    comment TEXT, record TEXT NOT NULL, PRIMARY KEY (request_id, sentence_index)
) STRICT;
"""


class FeedbackUnwritable(FootnoteError):
    """The file of ratings cannot be opened or written."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path.name}: {why}.",
            fix="Set FOOTNOTE_FEEDBACK to a file that can be written, or to none.",
        )


class AnswerUnknown(FootnoteError):
    """No answer by this request id is remembered."""


class NoSuchSentence(FootnoteError):
    """The answer has no sentence of this index."""


class NotedSource(Model):
    """A passage that the answer could draw on."""

    rank: int
    document_id: str
    document_version: str
    passage_id: str


class NotedSentence(Model):
    """What was found of a sentence, and what it cites."""

    index: int
    verdict: SentenceVerdict
    reason: Reason | None = None
    documents: list[str]
    passages: list[str]


class Answered(Model):
    """What is remembered of an answer."""

    request_id: str
    generation: int
    question: str
    query_used: str
    principals: list[str]
    verdict: AnswerVerdict
    finish_reason: FinishReason
    abstention: str | None
    model: str
    sources: list[NotedSource]
    sentences: list[NotedSentence]
    withheld: list[str]
    answered: float


class Rated(Model):
    """A rating with the answer it is about."""

    rating: Rating
    comment: str | None
    sentence_index: int | None
    rated: str
    answer: Answered


def noted(question: str, principals: frozenset[str], response: AnswerResponse, now: float) -> Answered:
    """What is remembered of an answer; `now` in seconds since 1970."""
    cited = {one.id: one for one in response.citations}
    quoted = {one.passage_id for one in response.citations}
    sources = [one for at, one in enumerate(response.sources) if at < SOURCES_MAX or one.passage.id in quoted]
    return Answered(
        request_id=response.request_id,
        generation=response.generation,
        question=question,
        query_used=response.query_used,
        principals=sorted(principals),
        verdict=response.verdict,
        finish_reason=response.finish_reason,
        abstention=None if response.abstention is None else response.abstention.reason,
        model=response.usage.model,
        sources=[
            NotedSource(
                rank=one.rank,
                document_id=one.document.id,
                document_version=one.document.version,
                passage_id=one.passage.id,
            )
            for one in sources
        ],
        sentences=[
            NotedSentence(
                index=one.index,
                verdict=one.verdict,
                reason=one.reason,
                documents=list(dict.fromkeys(cited[key].document_id for key in one.citations)),
                passages=list(dict.fromkeys(cited[key].passage_id for key in one.citations)),
            )
            for one in response.sentences
        ],
        withheld=[one.reason for one in response.withheld],
        answered=now,
    )


@dataclass(frozen=True, slots=True)
class NewRating:
    """A rating as it is given; `sentence_index` None: of the whole answer."""

    request_id: str
    rating: Rating
    comment: str | None
    sentence_index: int | None
    principals: frozenset[str]


class Ratings:
    """Remembers answers, and keeps ratings of them. Several processes may share the file.

    Everything that touches the file happens in one thread of its own; `remember` never waits for it.

    Args:
        path: the SQLite file; made where it is missing.
        answers_max: answers without a rating that are remembered.
        ratings_max: ratings that are kept.
        clock: seconds since 1970.
    """

    def __init__(
        self, path: Path, *, answers_max: int, ratings_max: int, clock: Callable[[], float] = time.time
    ) -> None:
        self.path = path
        self.trouble: str | None = None
        """What keeps answers and ratings from being written; None while nothing does."""
        self._answers_max = answers_max
        self._ratings_max = ratings_max
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="footnote-ratings")
        self._guard = threading.Lock()
        self._unwritten: dict[str, Answered] = {}
        self._put: list[Answered] = []
        self._writing = False
        self._waiting = 0
        self._connection: sqlite3.Connection | None = None

    def remember(self, question: str, principals: frozenset[str], response: AnswerResponse) -> None:
        """Note an answer, so that it can be rated. Returns at once; what cannot be written is tried again with the
        next one.
        """
        record = noted(question, principals, response, self._clock())
        with self._guard:
            self._unwritten.pop(record.request_id, None)
            self._unwritten[record.request_id] = record
            while len(self._unwritten) > self._answers_max:
                del self._unwritten[next(iter(self._unwritten))]
            if self._writing:
                return
            self._writing = True
        try:
            self._thread.submit(self._write_answers)
        except RuntimeError:  # the service is closing
            self._writing = False

    def look(self) -> None:
        """Find out whether the file can be written; `trouble` tells. Blocking."""
        self._thread.submit(self._look).result()

    def rate(self, given: NewRating) -> Rated:
        """Keep a rating; when this returns it is on disk. A later one of the same answer, or sentence, takes its place;
        a comment stays where the later one has none. Blocking.

        Raises AnswerUnknown, NoSuchSentence, or FeedbackUnwritable.
        """
        with self._guard:
            self._waiting += 1
        try:
            return self._thread.submit(self._rate, given).result()
        finally:
            with self._guard:
                self._waiting -= 1

    @property
    def busy(self) -> bool:
        """Whether so many ratings wait for the file that no more should."""
        return self._waiting >= WAITING_MAX

    def close(self) -> None:
        """Write what is unwritten and close the file. Blocking."""
        with suppress(RuntimeError):
            self._thread.submit(self._end)
        self._thread.shutdown(wait=True)

    # What follows runs in the thread.

    def _look(self) -> None:
        if not self.path.parent.exists() and not self.path.parent.is_symlink():
            return  # there is no index yet; the folder comes with it, and the file with the first answer
        with suppress(FeedbackUnwritable), self._transaction():
            pass

    def _write_answers(self) -> None:
        with self._guard:
            self._writing = False
            if not self._unwritten:
                return
        with suppress(FeedbackUnwritable), self._transaction() as connection:
            self._put_answers(connection)

    def _put_answers(self, connection: sqlite3.Connection) -> None:
        """Within a transaction: write what is unwritten, and forget what is too much or too old."""
        with self._guard:
            records = list(self._unwritten.values())
        if not records:
            return
        self._put = records
        connection.executemany(
            "INSERT OR REPLACE INTO answers VALUES (?, ?, ?)",
            [(one.request_id, one.answered, one.model_dump_json()) for one in records],
        )
        connection.execute("DELETE FROM answers WHERE answered < ?", (self._clock() - ANSWER_S_MAX,))
        connection.execute(
            "DELETE FROM answers WHERE request_id IN"
            " (SELECT request_id FROM answers ORDER BY answered DESC LIMIT -1 OFFSET ?)",
            (self._answers_max,),
        )

    def _rate(self, given: NewRating) -> Rated:
        with self._transaction(durable=True) as connection:
            self._put_answers(connection)
            answer = self._answer(connection, given)
            index = _WHOLE if given.sentence_index is None else given.sentence_index
            if index != _WHOLE and all(one.index != index for one in answer.sentences):
                raise NoSuchSentence(f"The answer has no sentence {index}.")
            known = connection.execute(
                "SELECT 1 FROM ratings WHERE request_id = ? AND sentence_index = ?", (given.request_id, index)
            ).fetchone()
            count = connection.execute("SELECT count(*) FROM ratings").fetchone()[0]
            if known is None and count >= self._ratings_max:
                raise FeedbackUnwritable(self.path, f"it holds {count} ratings, which is all that it may")
            rated = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds")
            connection.execute(
                "INSERT INTO ratings VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET rated = excluded.rated,"
                " rating = excluded.rating, comment = coalesce(excluded.comment, comment), record = excluded.record",
                (given.request_id, index, rated, given.rating, given.comment, answer.model_dump_json()),
            )
            comment = connection.execute(
                "SELECT comment FROM ratings WHERE request_id = ? AND sentence_index = ?", (given.request_id, index)
            ).fetchone()[0]
        return Rated(
            rating=given.rating, comment=comment, sentence_index=given.sentence_index, rated=rated, answer=answer
        )

    def _answer(self, connection: sqlite3.Connection, given: NewRating) -> Answered:
        """The answer that is meant: one of the recent, or one that was rated before."""
        row = connection.execute(
            "SELECT record FROM answers WHERE request_id = ? AND answered >= ?",
            (given.request_id, self._clock() - ANSWER_S_MAX),
        ).fetchone()
        row = (
            row
            or connection.execute(
                "SELECT record FROM ratings WHERE request_id = ? LIMIT 1", (given.request_id,)
            ).fetchone()
        )
        answer = None if row is None else Answered.model_validate_json(row[0])
        if answer is None or answer.principals != sorted(given.principals):
            raise AnswerUnknown(
                "No answer with this request_id is remembered: it was given to somebody else, more than a day or "
                f"{self._answers_max} answers ago, or never."
            )
        return answer

    @contextmanager
    def _transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """A transaction that is committed where nothing is raised. Raises FeedbackUnwritable.

        Args:
            durable: committed means that it is on the disk; else a crash of the machine may lose it, though one of
                the process may not.
        """
        self._put = []
        try:
            connection = self._opened()
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except (sqlite3.Error, OSError) as error:
            self._close_file()
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            if self.trouble is None:
                _LOG.warning("answers cannot be rated: %s: %s", self.path, why)
            self.trouble = why
            raise FeedbackUnwritable(self.path, why) from error
        self.trouble = None
        with self._guard:
            for one in self._put:
                if self._unwritten.get(one.request_id) is one:
                    del self._unwritten[one.request_id]

    def _opened(self) -> sqlite3.Connection:
        if self._connection is not None and not self.path.exists():
            self._close_file()  # it was moved away: another is begun
        if self._connection is None:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # what people ask is theirs
            connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)
            try:
                _prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _close_file(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _end(self) -> None:
        self._write_answers()
        self._close_file()


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the tables; refuse a file that is somebody else's or of another version."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        _check(connection)
        for statement in _TABLES.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("PRAGMA secure_delete = ON")  # an answer that is forgotten is overwritten
    ends = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:  # SQLite does not wait for other processes here
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > ends:
                raise
            time.sleep(0.02)
        else:
            return


def _check(connection: sqlite3.Connection) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application == 0 and version == 0 and tables == 0:
        return
    if application != _APPLICATION_ID:
        raise sqlite3.DatabaseError("this is a database of another program")
    if version != FORMAT_VERSION:
        raise sqlite3.DatabaseError(f"its format version is {version}; this program writes {FORMAT_VERSION}")


def read_ratings(path: Path) -> list[Rated]:
    """Every rating, the oldest first; none where there is no file. Raises FootnoteError where it cannot be read."""
    if not path.exists():
        return []
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_S)) as connection:
            _check(connection)
            rows: list[tuple[Any, ...]] = connection.execute(
                "SELECT rating, comment, sentence_index, rated, record FROM ratings"
                " ORDER BY rated, request_id, sentence_index"
            ).fetchall()
    except sqlite3.Error as error:
        raise FootnoteError(f"{path}: ratings cannot be read: {error}.") from error
    return [
        Rated(
            rating=rating,
            comment=comment,
            sentence_index=None if index == _WHOLE else index,
            rated=rated,
            answer=Answered.model_validate_json(record),
        )
        for rating, comment, index, rated, record in rows
    ]
