"""HTML: the page's content as text with its headings as sections; navigation and other boilerplate left behind."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from indexer.loaders import Extracted
from indexer.loaders.html_article import article
from indexer.loaders.html_blocks import Block, blocks
from indexer.loaders.html_main import is_documentation, main_element, prune
from store.document import Section
from store.errors import InputError
from store.text import canonical

_XML_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>")
# In XHTML any element may close itself; an HTML parser would take all that follows to be its content.
_SELF_CLOSED = re.compile(
    r"<(a|b|div|em|i|iframe|li|p|script|span|style|td|textarea|th|title)(\s[^<>]*)?/>", re.IGNORECASE
)
_META = {
    "description": "description",
    "author": "author",
    "keywords": "keywords",
    "date": "date",
    "dcterms.date": "date",
    "article:published_time": "date",
}


def extract(source: str, *, what: str) -> Extracted:
    """The content of a page; text, title and sections are canonical.

    Args:
        source: the decoded page.
        what: names the file in messages.

    Raises:
        InputError: "malformed" where no tree can be made of the page.
    """
    root = _parsed(source, what)
    head_title, metadata, url = _metadata(root)
    body = root.find("body")
    if body is None:
        body = root
    documentation = is_documentation(root)
    site = prune(body)
    main = main_element(body)
    found: Sequence[Block] = list(blocks(main))
    if site and not documentation:
        found = article(source, found, found if main is body else list(blocks(body)))
    text, sections = join(found)
    return Extracted(text, title=_title(sections, head_title), sections=sections, url=url, metadata=metadata)


def join(found: Sequence[Block]) -> tuple[str, tuple[Section, ...]]:
    """The blocks as one text, and where its headings are.

    The blocks are canonical, and a newline never combines with what follows it, so the joined text is canonical too
    and offsets into it can be summed up.
    """
    parts: list[str] = []
    sections: list[Section] = []
    offset = 0
    before: Block | None = None
    for block in found:
        if before is not None:
            tight = before.kind == "term" or (before.kind == "item" and block.kind == "item")
            parts.append("\n" if tight else "\n\n")
            offset += len(parts[-1])
        if block.kind == "heading":
            sections.append(Section(offset, block.level, block.text))
        parts.append(block.text)
        offset += len(block.text)
        before = block
    return "".join(parts), tuple(sections)


def _parsed(source: str, what: str) -> Any:
    from lxml import etree, html

    text = canonical(source).removeprefix("\ufeff")
    declaration = _XML_DECLARATION.match(text)
    if declaration:
        text = _SELF_CLOSED.sub(r"<\1\2></\1>", text[declaration.end() :])
    parser = html.HTMLParser(huge_tree=True, remove_comments=True, remove_pis=True, no_network=True)
    if not text.strip():
        raise InputError("empty", f"{what}: the file holds no text.")
    try:
        root = html.document_fromstring(text, parser=parser)
    except etree.ParserError as error:
        raise InputError("empty", f"{what}: the page holds nothing: {error}.") from error
    except (etree.LxmlError, ValueError, AssertionError, RecursionError) as error:
        raise InputError("malformed", f"{what}: no page can be read from this HTML: {error}.") from error
    if any(entry.type_name == "ERR_RESOURCE_LIMIT" for entry in parser.error_log):  # the parser left out the rest
        raise InputError("malformed", f"{what}: the HTML is nested too deeply (more than 2,048 elements).")
    return root


def _line(text: str | None) -> str:
    return canonical(" ".join((text or "").split()))


def _metadata(root: Any) -> tuple[str, dict[str, str], str | None]:
    """The page's own `<title>`, its metadata, and its canonical address (absolute http or https)."""
    metadata: dict[str, str] = {}
    lang = _line(root.get("lang") or root.get("xml:lang") or root.get("{http://www.w3.org/XML/1998/namespace}lang"))
    if lang:
        metadata["lang"] = re.split("[-_]", lang)[0].lower()
    for meta in root.iter("meta"):
        key = _META.get((meta.get("name") or meta.get("property") or "").strip().lower())
        value = _line(meta.get("content"))
        if key and value:
            metadata.setdefault(key, value)
    url = None
    for link in root.iter("link"):
        href = (link.get("href") or "").strip()
        if "canonical" in (link.get("rel") or "").lower().split() and href.lower().startswith(("http://", "https://")):
            url = url or canonical(href)
    title = next((title for title in root.iter("title") if title.getparent().tag in {"head", "html"}), None)
    return _line("".join(title.itertext()) if title is not None else ""), metadata, url


def _title(sections: tuple[Section, ...], head_title: str) -> str:
    """The page's only h1 if there is exactly one in its content, else its `<title>`, else its first heading."""
    outermost = [section.title for section in sections if section.level == 1]
    if len(outermost) == 1:
        return outermost[0]
    return head_title or (sections[0].title if sections else "")
