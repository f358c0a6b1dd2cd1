"""Which part of an HTML page is its content: what is dropped everywhere, and which element holds the rest."""

from __future__ import annotations

import re
from typing import Any

_DROPPED_TAGS = set(
    ["script", "style", "template", "noscript", "svg", "canvas", "iframe", "object", "embed", "applet", "audio", "video", "map", "button", "select", "textarea", "input", "datalist", "dialog", "nav", "aside", "annotation", "annotation-xml", "head", "title", "link", "meta"]
)
_DROPPED_ROLES = {"navigation", "banner", "contentinfo", "search", "complementary", "dialog", "alertdialog", "menu"}
_DROPPED_CLASSES = set(
    # documentation: DocBook, Sphinx and its themes, MkDocs, Docusaurus, GitBook, Hugo, javadoc
    "navheader navfooter toc headerlink hash-link anchorjs-link id_link sphinxsidebar related toctree-wrapper"
    " wy-nav-side rst-footer-buttons wy-breadcrumbs md-sidebar md-header md-footer md-tabs md-skip"
    " theme-doc-sidebar-container theme-doc-toc-desktop theme-doc-toc-mobile theme-doc-breadcrumbs pagination-nav"
    " theme-doc-footer theme-edit-this-page prev-next-area bd-sidebar bd-toc table-of-contents skip-link skiplink"
    # everywhere
    " breadcrumb breadcrumbs cookie-banner cookie-consent cookie-notice cookiebar gdpr sidebar side-bar pagination"
    " pager navbar navigation site-nav site-header site-footer share-buttons social-share sharedaddy newsletter-signup"
    " screen-reader-text sr-only visually-hidden advertisement".split()
)
_DROPPED_IDS = set(
    ["toc", "sidebar", "side-bar", "navigation", "navbar", "nav", "cookie-banner", "cookie-consent", "cookie-notice", "onetrust-consent-sdk", "breadcrumbs", "breadcrumb", "disqus_thread", "comments"]
)
_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)


def prune(body: Any) -> None:
    """Drops, in place, what is content on no page: scripts, forms, navigation, banners, sidebars."""
    from lxml import etree

    text_chars = None
    dropped = []
    walker = etree.iterwalk(body, events=("start",))
    for _, element in walker:
        if element is body:
            continue
        if not isinstance(element.tag, str) or _is_boilerplate(element):
            dropped.append(element)
            walker.skip_subtree()
        elif element.tag == "form":
            text_chars = text_chars or _chars(body)
            if 2 * _chars(element) < text_chars:  # some sites wrap the whole page in a form
                dropped.append(element)
                walker.skip_subtree()
    for element in dropped:
        _drop(element)


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
    for _ in range(20):
        if parent is None:
            return False
        if parent.tag in {"article", "main"} or parent.get("role") == "main":
            return True
        parent = parent.getparent()
    return False


def _drop(element: Any) -> None:
    """Takes an element out and leaves the text that follows it."""
    parent = element.getparent()
    if parent is None:
        return
    if element.tail:
        before = element.getprevious()
        if before is not None:
            before.tail = (before.tail or "") + element.tail
        else:
            parent.text = (parent.text or "") + element.tail
    parent.remove(element)


def _chars(element: Any) -> int:
    return sum(len(text.strip()) for text in element.itertext())


_CONTAINERS = (
    ("itemprop", "articleBody"),
    ("role", "main"),
)


def main_element(body: Any) -> Any | None:
    """The element that the page itself declares to be its content; None where it declares none."""
    for name, value in _CONTAINERS:
        found = [element for element in body.iter() if element.get(name) == value]
        if found:
            return found[0]
    for tag in ("main", "article"):
        found = list(body.iter(tag))
        if len(found) == 1:
            return found[0]
    return None
