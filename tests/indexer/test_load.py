"""Loading files: what cannot become a document is set aside with its reason; the rest has exact, canonical text."""

from __future__ import annotations

import codecs
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

import indexer.load as loading
from indexer.load import Quarantined, load
from indexer.loaders import decoding, text
from indexer.sources import SourceFile
from store.document import Document
from store.errors import InputError
from store.text import canonical


@pytest.fixture
def one(tmp_path):
    """Loads the one entry of a file of the given name and bytes."""

    def one(name: str, data: bytes, **options):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        [entry] = load(SourceFile("docs", path, name), **options)
        return entry

    return one


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.txt", b"", "empty"),
        ("a.md", b" \n\t ", "empty"),
        ("a.md", b"---\ntitle: only this\n---\n", "empty"),
        ("a.html", b"<html><body><script>x</script></body></html>", "empty"),
        ("a.html", b"<!-- nothing -->", "empty"),
        ("a.txt", b"abc\x00\x01\x02", "binary"),
        ("a.html", b"\x89PNG\r\n\x1a\n0000", "binary"),
        ("a.md", b"%PDF-1.7 and so on", "binary"),
        ("noname", b"\x7fELF\x02\x01\x01", "binary"),
        ("a.txt", b"\x01\x02\x03\x04 many control characters", "binary"),
        ("a.txt", bytes(range(128, 256)) * 3, "undecodable"),
        ("a.pdf", b"%PDF-1.7", "unsupported"),
        ("a.docx", b"PK\x03\x04", "unsupported"),
        ("a.csv", b"a,b\n1,2\n", "unsupported"),
        ("a.html", b"<body>" + b"<div>" * 10_000 + b"text", "malformed"),
        ("a.html", b"<body>" + b"<table><tr><td>" * 10_000 + b"text", "malformed"),
    ],
)
def test_what_is_no_document_is_set_aside_with_its_reason(one, name, data, reason):
    entry = one(name, data)
    assert isinstance(entry, Quarantined)
    assert (entry.input, entry.reason, entry.document_id) == (f"docs/{name}", reason, f"docs/{name}")
    assert f"docs/{name}" in entry.message


def test_an_unsupported_file_is_told_what_is_supported(one):
    message = one("slides.pptx", b"PK").message
    assert ".pptx" in message
    assert ".html" in message
    assert ".jsonl" in message


def test_a_file_that_may_not_be_read_is_reported(one, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    entry = one("a.txt", b"text")
    assert (entry.reason, entry.message) == ("unreadable", "docs/a.txt: cannot be read: Permission denied.")


def test_a_file_that_has_gone_since_the_scan_is_reported(tmp_path):
    [entry] = load(SourceFile("docs", tmp_path / "gone.txt", "gone.txt"))
    assert entry.reason == "unreadable"


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_a_pipe_in_a_files_place_is_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    [entry] = load(SourceFile("docs", tmp_path / name, name))
    assert entry.reason == "unreadable"


def test_a_file_that_is_too_large_is_not_read(one, monkeypatch):
    monkeypatch.setattr(loading, "FILE_BYTES_MAX", 10)
    assert one("a.txt", b"0123456789").text == "0123456789"
    entry = one("a.txt", b"0123456789a")
    assert entry.reason == "too_large"
    assert "11 bytes" in entry.message


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("naïve 東京".encode(), "naïve 東京"),
        (codecs.BOM_UTF8 + "naïve".encode(), "naïve"),
        ("naïve 東京".encode("utf-16"), "naïve 東京"),
        (codecs.BOM_UTF16_BE + "naïve".encode("utf-16-be"), "naïve"),
        ("naïve".encode("utf-32"), "naïve"),
        (b"one\r\ntwo\rthree", "one\ntwo\nthree"),
        ("e\u0301t\u0301".encode(), "\u00e9t\u0301"),
    ],
)
def test_text_is_decoded_and_made_canonical(one, data, expected):
    assert one("a.txt", data).text == expected


