"""What people said of answers is kept: by several processes, through kills and full disks, and no more than it may."""

from __future__ import annotations

import json
import os
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from service.contract import AnswerResponse, Usage
from service.ratings import (
    ANSWER_S_MAX,
    AnswerUnknown,
    FeedbackUnwritable,
    NewRating,
    NoSuchSentence,
    Ratings,
    read_ratings,
)
from service.ratings import noted as note

ROOT = Path(__file__).parents[2]
NOBODY = frozenset()


def response(name: str, **more) -> AnswerResponse:
    given = {
        "request_id": name,
        "generation": 3,
        "query_used": f"what is {name}?",
        "answer": "x",
        "verdict": "grounded",
        "finish_reason": "stop",
        "sentences": [{"index": 0, "start": 0, "end": 1, "verdict": "supported", "citations": []}],
        "citations": [],
        "sources": [],
        "withheld": [],
        "usage": Usage(provider="footnote", model="extractive"),
        "stages": [],
        "degraded": [],
    }
    return AnswerResponse.model_validate(given | more)


def rating(name: str, thumb="up", comment=None, sentence=None, principals=NOBODY) -> NewRating:
    return NewRating(name, thumb, comment, sentence, principals)


@pytest.fixture
def open_ratings(tmp_path):
    """Opens the file `.path`, as a worker does, until the test ends."""
    opened = []

    def make(path=tmp_path / "feedback.sqlite", answers_max=100, ratings_max=1_000, clock=time.time):
        opened.append(Ratings(path, answers_max=answers_max, ratings_max=ratings_max, clock=clock))
        return opened[-1]

    make.path = tmp_path / "feedback.sqlite"
    yield make
    for one in opened:
        one.close()


def test_a_rating_is_kept_with_what_was_answered(open_ratings):
    ratings = open_ratings()
    ratings.remember("And Tuesdays?", NOBODY, response("a"))
    ratings.rate(rating("a", "down", "It is wrong."))
    (kept,) = read_ratings(open_ratings.path)
    assert (kept.rating, kept.comment, kept.sentence_index) == ("down", "It is wrong.", None)
    assert (kept.answer.question, kept.answer.query_used) == ("And Tuesdays?", "what is a?")
    assert (kept.answer.generation, kept.answer.verdict, kept.answer.model) == (3, "grounded", "extractive")
    assert stat.S_IMODE(open_ratings.path.stat().st_mode) == 0o600


def test_a_second_thought_takes_the_place_of_the_first_and_keeps_its_comment(open_ratings):
    ratings = open_ratings()
    ratings.remember("q", NOBODY, response("a"))
    ratings.rate(rating("a", "down", "Hm."))
    ratings.rate(rating("a", "up"))
    ratings.rate(rating("a", "down", sentence=0))
    found = [(one.rating, one.comment, one.sentence_index) for one in read_ratings(open_ratings.path)]
    assert found == [("up", "Hm.", None), ("down", None, 0)]


def test_an_answer_that_was_never_given_or_to_somebody_else_cannot_be_rated(open_ratings):
    ratings = open_ratings()
    ratings.remember("q", frozenset({"board"}), response("secret"))
    for foreign in (rating("none"), rating("secret"), rating("secret", principals=frozenset({"staff"}))):
        with pytest.raises(AnswerUnknown):
            ratings.rate(foreign)
    with pytest.raises(NoSuchSentence, match="no sentence 7"):
        ratings.rate(rating("secret", sentence=7, principals=frozenset({"board"})))
    assert read_ratings(open_ratings.path) == []


def test_answers_are_remembered_for_a_day_and_no_more_than_so_many(open_ratings):
    now = [1e9]
    ratings = open_ratings(answers_max=10, clock=lambda: now[0])
    for number in range(25):
        now[0] += 1
        ratings.remember("q", NOBODY, response(f"r{number}"))
    ratings.rate(rating("r24"))
    with pytest.raises(AnswerUnknown):
        ratings.rate(rating("r14"))
    with closing(sqlite3.connect(open_ratings.path)) as file:
        assert file.execute("SELECT count(*) FROM answers").fetchone() == (10,)
    now[0] += ANSWER_S_MAX + 1
    with pytest.raises(AnswerUnknown):
        ratings.rate(rating("r20"))
    ratings.rate(rating("r24", "down"))  # what was rated can be rated again


def test_no_more_ratings_are_kept_than_may_be(open_ratings):
    ratings = open_ratings(ratings_max=2)
    for name in "abc":
        ratings.remember("q", NOBODY, response(name))
    ratings.rate(rating("a"))
    ratings.rate(rating("b"))
    with pytest.raises(FeedbackUnwritable, match="holds 2 ratings, which is all that it may"):
        ratings.rate(rating("c"))
    ratings.rate(rating("a", "down"))
    assert len(read_ratings(open_ratings.path)) == 2


def test_what_one_worker_answered_another_can_have_rated(open_ratings):
    one, other = open_ratings(), open_ratings()
    one.remember("q", NOBODY, response("a"))
    one.look()  # the write that `remember` began came before
    assert other.rate(rating("a")).answer.question == "q"


def test_workers_that_begin_at_once_and_write_at_once_lose_nothing(open_ratings):
    workers = [open_ratings() for _ in range(6)]

    def work(number):
        for turn in range(10):
            workers[number].remember("q", NOBODY, response(f"{number}-{turn}"))
            workers[number].rate(rating(f"{number}-{turn}"))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert len(read_ratings(open_ratings.path)) == 60


