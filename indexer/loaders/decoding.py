"""Bytes to text: byte order mark, declared charset, UTF-8, then a confident guess; never silently wrong."""

from __future__ import annotations

import codecs
import re

from store.errors import InputError

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with UTF-16's
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MAGIC = (b"%PDF-", b"PK\x03\x04", b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"\x1f\x8b", b"\x7fELF", b"\xd0\xcf\x11\xe0")
_CONTROL = bytes(byte for byte in range(32) if byte not in b"\t\n\r\f\b\x1b") + b"\x7f"
_SNIFFED_BYTES = 8192
_GUESSED_BYTES = 1 << 20
_CHAOS_MAX = 0.1  # charset-normalizer's share of implausible text; its own cut-off is 0.2
_BAD_SHARE_MAX = 0.01  # of characters, in text whose charset the file declares

_DECLARED = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]+)""", re.IGNORECASE)
# What browsers take these labels to mean (WHATWG Encoding, section 4.2).
_LABELS = {
    "iso-8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "us-ascii": "cp1252",
    "ascii": "cp1252",
    "iso-8859-9": "cp1254",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "x-sjis": "cp932",
    "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949",
    "utf-16": "utf-8",  # a declaration that can be read as ASCII is not UTF-16
    "utf-16le": "utf-8",
    "utf-16be": "utf-8",
}
_REFUSED = {"utf-7", "utf7", "unicode_escape", "raw_unicode_escape", "punycode", "idna", "undefined", "mbcs"}


def is_binary(data: bytes) -> bool:
    """Whether the bytes are no text: a known magic number, a NUL near the start, or many control characters."""
    if data.startswith(tuple(bom for bom, _ in _BOMS)):
        return False
    head = data[:_SNIFFED_BYTES]
    if head.startswith(_MAGIC) or b"\x00" in head:
        return True
    return len(head) - len(head.translate(None, _CONTROL)) > len(head) // 10


def declared_charset(data: bytes) -> str | None:
    """The codec named by an HTML page's `<meta>` or an XML declaration in the first 4 kB, None if there is none."""
    match = _DECLARED.search(data[:4096])
    if match is None:
        return None
    label = match.group(1).decode("ascii").lower()
    label = _LABELS.get(label, label)
    try:
        known = codecs.lookup(label).name
    except LookupError:
        return None
    return None if label in _REFUSED else known


def decode(data: bytes, what: str, declared: str | None = None) -> str:
    """The text of `data`, not yet canonical; `what` names the file in messages.

    Raises:
        InputError: "binary", or "undecodable" where no encoding fits.
    """
    if is_binary(data):
        raise InputError("binary", f"{what}: the file holds binary data, not text.")
    for bom, codec in _BOMS:
        if data.startswith(bom):
            marked = data.decode(codec, errors="replace")
            if marked.count("\ufffd") <= _BAD_SHARE_MAX * len(marked):
                return marked
            raise InputError(
                "undecodable", f"{what}: the text is not {codec}, as its byte order mark says. Save it as UTF-8."
            )
    for candidate in (declared, "utf-8"):
        text = _strict(data, candidate) if candidate else None
        if text is not None:
            return text
    if declared:
        text = data.decode(declared, errors="replace")
        if text.count("\ufffd") <= _BAD_SHARE_MAX * len(text):
            return text
    text = _guessed(data)
    if text is None:
        raise InputError("undecodable", f"{what}: the text is not UTF-8, and no other encoding fits. Save it as UTF-8.")
    return text


def _strict(data: bytes, codec: str) -> str | None:
    try:
        return data.decode(codec)
    except (UnicodeError, LookupError):
        return None


def _guessed(data: bytes) -> str | None:
    from charset_normalizer import from_bytes

    best = from_bytes(data[:_GUESSED_BYTES]).best()
    if best is None or best.chaos > _CHAOS_MAX:
        return None
    return _strict(data, best.encoding)
