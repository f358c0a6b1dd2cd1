"""Markdown: the text is the source as written; headings and front matter are read, never invented."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.loaders import markdown
from store.document import EVERYONE, document_version
from store.errors import InputError
from store.text import canonical

PIECES = st.lists(
    st.sampled_from(
        ["# One", "## Two ##", "Set\n===", "Sub\n---", "```\n# no\n```", "    # code", "> # quoted", "- # item", "text"]
    )
)


def extract(source: str):
    return markdown.extract(source, what="docs/a.md", stem="a")


@pytest.mark.parametrize("access", ["3", "[1, staff]", '[""]', "{staff: yes}", "[null]", "true"])
def test_an_access_list_that_cannot_be_honoured_is_not_read_as_everyone(access):
    with pytest.raises(InputError) as caught:
        extract(f"---\naccess: {access}\n---\ntext")
    assert caught.value.reason == "bad_metadata"
    assert "docs/a.md" in str(caught.value)


def test_broken_front_matter_that_would_restrict_access_is_not_shown_to_everyone():
    with pytest.raises(InputError, match="access"):
        extract("---\ntitle: [broken\naccess: [staff]\n---\ntext")


@pytest.mark.parametrize(
    "block",
    [
        "title: [broken",
        "- a list",
        "just words",
        "date: 2020-13-45",
        "a: &a [*a]",
        "? [1, 2]\n: x",
        "a: " + "[" * 3000,
        "\n".join(["x0: &x0 [1]", *(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]" for n in range(1, 9))]),
        "a: !!python/object/apply:os.system [ls]",
    ],
    ids=lambda block: block[:20],
)
def test_broken_front_matter_stays_in_the_text(block):
    source = f"---\n{block}\n---\n\n# Title\n"
    extracted = extract(source)
    assert extracted.text == source
    assert (extracted.title, extracted.metadata, extracted.access) == ("Title", {}, EVERYONE)


def test_front_matter_becomes_metadata():
    extracted = extract(
        "---\ntitle: A title\nurl: https://example.org/a\nlang: pt-BR\naccess: [staff, board]\ndate: 2024-05-01\n"
        "tags: [x, 1, 2.5, true]\nbig: 123456789012345678901\nnot_a_number: .nan\nnothing:\n---\n\n# Heading\n\nText.\n"
    )
    assert extracted.text == "# Heading\n\nText.\n"
    assert (extracted.title, extracted.url) == ("A title", "https://example.org/a")
    assert extracted.access == {"staff", "board"}
    assert extracted.metadata == {
        "lang": "pt",
        "date": "2024-05-01",
        "tags": ["x", 1, 2.5, True],
        "big": "123456789012345678901",
        "not_a_number": "nan",
    }
    assert document_version(extracted.text, extracted.title, extracted.url, extracted.metadata)


def test_an_address_that_is_no_web_address_is_not_taken():
    assert extract("---\nurl: javascript:alert(1)\n---\ntext").url is None


@pytest.mark.parametrize(
    ("source", "title"),
    [("---\ntitle: Front\n---\n# H1", "Front"), ("## H2\n\n# H1", "H1"), ("text", "a"), ("---\n---\n# H1", "H1")],
)
def test_the_title_is_the_front_matters_else_the_first_h1_else_the_files(source, title):
    assert extract(source).title == title


def test_headings_are_sections_and_code_is_not():
    source = (
        "# The *first* `one` {#anchor}\n\n```sh\n# a comment\n```\n\n    # indented\n\nSetext & two\nlines\n---\n\n"
        "> # quoted\n\n- # item\n\n### [Link](x) ![pic](y)\n"
    )
    extracted = extract(source)
    assert extracted.text == source
    assert [(section.level, section.title) for section in extracted.sections] == [
        (1, "The first one"),
        (2, "Setext & two lines"),
        (3, "Link pic"),
    ]
    starts = [extracted.text[section.start :].split("\n")[0] for section in extracted.sections]
    assert starts == ["# The *first* `one` {#anchor}", "Setext & two", "### [Link](x) ![pic](y)"]


def test_offsets_count_code_points_of_the_canonical_text():
    extracted = extract("e\u0301\r\n\r\n\U0001f600\u2028x\r\n\r\n# T\r\n")
    assert extracted.text[extracted.sections[0].start :] == "# T\n"


@given(st.text())
def test_any_source_without_front_matter_is_kept_as_it_is(source):
    text = canonical(source).removeprefix("\ufeff")
    if not text.startswith("---"):
        assert extract(source).text == text


@given(PIECES)
def test_each_section_starts_a_line_that_holds_its_title(pieces):
    extracted = extract("\n\n".join(pieces))
    expected = [piece for piece in pieces if piece.startswith("#") or piece.endswith(("===", "\n---"))]
    assert len(extracted.sections) == len(expected)
    for section in extracted.sections:
        assert section.start == 0 or extracted.text[section.start - 1] == "\n"
        assert section.title in extracted.text[section.start :].split("\n")[0]
