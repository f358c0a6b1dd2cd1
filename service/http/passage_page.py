"""A page for people: a span highlighted in its document. No scripts, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from html import escape
from urllib.parse import urlsplit

from starlette.responses import Response

from store.document import section_path
from store.passages import StoredDocument

STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --soft: #5b6066; --paper: #fdfdfc; --line: #d9dbde; --mark: #ffe58a; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e3e4e6; --soft: #9aa0a6; --paper: #16181a; --line: #34383c; --mark: #5c4a00; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 46rem; padding: 1.25rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.6 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.35rem; line-height: 1.3; margin: 0 0 .25rem; }
a { color: inherit; }
.soft { color: var(--soft); margin: .15rem 0; font-size: .9rem; }
.text { white-space: pre-wrap; border-top: 1px solid var(--line); margin-top: 1rem; padding-top: 1rem; }
mark { background: var(--mark); color: inherit; scroll-margin: 30vh; }
pre { white-space: pre-wrap; border: 1px solid var(--line); border-radius: .4rem; padding: .75rem; font-size: .85rem; }
"""


@cache
def _headers() -> dict[str, str]:
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return {"content-security-policy": f"{policy}; frame-ancestors 'none'", "cache-control": "no-cache"}


def passage_page(document: StoredDocument, start: int, end: int) -> Response:
    """The whole document with [start, end) of its canonical text in `<mark id="quote">`."""
    header, text = document.header, document.text
    title = header.title or header.id
    section = " > ".join(section_path(document.sections, start))
    lines = [f"<h1>{escape(title)}</h1>"]
    if section:
        lines.append(f'<p class="soft">{escape(section)}</p>')
    if header.url and urlsplit(header.url).scheme.lower() in ("http", "https"):
        url = escape(header.url)
        lines.append(f'<p class="soft"><a href="{url}" rel="noopener noreferrer nofollow">{url}</a></p>')
    lines.append(
        f'<p class="soft"><a href="#quote">To the quote</a> · characters {start} to {end} of '
        f"{escape(header.id)} · version {escape(header.version[:12])}</p>"
    )
    before, quote, after = (escape(part, quote=False) for part in (text[:start], text[start:end], text[end:]))
    lines.append(f'<div class="text" dir="auto">{before}<mark id="quote">{quote}</mark>{after}</div>')
    return page(title, "\n".join(lines))


def state_of(generation: int | None, error: str | None) -> str:
    """What the service says of itself, in a sentence."""
    if generation is None:
        return f"Not ready: {error or 'no index yet'}"
    return f"Generation {generation} is served." if error is None else f"Degraded: {error}"


def example_command(base: str) -> str:
    """A request to paste."""
    body = json.dumps({"query": "What is this about?"})
    return f"curl -s {base}/v1/answer -H 'content-type: application/json' -d '{body}'"


def page(title: str, body: str) -> Response:
    """A whole page; `body` is HTML that was escaped where it had to be."""
    html = (
        '<!doctype html>\n<html>\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )
    return Response(html, media_type="text/html", headers=_headers())
