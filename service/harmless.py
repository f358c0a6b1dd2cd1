"""An answer's Markdown without what could act on its reader: no image, no HTML, no link but to a cited source.

What a passage or a model wrote is changed where it would become one (`harmless`), so that it reads as before; and what
an answer would become with it is parsed (`acts`), as chat frontends do: CommonMark, tables, and the autolinks of
GitHub's extension (spec 0.29, section 6.9). What still acts is not sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import lru_cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

_HIDDEN = re.compile(
    "[\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0e"
    "\ufeff\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
    "|(?<=[\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?=[\x00-\x7f])"  # they join letters of scripts that need them
    "|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
)
"""What is not seen: zero-width and bidirectional controls, fillers, variation selectors, tags, control characters."""

_CODE = re.compile(r"(?<![`\\])(`{1,2})(?!`)([^\n|]+?)(?<!`)\1(?!`)")
_INLINE = re.compile(
    r"!?\[([^\[\]]*)\]\(\s*(?:<([^<>\n]*)>|([^\s()<>]*))(?:\s+(?:\"[^\"]*\"|'[^']*'|\([^()]*\)))?\s*\)"
)
_TAG = re.compile(r"<(?=[A-Za-z/!?])[^<>\n`|\\]*>")
_ADDRESS = re.compile(
    r"(?i)(?<![A-Za-z0-9`])(?:[a-z][a-z0-9+.-]{1,30}://|www\.|(?:mailto|xmpp|javascript|data|vbscript|tel|file):(?=\S))[^\s<>`|\\]*"
    r"|(?<![\w`.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
    r"|(?<![\w`/@.])(?:[^\W_](?:[\w-]*[^\W_])?\.)+[^\W\d_]{2,24}(?::\d+)?[/?#][^\s<>`|\\]*"
)
"""What frontends make links of without being told: addresses with a scheme, of the web, of mail, and domain/path."""

_ENTITY = re.compile(r"&(?=#\d{1,7};|#[xX][0-9a-fA-F]{1,6};|[A-Za-z][A-Za-z0-9]{1,31};)")
_FOLLOWED = re.compile(r"(?i)(?:https?|ftp|file)://[^\s<>]+\Z|(?![a-z][a-z0-9+.-]*:)[^\s<>]+\Z")
CODE_LANGUAGES = (
    "bash|sh|shell|zsh|fish|console|terminal|powershell|ps1|bat|cmd|sql|psql|plpgsql|mysql|sqlite|python|py|pycon|perl|"
    "ruby|rb|php|java|kotlin|scala|groovy|swift|go|golang|rust|rs|c|cpp|c\\+\\+|h|hpp|csharp|c#|cs|objc|fsharp|vb|"
    "javascript|js|typescript|ts|json|jsonc|json5|yaml|yml|toml|ini|conf|cfg|properties|env|dotenv|css|scss|less|text|"
    "txt|plain|plaintext|output|log|diff|patch|dockerfile|docker|makefile|make|cmake|nginx|apache|hcl|terraform|graphql|"
    "proto|protobuf|http|csv|tsv|r|julia|matlab|lua|haskell|hs|elixir|erlang|clojure|lisp|scheme|ocaml|dart|asm|vim|awk|"
    "sed|regex|tcl"
)
"""What a fenced block may be called, for a regular expression: languages that are shown, and not drawn or run. Any
other name would be drawn by somebody, or be words that nobody checked.
"""
_CALLED_OTHERWISE = re.compile(rf"(?i)\A(\s*(?:`{{3,}}|~{{3,}}))(?![ \t]*(?:{CODE_LANGUAGES})?[ \t]*(?:\n|\Z))[^\n]*")
_STRAY = re.compile(r"(\\*)(`+|~{3,})")
_TRAILING = ".,;:!?'\")]}*_~"


def harmless(text: str, allowed: Collection[str] = ()) -> str:
    """`text` with everything in it that could become an image, HTML or a foreign link made words or code.

    Args:
        text: one sentence, line or fenced block of an answer.
        allowed: addresses that may be linked to: those of cited sources.
    """
    text = _HIDDEN.sub("", text)
    parts: list[str] = []
    at = 0
    for code in _CODE.finditer(text):
        parts += [_prose(text[at : code.start()], allowed), code.group()]
        at = code.end()
    return _apart([*parts, _prose(text[at:], allowed)])


def harmless_block(block: str) -> str:
    """A fenced block without what is not seen, and called nothing that a frontend runs or draws."""
    return _CALLED_OTHERWISE.sub(r"\1", _HIDDEN.sub("", block))


def linkable(url: str | None) -> str | None:
    """The address of a source where following it is all that it does; None else."""
    return url if url is not None and _FOLLOWED.match(url) else None


def _prose(text: str, allowed: Collection[str]) -> str:
    """Outside code spans."""
    text = _STRAY.sub(_escaped, text)
    kept: list[str] = []

    def keep(made: str) -> str:
        kept.append(made)
        return f"\x00{len(kept) - 1}\x00"

    def link(found: re.Match[str]) -> str:
        target = found.group(2) or found.group(3) or ""
        if target in allowed and not found.group().startswith("!"):
            return keep(f"[{_words(found.group(1))}](<{target}>)")
        return found.group(1)

    before = ""
    while before != text:  # links may stand within links
        before, text = text, _INLINE.sub(link, text)
    text = _TAG.sub(lambda found: found.group() if found.group()[1:-1] in allowed else keep(f"`{found.group()}`"), text)
    text = _ADDRESS.sub(lambda found: _address(found.group(), allowed, keep), text)
    text = _words(text)
    return _apart([kept[int(part)] if place % 2 else part for place, part in enumerate(text.split("\x00"))])


def _apart(parts: Sequence[str]) -> str:
    """Joined; code set off by a space where it would run into code, or be opened by an escaped backtick."""
    joined = ""
    for part in parts:
        joined += f" {part}" if joined.endswith(("`", "\\")) and part.startswith("`") else part
    return joined


def _escaped(found: re.Match[str]) -> str:
    """Backticks that opened nothing so far, and tildes that would fence, open nothing later on either."""
    before = found.group(1) if len(found.group(1)) % 2 == 0 else found.group(1)[:-1]
    return before + "".join(f"\\{one}" for one in found.group(2))


def _words(text: str) -> str:
    """Nothing in it opens a tag, a link's target, a definition or an entity."""
    text = _ENTITY.sub("&amp;", text)
    text = re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text)
    text = re.sub(r"\](?=[(:])", r"]\\", text)
    return re.sub(r"!(?=\[)", r"!\\", text)


