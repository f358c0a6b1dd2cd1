"""Sources: what is found in them, what is left out on purpose, and what is reported."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.sources import Quarantined, Source, SourceFile, parse_source, scan
from store.errors import SourceError


def tree(root: Path, *names: str) -> Source:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text")
    return parse_source(str(root))


def found(source: Source, **globs) -> list[str]:
    return [file.relative for file in scan(source, **globs) if isinstance(file, SourceFile)]


@pytest.mark.parametrize("text", ["missing", "name=missing", "a/b=c", "", "name="])
def test_a_missing_source_is_an_error_that_names_it(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError) as caught:
        parse_source(text)
    assert text.rpartition("=")[2] in str(caught.value)


def test_a_pipe_is_no_source(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="neither a file nor a folder"):
        parse_source(str(tmp_path / "pipe"))


def test_a_folder_that_cannot_be_listed_is_reported_and_the_rest_goes_on(tmp_path, monkeypatch):
    source = tree(tmp_path / "docs", "a.txt", "locked/b.txt", "z.txt")
    real = os.scandir

    def scandir(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    entries = list(scan(source))
    assert [entry.input for entry in entries] == ["docs/a.txt", "docs/locked", "docs/z.txt"]
    assert isinstance(entries[1], Quarantined)
    assert entries[1].reason == "unreadable"
    assert "docs/locked" in entries[1].message


def test_links_hidden_files_and_special_files_yield_nothing(tmp_path, monkeypatch):
    source = tree(tmp_path / "docs", "a.txt", ".hidden.txt", ".git/config", "sub/.x/b.txt")
    tree(tmp_path / "elsewhere", "secret.txt")
    (tmp_path / "docs" / "link.txt").symlink_to(tmp_path / "elsewhere" / "secret.txt")
    (tmp_path / "docs" / "folder").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "docs" / "loop").symlink_to(tmp_path / "docs")
    os.mkfifo(tmp_path / "docs" / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as unix:
        monkeypatch.chdir(tmp_path / "docs")  # a socket's path may not be long
        unix.bind("socket.txt")
        assert found(source) == ["a.txt"]


@pytest.mark.parametrize(
    ("text", "name", "kind"),
    [
        ("docs", "docs", "folder"),
        ("docs/", "docs", "folder"),
        ("manual=docs", "manual", "folder"),
        ("docs/a.txt", "a.txt", "file"),
        ("docs/a.jsonl", "a.jsonl", "jsonl"),
        ("set=docs/A.NDJSON.GZ", "set", "jsonl"),
        ("k=v", "k=v", "folder"),
        ("docs/../docs", "docs", "folder"),
        (".", "here", "folder"),
    ],
)
def test_a_source_is_named_by_its_basename_or_as_asked(text, name, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tree(tmp_path / "here", "docs/a.txt", "docs/a.jsonl", "docs/A.NDJSON.GZ", "k=v/a.txt").path)
    source = parse_source(text)
    assert (source.name, source.kind) == (name, kind)


def test_a_single_file_is_called_by_the_sources_name(tmp_path):
    tree(tmp_path, "a.md")
    [file] = scan(parse_source(f"guide={tmp_path / 'a.md'}"), include=["*.html"])
    assert isinstance(file, SourceFile)
    assert (file.input, file.relative) == ("guide", "a.md")


def test_globs_match_the_relative_path_or_the_basename(tmp_path):
    source = tree(tmp_path / "docs", "a.html", "b.md", "en/a.html", "drafts/c.html", "en/drafts/d.html")
    assert found(source, include=["*.html"]) == ["a.html", "drafts/c.html", "en/a.html", "en/drafts/d.html"]
    assert found(source, include=["en/*"]) == ["en/a.html", "en/drafts/d.html"]
    assert found(source, include=["*.html"], exclude=["drafts/"]) == ["a.html", "en/a.html"]
    assert found(source, exclude=["a.html", "*.md", "en/drafts"]) == ["drafts/c.html"]


def test_an_empty_folder_has_no_files(tmp_path):
    (tmp_path / "empty").mkdir()
    assert found(parse_source(str(tmp_path / "empty"))) == []


def test_a_name_that_is_no_unicode_becomes_one_that_can_be_written(tmp_path):
    (tmp_path / "docs").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/docs/caf\xe9.txt")).write_text("x")
    [file] = scan(parse_source(str(tmp_path / "docs")))
    assert file.input == "docs/caf\ufffd.txt"
    assert file.path.read_text() == "x"


@settings(max_examples=30)
@given(names=st.sets(st.text("ab0-./", min_size=1, max_size=8), max_size=12))
def test_files_come_in_the_order_of_their_relative_paths(names, tmp_path_factory):
    root = tmp_path_factory.mktemp("order")
    for name in names:
        parts = [part for part in name.split("/") if part.strip(".") and not part.startswith(".")]
        path = root.joinpath(*parts, "x.txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    relative = found(parse_source(str(root)))
    assert relative == sorted(relative)
    assert len(relative) == sum(len(files) for _, _, files in os.walk(root))
