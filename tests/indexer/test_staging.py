"""Staging: documents come back in row order as they went in, and equal content has an equal hash."""

from __future__ import annotations

import pytest

from indexer.staging import Staging
from store.document import Document, Section
from store.ledger import LedgerEntry, LedgerFile, read_ledger
from store.passages import Origin, Span

ORIGIN = Origin("s", "f", "i")
SPANS = [Span(0, 3, ("A", "B"), b"\x01" * 32, 4), Span(4, 9, (), b"\x02" * 32)]


def document(key: str, **changes) -> Document:
    values = {
        "text": "東京 😀 text",
        "title": "T",
        "url": "https://e.org",
        "metadata": {"n": [1, None, "é"], "o": {"x": True}},
        "access": frozenset({"staff", "board"}),
        "sections": (Section(0, 1, "A"), Section(4, 2, "B")),
    }
    return Document(key, **(values | changes))


@pytest.fixture
def staging(tmp_path):
    opened = Staging(tmp_path / "staging.sqlite")
    yield opened
    opened.close()


def test_documents_come_back_whole_in_the_order_of_ids(staging):
    for key in ("b", "東", "a", "B"):
        assert staging.add(document(key), document(key).version, ORIGIN, SPANS) == "added"
    staging.commit()
    found = list(staging.in_row_order())
    assert [one.document for one in found] == [document(key) for key in ("B", "a", "b", "東")]
    assert all((one.spans, one.origin, one.version) == (SPANS, ORIGIN, document("a").version) for one in found)
    assert (staging.documents, staging.passages) == (4, 8)


def test_an_id_that_came_before_is_a_duplicate_if_all_is_equal_else_a_collision(staging):
    first = document("a")
    other = document("a", text="other")
    hidden = document("a", access=frozenset())
    assert staging.add(first, first.version, ORIGIN, SPANS) == "added"
    assert staging.add(first, first.version, Origin("t", "g", "j"), SPANS) == "duplicate"
    assert staging.add(other, other.version, ORIGIN, SPANS) == "collision"
    assert staging.add(hidden, hidden.version, ORIGIN, SPANS) == "collision"
    staging.commit()
    assert [one.document for one in staging.in_row_order()] == [first]
    assert (staging.documents, staging.passages) == (1, 2)


def content(tmp_path, name, documents, lines=()):
    staging = Staging(tmp_path / f"{name}.sqlite")
    for one in documents:
        staging.add(one, one.version, ORIGIN, SPANS[: one.text.count(" ")])
    for line in lines:
        staging.note(line)
    staging.write_ledger(tmp_path / f"{name}.jsonl")
    digest = staging.content_sha256(tmp_path / f"{name}.jsonl")
    staging.close()
    return digest, list(read_ledger(tmp_path / f"{name}.jsonl"))


LINES = [
    LedgerFile("s", "b.txt", "0" * 64, "r"),
    LedgerEntry("s", "b.txt", "s/b.txt", "indexed", document_id="s/b.txt"),
    LedgerFile("s", "a.txt", "1" * 64, "r"),
    LedgerEntry("s", "a.txt", "s/a.txt", "quarantined", "binary", "s/a.txt: é", None),
    LedgerEntry("s", "x.png", "s/x.png", "quarantined", "unsupported", "no", None),
]


def test_the_content_hash_does_not_depend_on_the_order_of_coming(tmp_path):
    one = content(tmp_path, "one", [document("a"), document("b")], LINES)
    other = content(tmp_path, "other", [document("b"), document("a")], LINES[::-1])
    assert one == other
    assert sorted(map(repr, one[1])) == sorted(map(repr, LINES))
    assert isinstance(one[1][0], LedgerFile)
    assert one[1][0].file == "a.txt"


@pytest.mark.parametrize(
    "changes",
    [
        {"text": "東京 😀 texT"},
        {"title": "U"},
        {"url": None},
        {"metadata": {}},
        {"access": frozenset()},
        {"sections": (Section(0, 1, "A"),)},
        {"text": "東京 😀 te xt"},
    ],
)
def test_any_change_of_a_document_changes_the_content_hash(tmp_path, changes):
    before, _ = content(tmp_path, "one", [document("a")])
    after, _ = content(tmp_path, "other", [document("a", **changes)])
    assert before != after


def test_a_change_of_the_ledger_changes_the_content_hash(tmp_path):
    assert (
        content(tmp_path, "one", [document("a")], LINES)[0] != content(tmp_path, "two", [document("a")], LINES[1:])[0]
    )
