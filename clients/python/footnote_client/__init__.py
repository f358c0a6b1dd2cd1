"""A typed client of Footnote: search, checked answers, streams that survive a broken connection."""

from footnote_client import errors, events, types
from footnote_client._async import AsyncAnswerStream, AsyncFootnote
from footnote_client._sync import AnswerStream, Footnote
from footnote_client.fold import Fold, fold
from footnote_client.offsets import Utf16

__all__ = [
    "AnswerStream",
    "AsyncAnswerStream",
    "AsyncFootnote",
    "Fold",
    "Footnote",
    "Utf16",
    "errors",
    "events",
    "fold",
    "types",
]
