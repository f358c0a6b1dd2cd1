"""What is noted of each call to a chat model."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from service.adapters.chat_model import ChatModel
from service.adapters.generator import Ended
from service.http.metrics import Metrics


class Call:
    """One call, timed."""

    def __init__(self, metrics: Metrics, label: str) -> None:
        self.headers: Mapping[str, str] = {}
        self._metrics = metrics
        self._label = label
        self._began = time.monotonic()
        self._first_s: float | None = None

    def first_text(self) -> None:
        """There is text."""
        if self._first_s is None:
            self._first_s = time.monotonic() - self._began

    def ended(self, outcome: str, end: Ended | None) -> None:  # noqa: ARG002  # its tokens are counted with the answer
        """It is over."""
        self._metrics.called(self._label, outcome, time.monotonic() - self._began, self._first_s)


class Calls:
    """Watches every call of the given models, which are called by number and kind: "1:openai"."""

    def __init__(self, models: Sequence[ChatModel], metrics: Metrics) -> None:
        self._metrics = metrics
        self._labels = {id(one): f"{number}:{one.provider}" for number, one in enumerate(models, 1)}
        for one in models:
            one.watcher = self

    def began(self, model: ChatModel, tokens_max: int) -> Call:  # noqa: ARG002  # the protocol's
        """A call begins."""
        return Call(self._metrics, self._labels[id(model)])
