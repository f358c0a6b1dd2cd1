"""What is noted of each call to a chat model."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from service.adapters.chat_model import ChatModel
from service.adapters.generator import Ended
from service.http.metrics import Metrics
from service.http.tracing import CallTrace, Tracing


class Call:
    """One call, timed, and traced where that is on."""

    def __init__(self, metrics: Metrics, label: str, trace: CallTrace | None) -> None:
        self.headers: Mapping[str, str] = {} if trace is None else trace.headers
        self._trace = trace
        self._metrics = metrics
        self._label = label
        self._began = time.monotonic()
        self._first_s: float | None = None

    def first_text(self) -> None:
        """There is text."""
        if self._first_s is None:
            self._first_s = time.monotonic() - self._began

    def ended(self, outcome: str, end: Ended | None) -> None:
        """It is over; its tokens are counted with the answer."""
        if self._trace is not None:
            self._trace.ended(outcome, end, self._first_s)
        self._metrics.called(self._label, outcome, time.monotonic() - self._began, self._first_s)


class Calls:
    """Watches every call of the given models, which are called by number and kind: "1:openai"."""

    def __init__(self, models: Sequence[ChatModel], metrics: Metrics, tracing: Tracing | None) -> None:
        self._tracing = tracing
        self._metrics = metrics
        self._labels = {id(one): f"{number}:{one.provider}" for number, one in enumerate(models, 1)}
        for one in models:
            one.watcher = self

    def began(self, model: ChatModel, tokens_max: int) -> Call:
        """A call begins."""
        trace = None if self._tracing is None else self._tracing.call(model, tokens_max)
        return Call(self._metrics, self._labels[id(model)], trace)