WORKER = """
import sys
sys.path.insert(0, sys.argv[3])
from test_ratings import NOBODY, Path, Ratings, rating, response
ratings = Ratings(Path(sys.argv[1]), answers_max=100_000, ratings_max=100_000)
for number in range(10_000):
    name = f"{sys.argv[2]}-{number}"
    ratings.remember("q", NOBODY, response(name))
    ratings.rate(rating(name))
    print(name, flush=True)
"""


@pytest.mark.slow
def test_processes_that_are_killed_lose_nothing_they_acknowledged(tmp_path):
    path = tmp_path / "feedback.sqlite"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    acknowledged = set()
    for round_ in range(3):
        running = [
            subprocess.Popen(
                [sys.executable, "-c", WORKER, str(path), f"{round_}{letter}", str(Path(__file__).parent)],
                stdout=subprocess.PIPE,
                env=environment,
                text=True,
            )
            for letter in "ab"
        ]
        for one in running:
            for _ in range(8):
                acknowledged.add(one.stdout.readline().strip())
        for one in running:
            one.send_signal(signal.SIGKILL)
            acknowledged |= {line for line in one.stdout.read().split("\n")[:-1] if line}
            one.wait(10)
            one.stdout.close()
    kept = {one.answer.request_id for one in read_ratings(path)}
    assert len(acknowledged) >= 48
    assert acknowledged - kept == set()
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@contextmanager
def files_of_at_most(size: int):
    """The kernel refuses to let any file grow beyond this, as a full disk would."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@pytest.mark.parametrize("size", [0, 1, 5_000, 40_000])
def test_a_full_disk_is_told_and_once_there_is_room_the_rating_can_be_given_again(open_ratings, size):
    with files_of_at_most(resource.RLIM_INFINITY):
        ratings = open_ratings()
        ratings.remember("q", NOBODY, response("first"))
        ratings.rate(rating("first"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        ratings.remember("q", NOBODY, response("second"))
        refused = pytest.raises(FeedbackUnwritable, match=r"feedback\.sqlite: .*Set FOOTNOTE_FEEDBACK")
        with refused if size < 20_000 else suppress(FeedbackUnwritable):  # else there may be room enough
            for _ in range(60):
                ratings.rate(rating("second", comment="x" * 2_000))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        ratings.rate(rating("second"))
        assert ratings.trouble is None
    assert {one.answer.request_id for one in read_ratings(open_ratings.path)} == {"first", "second"}


def test_a_place_that_cannot_be_written_is_trouble_and_answers_go_on(open_ratings, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    ratings = open_ratings(tmp_path / "file" / "feedback.sqlite")
    ratings.look()
    assert "Not a directory" in ratings.trouble
    for number in range(300):
        ratings.remember("q", NOBODY, response(f"r{number}"))
    with pytest.raises(FeedbackUnwritable):
        ratings.rate(rating("r299"))
    assert len(ratings._unwritten) == 100
    assert len([one for one in caplog.records if "cannot be rated" in one.getMessage()]) == 1


def test_a_database_of_another_program_or_version_is_left_alone(open_ratings, tmp_path):
    for name, statement in (("other", "CREATE TABLE theirs (a)"), ("newer", "PRAGMA application_id = 1181708148")):
        path = tmp_path / name
        with closing(sqlite3.connect(path)) as file:
            file.execute(statement)
            file.execute("PRAGMA user_version = 99")
        before = path.read_bytes()
        ratings = open_ratings(path)
        ratings.look()
        assert "another program" in ratings.trouble if name == "other" else "format version" in ratings.trouble
        assert path.read_bytes() == before
    (tmp_path / "noise").write_bytes(b"this is no database at all" * 100)
    ratings = open_ratings(tmp_path / "noise")
    ratings.look()
    assert "not a database" in ratings.trouble


def test_sources_are_bounded_and_what_is_cited_is_noted_in_any_case():
    result = {
        "score": 1.0,
        "scores": {"fused": 1.0},
        "document": {"id": "d", "version": "v", "title": "", "metadata": {}},
    }
    passage = {"document_id": "d", "text": "x" * 1_000, "start": 0, "end": 1_000, "section": []}
    sources = [result | {"rank": n, "passage": passage | {"id": f"p{n}"}} for n in range(1, 1_001)]
    cited = {
        "id": "c1", "marker": 1, "answer_start": 0, "answer_end": 1, "marker_start": 0, "marker_end": 1,
        "document_id": "d", "document_version": "v", "title": "", "passage_id": "p900", "quote": "x",
        "source_start": 0, "source_end": 1, "support": 1.0,
        "checks": {"known": True, "exact": True, "supported": True},
    }  # fmt: skip
    sentence = {"index": 0, "start": 0, "end": 1, "verdict": "supported", "citations": ["c1"]}
    record = note("q", NOBODY, response("a", sources=sources, citations=[cited], sentences=[sentence]), 0.0)
    assert [one.passage_id for one in record.sources] == [*(f"p{n}" for n in range(1, 51)), "p900"]
    assert (record.sentences[0].documents, record.sentences[0].passages) == (["d"], ["p900"])
    assert "xxx" not in json.dumps(record.model_dump())
