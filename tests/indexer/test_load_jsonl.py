"""JSON lines: a bad line is named and set aside, every other line becomes its document."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.load import Quarantined, load
from indexer.loaders import jsonl
from indexer.sources import SourceFile
from store.document import EVERYONE, Document
from store.text import canonical


@pytest.fixture
def lines(tmp_path):
    """Loads a JSON lines file of the given bytes as the single file of a source "docs.jsonl"."""

    def lines(data: bytes, name: str = "docs.jsonl"):
        (tmp_path / name).write_bytes(data)
        return list(load(SourceFile(name, tmp_path / name, name, single=True)))

    return lines


@pytest.mark.parametrize(
    ("line", "reason", "document_id"),
    [
        (b"{", "malformed", None),
        (b"[1]", "malformed", None),
        (b"null", "malformed", None),
        (b'{"id": "a", "text": "x"} trailing', "malformed", None),
        (b'{"id": "a"}', "malformed", "a"),
        (b'{"id": "a", "text": 3}', "malformed", "a"),
        (b'{"id": "a", "text": "x", "title": []}', "malformed", "a"),
        (b'{"id": "a", "text": "x", "url": 1}', "malformed", "a"),
        (b'{"id": "a", "text": "x", "metadata": []}', "malformed", "a"),
        (b'{"id": "a", "text": "x", "metadata": {"n": NaN}}', "malformed", None),
        (b'{"id": "a", "text": "x", "metadata": {"n": 1e999}}', "bad_metadata", "a"),
        (b'{"id": "a", "text": "x", "metadata": {"n": 123456789012345678901}}', "bad_metadata", "a"),
        (b'{"id": "a", "text": "x", "access": "staff"}', "malformed", "a"),
        (b'{"id": "a", "text": "x", "access": [1]}', "malformed", "a"),
        (b'{"id": "a", "text": "x", "access": [""]}', "malformed", "a"),
        (b'{"text": "x"}', "bad_id", None),
        (b'{"id": "", "text": "x"}', "bad_id", None),
        (b'{"id": "\\u0000", "text": "x"}', "bad_id", None),
        (b'{"id": true, "text": "x"}', "bad_id", None),
        (b'{"id": 1.5, "text": "x"}', "bad_id", None),
        (b'{"id": "a", "title": "only", "text": " "}', "empty", "a"),
        (b'{"id": "\xff", "text": "x"}', "undecodable", None),
        (b"[" * 100_000, "malformed", None),
        (b'{"id": "a", "text": "x", "metadata": {"d": ' + b"[" * 5000 + b"]" * 5000 + b"}}", "malformed", None),
    ],
    ids=str,
)
def test_a_bad_line_is_named_and_the_others_are_kept(lines, line, reason, document_id):
    good = b'{"id": "first", "text": "one"}'
    first, bad, last = lines(b"\n".join([good, line, good.replace(b"first", b"last")]))
    assert (first.id, last.id) == ("first", "last")
    assert isinstance(bad, Quarantined)
    assert (bad.input, bad.reason, bad.document_id) == ("docs.jsonl:2", reason, document_id)
    assert "docs.jsonl:2" in bad.message


def test_a_line_that_is_too_long_is_skipped_and_the_next_one_read(lines, monkeypatch):
    monkeypatch.setattr(jsonl, "LINE_BYTES_MAX", 50)
    long, good = lines(b'{"id": "a", "text": "' + b"x" * 3_000_000 + b'"}\n{"id": "b", "text": "y"}\n')
    assert (long.input, long.reason) == ("docs.jsonl:1", "too_large")
    assert good.id == "b"


@pytest.mark.parametrize(("data", "reason"), [(b"", "empty"), (b"\n \n", "empty"), (b"\x00\x01\n", "binary")])
def test_a_file_without_a_line_to_read_is_reported_as_a_whole(lines, data, reason):
    [entry] = lines(data)
    assert (entry.input, entry.reason, entry.document_id) == ("docs.jsonl", reason, None)


def test_gzip_that_is_cut_off_keeps_the_lines_before_it(lines):
    text = b"".join(b'{"id": "%d", "text": "%d"}\n' % (n, n * n) for n in range(20_000))
    entries = lines(gzip.compress(text)[:-20_000], "docs.jsonl.gz")
    assert isinstance(entries[0], Document)
    assert [entry.reason for entry in entries if isinstance(entry, Quarantined)] == ["malformed"]
    assert entries[-1].input == f"docs.jsonl.gz:{len(entries)}"


def test_gzip_that_is_none_is_reported(lines):
    [entry] = lines(b'{"id": "a", "text": "x"}\n', "docs.jsonl.gz")
    assert (entry.input, entry.reason) == ("docs.jsonl.gz:1", "malformed")


def test_a_line_becomes_its_document(lines):
    value = {
        "_id": 7,
        "title": " A\ntitle ",
        "text": "e\u0301\r\n",
        "url": "https://example.org/7",
        "metadata": {"year": 2020, "tags": ["\ud800"]},
        "access": ["staff", "e\u0301"],
        "other": "ignored",
    }
    [document] = lines(b"\xef\xbb\xbf" + json.dumps(value).encode() + b"\r\n\r\n")
    assert document == Document(
        id="7",
        text="\u00e9\n",
        title="A title",
        url="https://example.org/7",
        metadata={"year": 2020, "tags": ["\ufffd"]},
        access=frozenset({"staff", "\u00e9"}),
    )


@pytest.mark.parametrize("name", ["docs.jsonl", "docs.ndjson", "docs.jsonl.gz"])
def test_every_jsonl_suffix_is_read(lines, name):
    data = b'{"id": "a", "text": "x", "title": null, "access": []}'
    [document] = lines(gzip.compress(data) if name.endswith(".gz") else data, name)
    assert (document.id, document.title, document.access) == ("a", "", EVERYONE)


def test_in_a_folder_lines_keep_their_ids_and_are_reported_by_path(tmp_path):
    (tmp_path / "part.jsonl").write_text('{"id": "a", "text": "x"}\n{}\n')
    document, bad = load(SourceFile("docs", tmp_path / "part.jsonl", "sub/part.jsonl"))
    assert document.id == "a"
    assert bad.input == "docs/sub/part.jsonl:2"


@given(text=st.text(min_size=1), title=st.text(), note=st.text(), number=st.integers(0, 2**53 - 1))
def test_what_was_written_is_what_is_loaded(text, title, note, number, tmp_path_factory):
    path = tmp_path_factory.mktemp("lines") / "a.jsonl"
    value = {"id": number, "text": text, "title": title, "metadata": {"note": note, "number": number}}
    path.write_text(json.dumps(value))
    [entry] = load(SourceFile("a.jsonl", path, "a.jsonl", single=True))
    if not canonical(text).strip():
        assert entry.reason == "empty"
        return
    assert (entry.id, entry.text) == (str(number), canonical(text))
    assert entry.metadata == {"note": canonical(note), "number": number}