def _address(found: str, allowed: Collection[str], keep: Callable[[str], str]) -> str:
    bare = found.rstrip(_TRAILING)
    rest = found[len(bare) :]
    return (keep(bare) if bare in allowed else keep(f"`{bare}`")) + rest if bare else found


def acts(markdown: str, allowed: Collection[str] = ()) -> str | None:
    """What a reader's frontend would make of it that it must not: "image", "html" or "link"; None where nothing."""
    parser = _parser()
    targets = {parser.normalizeLink(one) for one in allowed} | set(allowed)
    return next((kind for token in _flat(parser.parse(markdown)) if (kind := _kind(token, targets))), None)


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    parser.validateLink = _any  # type: ignore[method-assign]
    return parser


def _any(url: str) -> bool:  # noqa: ARG001
    """What another parser would let be a link counts as one."""
    return True


def _flat(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _flat(token.children or [])


def _kind(token: Token, targets: Collection[str]) -> str | None:
    if token.type in ("image", "html_inline", "html_block"):
        return token.type.partition("_")[0]
    if token.type == "link_open":
        return None if token.attrGet("href") in targets else "link"
    if token.type == "text":
        addresses = (found.group().rstrip(_TRAILING) for found in _ADDRESS.finditer(token.content))
        return "link" if any(one not in targets for one in addresses if one) else None
    return None
