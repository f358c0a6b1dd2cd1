"""Documents and passages: what their ids and versions depend on, and what they do not."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from store.document import (
    EVERYONE,
    Section,
    document_version,
    embedded_text,
    make_document,
    passage_id,
    section_path,
)
from store.errors import InputError

SECTIONS = (Section(0, 1, "Install"), Section(10, 2, "Linux"), Section(20, 3, "Debian"), Section(30, 2, "Windows"))


@pytest.mark.parametrize("value", [float("nan"), 2**60, b"bytes", "\ud800"])
def test_metadata_that_json_cannot_say_is_refused(value):
    with pytest.raises(InputError) as caught:
        document_version("text", "", None, {"key": value})
    assert caught.value.reason == "bad_metadata"


def test_the_version_ignores_who_may_read_and_the_id():
    one = make_document("a", "text", access=frozenset({"staff"}))
    assert one.version == make_document("b", "text").version
    assert one.access == {"staff"}
    assert make_document("b", "text").access == EVERYONE


@pytest.mark.parametrize("change", [{"title": "t"}, {"url": "https://e.org"}, {"metadata": {"k": 1}}])
def test_the_version_changes_with_what_readers_see(change):
    assert make_document("a", "text").version != make_document("a", "text", **change).version
    assert make_document("a", "text").version != make_document("a", "other").version


def test_the_version_does_not_depend_on_the_order_of_metadata():
    one, two = ({"a": 1, "b": [1, "x"]}, {"b": [1, "x"], "a": 1})
    assert make_document("a", "t", metadata=one).version == make_document("a", "t", metadata=two).version
    assert re.fullmatch("[0-9a-f]{64}", make_document("a", "t", metadata=one).version)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0), st.integers(0))
def test_passage_ids_are_26_characters_that_need_no_escaping(text, start, end):
    found = passage_id("docs/a.html", text, start, end)
    assert re.fullmatch("[a-z2-7]{26}", found)
    assert found == passage_id("docs/a.html", text, start, end)


def test_passage_ids_differ_by_document_text_and_place():
    made = [("a", "x", 0, 1), ("b", "x", 0, 1), ("a", "y", 0, 1), ("a", "x", 1, 2), ("a", "x", 0, 2)]
    assert len({passage_id(*one) for one in made}) == len(made)


def test_the_passage_id_is_the_published_formula():
    """Written down once: an index made by another version keeps its ids."""
    assert passage_id("docs/a.html", "Hello", 3, 8) == "xwvoywffszdmykmmfb7juuzvf5"


@pytest.mark.parametrize(
    ("offset", "path"),
    [
        (0, ("Install",)),
        (9, ("Install",)),
        (10, ("Install", "Linux")),
        (29, ("Install", "Linux", "Debian")),
        (30, ("Install", "Windows")),
        (999, ("Install", "Windows")),
    ],
)
def test_the_section_path_names_the_enclosing_headings(offset, path):
    assert section_path(SECTIONS, offset) == path


def test_text_before_the_first_heading_has_no_section():
    assert section_path((Section(5, 1, "A"),), 4) == ()


def test_the_header_names_title_and_sections_once():
    assert embedded_text("Guide", ("Guide", "Install"), "  Run it.\n") == "Guide > Install\nRun it."
    assert embedded_text("", (), " Run it. ") == "Run it."


def test_ids_titles_and_text_are_made_canonical():
    document = make_document("e\u0301", "a\r\nb", title="e\u0301")
    assert (document.id, document.text, document.title) == ("\u00e9", "a\nb", "\u00e9")


@given(
    st.text(max_size=60),
    st.text(max_size=20),
    st.none() | st.text(max_size=20),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers(-9, 9) | st.booleans(), max_size=3),
)
def test_the_version_is_the_sha256_of_rfc_8785_json(text, title, url, metadata):
    whole = rfc8785.dumps({"text": text, "title": title, "url": url, "metadata": metadata})
    assert document_version(text, title, url, metadata) == hashlib.sha256(whole).hexdigest()


@given(st.text(max_size=20), st.text(max_size=60), st.integers(0, 10**9), st.integers(0, 10**9))
def test_passage_ids_are_the_first_130_bits_in_base32(document_id, text, start, end):
    inner = hashlib.sha256(text.encode()).hexdigest()
    digest = hashlib.sha256(f"{document_id}\0{inner}\0{start}\0{end}".encode()).digest()
    assert passage_id(document_id, text, start, end) == base64.b32encode(digest)[:26].decode().lower()
