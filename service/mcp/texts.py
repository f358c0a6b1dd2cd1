"""What models and people read of a result: plain text, with a block of sources."""

from __future__ import annotations

from service.contract import AnswerResponse, Citation, SearchResponse
from service.http.models import DocumentResponse


def answer_text(response: AnswerResponse, base: str | None) -> str:
    """The answer, what was held back, and "Sources" with each marker's document and quotes.

    Args:
        base: where this service's source pages are, no slash at its end; None where there are none.
    """
    parts = [response.answer.strip()]
    if response.verdict == "abstained":
        reason = response.abstention.reason if response.abstention is not None else response.finish_reason
        parts.append(f"Not answered: {reason}.")
    for one in response.withheld:
        flagged = " (it is shown above)" if one.text is not None else ""
        parts.append(f"Withheld: a sentence of {one.chars} characters, {one.reason}{flagged}.")
    if response.finish_reason not in ("stop", "abstained"):
        parts.append(f"The answer ended early: {response.finish_reason}.")
    parts += [f"Degraded: {message}" for message in response.degraded]
    cited = _cited(response.citations, base)
    if cited:
        parts.append("Sources\n" + cited)
    elif response.sources:
        nearest = [
            " ".join(["-", *_named(one.document.title, one.document.id, one.document.url)]) for one in response.sources
        ]
        parts.append("Nearest sources\n" + "\n".join(dict.fromkeys(nearest)))
    return "\n\n".join(part for part in parts if part)


def _cited(citations: list[Citation], base: str | None) -> str:
    lines: list[str] = []
    for marker in dict.fromkeys(one.marker for one in citations):
        quotes = [one for one in citations if one.marker == marker]
        first = quotes[0]
        lines.append(f"[{marker}] " + " ".join(_named(first.title, first.document_id, first.url)))
        seen: set[tuple[int, int]] = set()
        for one in quotes:
            span = (one.source_start, one.source_end)
            if span in seen:
                continue
            seen.add(span)
            lines.append(f'    "{" ".join(one.quote.split())}"')
            if base is not None:
                lines.append(f"    {base}/s/{one.document_version}/{span[0]}-{span[1]}#quote")
    return "\n".join(lines)


def search_text(response: SearchResponse) -> str:
    """The passages in order, each under its document's title and id."""
    if not response.results:
        return f"Nothing found: {response.empty_because or 'no passage matches'}"
    parts = []
    for one in response.results:
        head = " ".join([f"{one.rank}.", *_named(one.document.title, one.document.id, one.document.url)])
        section = " > ".join(one.passage.section)
        parts.append("\n".join(line for line in (head, section, one.passage.text.strip()) if line))
    parts += [f"Degraded: {message}" for message in response.degraded]
    return "\n\n".join(parts)


def document_text(response: DocumentResponse) -> str:
    """The document's name and version, then its whole text."""
    head = " ".join(_named(response.title, response.id, response.url))
    return f"{head}\nversion {response.version}\n\n{response.text}"


def _named(title: str, document_id: str, url: str | None) -> list[str]:
    """A document's title, id and url; no newline in a title can make a line of its own."""
    return [part for part in (" ".join(title.split()), f"({' '.join(document_id.split())})", url) if part]