def test_text_in_another_encoding_is_recognised_when_there_is_enough_of_it(one):
    source = "Der Käse schmeckt den Gästen über alles; für die Größe der Portion gäbe es später Ärger. " * 20
    assert one("a.txt", source.encode("cp1252")).text == source


@pytest.mark.parametrize(
    ("head", "codec"),
    [
        ('<meta charset="shift_jis">', "cp932"),
        ('<meta http-equiv="Content-Type" content="text/html; charset=windows-1251">', "cp1251"),
        ("<meta charset=iso-8859-1>", "cp1252"),
        ("<meta charset=nonsense>", "utf-8"),
        ("<meta charset=utf-16>", "utf-8"),
        ("", "utf-8"),
    ],
)
def test_an_html_page_is_decoded_as_it_declares(one, head, codec):
    word = {"cp932": "東京", "cp1251": "Привет", "cp1252": "“naïve”", "utf-8": "東京 naïve"}[codec]
    page = f"<html><head>{head}</head><body><p>{word}</p></body></html>"
    assert one("a.html", page.encode(codec)).text == word


@pytest.mark.parametrize("label", ["utf-7", "unicode_escape", "hex", "idna"])
def test_a_declared_charset_that_is_none_is_not_believed(label):
    assert decoding.decode(b"+ADw-p \\x41", "x", decoding.declared_charset(f"charset={label}".encode())) == (
        "+ADw-p \\x41"
    )


def test_one_bad_byte_does_not_lose_a_page_that_declares_its_charset(one):
    page = b'<meta charset="utf-8"><p>' + b"word " * 100 + b"\xff end</p>"
    assert one("a.html", page).text.endswith("\ufffd end")


@pytest.mark.parametrize(
    ("name", "kind"), [("NOTES", "text"), ("page", "html"), ("a.HTM", "html"), ("a.Markdown", "markdown")]
)
def test_kinds_go_by_suffix_or_else_by_content(one, name, kind):
    data = {"text": b"# not a heading", "html": b"<!DOCTYPE html><p># x", "markdown": b"# heading"}[kind]
    assert (one(name, data).text, len(one(name, data).sections)) == {
        "text": ("# not a heading", 0),
        "html": ("# x", 0),
        "markdown": ("# heading", 1),
    }[kind]


def test_a_file_brings_its_id_title_path_and_address(one):
    document = one("sub/Read me.txt", b"text", base_url="https://example.org/docs/")
    assert isinstance(document, Document)
    assert document.id == "docs/sub/Read me.txt"
    assert document.title == "Read me"
    assert document.url == "https://example.org/docs/sub/Read%20me.txt"
    assert document.metadata == {"path": "sub/Read me.txt"}
    assert one("a.txt", b"text").url is None


def test_a_single_files_id_is_the_sources_name(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    [document] = load(SourceFile("guide", tmp_path / "a.txt", "a.txt", single=True))
    assert (document.id, document.metadata["path"]) == ("guide", "a.txt")


def test_underlined_headings_of_restructured_text_are_sections(one):
    source = b"=====\nTitle\n=====\n\nText.\n\nUsage\n-----\n\nMore\n\n---\n\nDeep\n~~~~\n\nNext\n-----\n"
    document = one("a.rst", source)
    assert [(section.level, section.title) for section in document.sections] == [
        (1, "Title"),
        (2, "Usage"),
        (3, "Deep"),
        (2, "Next"),
    ]
    assert all(document.text[section.start :].startswith(section.title) for section in document.sections)


@given(st.binary(max_size=300))
def test_bytes_become_text_or_an_input_error_and_nothing_else(data):
    try:
        source = decoding.decode(data, "x", decoding.declared_charset(data))
    except InputError as error:
        assert error.reason in {"binary", "undecodable"}  # noqa: PT017 - both ends are allowed
    else:
        assert text.extract(source, stem="x", underlined_headings=True).text == canonical(source)
