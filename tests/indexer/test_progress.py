"""Progress: lines for logs, with rate and time left, and no flood of them."""

from __future__ import annotations

import io
import re
import sys

import pytest

import indexer.progress
from indexer.progress import Bar, Lines, Silent, watching


class Clock:
    """A clock that the test moves."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(indexer.progress, "time", made)
    return made


def test_lines_tell_of_phases_and_every_five_seconds_of_rate_and_time_left(clock):
    stream = io.StringIO()
    with Lines(stream) as lines:
        lines.phase("Embedding", 1000)
        for _ in range(20):
            clock.now += 1
            lines.advance(10)
        lines.phase("Looking")
        clock.now += 6
        lines.advance(12)
    told = stream.getvalue().splitlines()
    assert told == [
        "Embedding (1,000)",
        "Embedding: 50 of 1,000, 10.0/s, 95 s left",
        "Embedding: 100 of 1,000, 10.0/s, 90 s left",
        "Embedding: 150 of 1,000, 10.0/s, 85 s left",
        "Embedding: 200 of 1,000, 10.0/s, 80 s left",
        "Looking",
        "Looking: 12, 2.0/s",
    ]


def test_a_phase_with_nothing_to_do_is_not_told():
    stream = io.StringIO()
    Lines(stream).phase("Embedding", 0)
    assert stream.getvalue() == ""


def test_more_steps_than_expected_never_leave_time_below_zero(clock):
    stream = io.StringIO()
    lines = Lines(stream)
    lines.phase("Embedding", 5)
    clock.now += 10
    lines.advance(50)
    assert "0 s left" in stream.getvalue()
    assert "-" not in stream.getvalue()


@pytest.mark.parametrize(("terminal", "kind"), [(True, Bar), (False, Lines)])
def test_a_bar_only_where_a_person_watches(monkeypatch, terminal, kind):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    assert isinstance(watching(), kind)


def test_the_bar_shows_phase_count_and_rate(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "160")
    with Bar() as bar:
        bar.phase("Embedding", 10)
        bar.advance(4)
        bar.phase("Nothing", 0)
        bar.phase("Verifying")
        bar.advance()
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().err)
    assert "Embedding" in shown
    assert "4/10" in shown
    assert "Verifying" in shown
    assert "Nothing" not in shown


def test_phases_of_a_build_come_in_order(tmp_path, jsonl):
    from indexer.build import Request, build
    from indexer.settings import IndexerSettings
    from store.index import IndexDirectory

    class Told(Silent):
        def __init__(self):
            self.phases = []

        def phase(self, name, total=None):
            self.phases.append(name)

    told, source = Told(), jsonl(tmp_path / "s.jsonl", [{"id": "a", "text": "a"}])
    index, settings = IndexDirectory(tmp_path / "index"), IndexerSettings(embedding_model="hash:8")
    build(index, Request([str(source)]), settings, told)
    assert told.phases == [
        "Looking for files",
        "Reading and splitting",
        "Embedding",
        "Building the vector index",
        "Exporting the query encoder",
        "Verifying and publishing",
    ]
    told.phases.clear()
    build(index, Request([str(source)]), settings, told)
    assert told.phases == ["Looking for files"]
