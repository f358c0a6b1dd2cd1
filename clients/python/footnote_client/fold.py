"""From events to the answer: as it is so far, and in the end exactly what the service gives as JSON."""

from __future__ import annotations

from collections.abc import Iterable

from footnote_client import types
from footnote_client.errors import error_of
from footnote_client.events import Degraded, Done, Event, Failed, Meta, Sentence, Sources, Withheld


class Fold:
    """The answer that a series of events makes.

    What the events tell one by one is put together here; of the terminal event come the verdict and what only the end
    can tell. So `answer()` is what was shown on the way, and equals the service's JSON answer.
    """

    def __init__(self) -> None:
        self.meta: types.MetaEvent | None = None
        self.sources: list[types.Result] = []
        self.sentences: list[types.SentenceEvent] = []
        self.withheld: list[types.Withheld] = []
        self.degraded: list[str] = []
        self._done: types.AnswerResponse | None = None

    @property
    def text(self) -> str:
        """The answer's text so far."""
        return "".join(one["text"] for one in self.sentences)

    @property
    def citations(self) -> list[types.Citation]:
        """The citations so far, in order."""
        return [citation for one in self.sentences for citation in one["citations"]]

    @property
    def complete(self) -> bool:
        """Whether the terminal event has come."""
        return self._done is not None

    def add(self, event: Event) -> None:
        """The next event. Raises ProblemError where it is an error."""
        match event:
            case Meta():
                self.meta = event.data
            case Sources():
                self.sources = event.data["sources"]
            case Sentence():
                self.sentences.append(event.data)
            case Withheld():
                self.withheld.append(event.data)
            case Degraded():
                self.degraded.append(event.data["message"])
            case Done():
                self._done = event.data
            case Failed():
                raise error_of(event.data)
            case _:
                pass  # an event of a newer service

    def answer(self) -> types.AnswerResponse:
        """The whole answer. Raises ValueError before the terminal event."""
        if self._done is None or self.meta is None:
            raise ValueError("the answer is not complete")
        done: types.AnswerResponse = self._done.copy()
        done["request_id"] = self.meta["request_id"]
        done["generation"] = self.meta["generation"]
        done["query_used"] = self.meta["query_used"]
        done["answer"] = self.text
        done["sentences"] = [_record(one) for one in self.sentences]
        done["citations"] = self.citations
        done["sources"] = self.sources
        done["withheld"] = self.withheld
        done["degraded"] = self.degraded
        return done


def fold(events: Iterable[Event]) -> types.AnswerResponse:
    """The answer of a whole series of events. Raises ProblemError where it ends with an error, ValueError where it
    does not end.
    """
    made = Fold()
    for event in events:
        made.add(event)
    return made.answer()


def _record(one: types.SentenceEvent) -> types.SentenceRecord:
    return {
        "index": one["index"],
        "start": one["start"],
        "end": one["end"],
        "verdict": one["verdict"],
        "reason": one["reason"],
        "citations": [citation["id"] for citation in one["citations"]],
    }
