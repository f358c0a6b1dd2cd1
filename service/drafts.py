"""A generator's text as it arrives, cut into the pieces that are checked."""

from __future__ import annotations

from collections.abc import Iterator

from service.markers import MarkerForms
from service.sentences import SentenceStream, Whole
from store.text import canonical


class DraftStream:
    """Text in its canonical form, its markers in theirs, cut into sentences; what its writer knows to be whole is not
    cut.

    Args:
        language: whose rules end a sentence (ISO 639).
        sources: how many can be cited.
    """

    def __init__(self, language: str, sources: int) -> None:
        self._markers = MarkerForms(sources)
        self._sentences = SentenceStream(language=language)

    def feed(self, text: str) -> Iterator[str]:
        """Take more text; yields the pieces that are now final."""
        if isinstance(text, Whole):
            yield from self.finish()
            yield canonical(text)
        else:
            yield from self._sentences.feed(self._markers.feed(canonical(text)))

    def finish(self) -> Iterator[str]:
        """The rest, when no more will come."""
        yield from self._sentences.feed(self._markers.rest())
        yield from self._sentences.finish()

    def broken_off(self) -> Iterator[str]:
        """The rest, where the text broke off: sentences that were whole by then."""
        yield from self._sentences.feed(self._markers.rest())
        yield from self._sentences.broken_off()
