"""Which part of an HTML page is its content: what is dropped everywhere, and which element holds the rest."""

from __future__ import annotations

import re
from typing import Any


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DROPPED_TAGS = _words(
    "script style template noscript svg canvas iframe object embed applet audio video map button select textarea input"
    " datalist dialog nav aside annotation annotation-xml head title link meta base"
)
_SILENT_TAGS = _words("style head title link meta base annotation annotation-xml")  # no sign of a site around the text
_DROPPED_ROLES = _words("navigation banner contentinfo search complementary dialog alertdialog menu")
_DROPPED_CLASSES = _words(
    # documentation: DocBook, Sphinx and its themes, MkDocs, Docusaurus, GitBook, Hugo, javadoc, MediaWiki
    "navheader navfooter toc headerlink hash-link anchorjs-link id_link sphinxsidebar related toctree-wrapper"
    " wy-nav-side rst-footer-buttons wy-breadcrumbs md-sidebar md-header md-footer md-tabs md-skip md-source-file"
    " theme-doc-sidebar-container theme-doc-toc-desktop theme-doc-toc-mobile theme-doc-breadcrumbs pagination-nav"
    " theme-doc-footer theme-edit-this-page prev-next-area bd-sidebar bd-toc table-of-contents skip-link skiplink"
    " mw-editsection mw-jump-link navbox catlinks printfooter sistersitebox"
    # everywhere
    " breadcrumb breadcrumbs cookie-banner cookie-consent cookie-notice cookiebar gdpr sidebar side-bar pagination"
    " pager navbar navigation site-nav site-header site-footer share-buttons social-share sharedaddy newsletter-signup"
    " screen-reader-text sr-only visually-hidden advertisement"
)
_DROPPED_IDS = _words(
    "toc sidebar side-bar navigation navbar nav cookie-banner cookie-consent cookie-notice onetrust-consent-sdk"
    " breadcrumbs breadcrumb disqus_thread comments mw-navigation"
)
_FORMS_MEASURED_MAX = 50  # measuring one reads all of its text, and they can be nested
_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)

_GENERATORS = re.compile(
    r"docbook|sphinx|mkdocs|docusaurus|vitepress|vuepress|gitbook|asciidoc|doxygen|javadoc|rustdoc|mdbook|pdoc|antora"
    r"|mediawiki|pandoc|starlight|jekyll-docs|readme\.io|dokuwiki",
    re.IGNORECASE,
)
_DOCUMENTATION_CLASSES = _words(
    "navheader rst-content md-content theme-doc-markdown sphinxsidebar mw-parser-output markdown-body bd-article vp-doc"
)
_CONTAINER_CLASSES = _words("theme-doc-markdown md-content__inner markdown-body mw-parser-output vp-doc rst-content")


def is_documentation(root: Any) -> bool:
    """Whether the page comes from a documentation or wiki generator, or shows code.

    Such pages say where their content is, and losing a part of it costs more than a stray line of navigation.
    """
    for meta in root.iter("meta"):
        if (meta.get("name") or "").lower() == "generator" and _GENERATORS.search(meta.get("content") or ""):
            return True
    return any(
        element.tag == "pre" or _DOCUMENTATION_CLASSES.intersection((element.get("class") or "").split())
        for element in root.iter("pre", "div", "main", "article", "section")
    )


def prune(body: Any) -> bool:
    """Drops, in place, what is content on no page: scripts, forms, navigation, banners, sidebars.

    Returns whether anything was dropped that a bare text would not have: the sign of a site around the text.
    """
    from lxml import etree

    body_chars, forms = 0, 0
    dropped = []
    site = False
    walker = etree.iterwalk(body, events=("start",))
    for _, element in walker:
        if element is body:
            continue
        drop = not isinstance(element.tag, str) or _is_boilerplate(element)
        if not drop and element.tag == "form" and forms < _FORMS_MEASURED_MAX:
            forms += 1
            body_chars = body_chars or _chars(body)
            drop = 2 * _chars(element) < body_chars  # some sites wrap the whole page in a form
        if drop:
            dropped.append(element)
            site = site or element.tag not in _SILENT_TAGS
            walker.skip_subtree()
    for element in dropped:
        _drop(element)
    return site


def main_element(body: Any) -> Any:
    """The element that the page declares to be its content (one `<main>`, `<article>`, ...), else `body` itself."""
    declared = (
        lambda element: element.get("itemprop") == "articleBody",
        lambda element: bool(_CONTAINER_CLASSES.intersection((element.get("class") or "").split())),
        lambda element: element.get("role") == "main",
        lambda element: element.tag == "main",
        lambda element: element.tag == "article",
    )
    for is_declared in declared:
        found = [element for element in body.iter() if isinstance(element.tag, str) and is_declared(element)]
        if len(found) == 1:
            return found[0]
    return body


def _is_boilerplate(element: Any) -> bool:
    tag = element.tag
    if tag in _DROPPED_TAGS or element.get("hidden") is not None:
        return True
    if tag in {"main", "article", "body"} or element.get("role") == "main":
        return False
    if tag in {"header", "footer"} and not _inside_content(element):
        return True
    if element.get("role") in _DROPPED_ROLES or (element.get("id") or "").lower() in _DROPPED_IDS:
        return True
    if _DROPPED_CLASSES.intersection((element.get("class") or "").lower().split()):
        return True
    return bool(_HIDDEN.search(element.get("style") or ""))


def _inside_content(element: Any) -> bool:
    parent = element.getparent()
    for _ in range(20):  # a header deeper inside than this is no page header
        if parent is None or parent.tag == "body":
            return False
        if parent.tag in {"article", "main"} or parent.get("role") == "main":
            return True
        parent = parent.getparent()
    return True


def _drop(element: Any) -> None:
    """Takes an element out and leaves the text that follows it."""
    parent = element.getparent()
    if element.tail:
        before = element.getprevious()
        if before is not None:
            before.tail = (before.tail or "") + element.tail
        else:
            parent.text = (parent.text or "") + element.tail
    parent.remove(element)


def _chars(element: Any) -> int:
    return sum(len(text.strip()) for text in element.itertext())
