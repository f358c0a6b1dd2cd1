"""Where questions become vectors: a bounded queue, micro-batches of what waits, and vectors that were made lately."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from service.cache_counts import CacheCounts
from service.priority import make_way
from store.embedding import QueryEncoder
from store.errors import LegUnavailable
from store.snapshot import Vector

TOKENS_MAX = 128
"""Of one batch, padding included. More gain nothing on a CPU, and the first of a batch waits for the last."""

_PADDED_MAX = 1.2
"""Tokens of a batch for each that is no padding. Questions of like length take a tenth less time together; padded to
the longest of any they take a fifth more."""

_LOOKED_AT = 16
"""Questions that wait of which those alike are looked for."""

_BYTES_PER_TOKEN = 3
"""Of UTF-8, at least, in most texts: what a text is guessed to be long. Some more or less only makes a batch so."""

WAITING_MAX = 256


@dataclass(slots=True)
class _Asked:
    encoder: QueryEncoder
    text: str
    tokens: int
    vector: Future[Vector] = field(default_factory=Future)


class Inference:
    """Embeds questions. Nobody waits for a batch to fill: what came while the encoder was busy is the next one.

    A question whose asker gave up before its turn is dropped. Where a batch fails its questions are embedded one by
    one, so that one of them does not take the others with it. Vectors are kept with the encoder that made them, so that
    another model, or the same one in another precision, never sees them, and none outlives its encoder.

    Args:
        threads: batches at once.
        kept_max: vectors that are kept, the least lately asked for given up first; 0 keeps none.
        tokens_max: of a batch, padding included; 0 embeds one by one.
        waiting_max: questions that may wait.
    """

    def __init__(
        self, *, threads: int = 1, kept_max: int = 0, tokens_max: int = TOKENS_MAX, waiting_max: int = WAITING_MAX
    ) -> None:
        self.counts = CacheCounts("vectors")
        self._kept: WeakKeyDictionary[QueryEncoder, OrderedDict[bytes, Vector]] = WeakKeyDictionary()
        self._kept_max = kept_max
        self._tokens_max = tokens_max
        self._waiting_max = waiting_max
        self._waiting: deque[_Asked] = deque()
        self._threads = threads
        self._busy = 0
        self._guard = threading.Lock()
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="footnote-embed", initializer=make_way)

    async def vector(self, encoder: QueryEncoder, text: str) -> Vector:
        """The vector of a question, float32, shape (dimension,), read-only. Cancelled, it leaves the queue.

        Raises what the encoder raised, LegUnavailable where too many wait.
        """
        key = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        found = self._known(encoder, key)
        if found is not None:
            return found
        asked = _Asked(encoder, text, _tokens(text))
        self._enqueue(asked)
        vector = await asyncio.wrap_future(asked.vector)
        vector.flags.writeable = False
        self._keep(encoder, key, vector)
        return vector

    def close(self) -> None:
        """Embed what waits, and nothing more."""
        self._executor.shutdown(wait=False)

    def _known(self, encoder: QueryEncoder, key: bytes) -> Vector | None:
        if not self._kept_max:
            return None
        with self._guard:
            kept = self._kept.get(encoder)
            found = None if kept is None else kept.get(key)
            if kept is None or found is None:
                self.counts.misses += 1
                return None
            self.counts.hits += 1
            kept.move_to_end(key)
        return found

    def _keep(self, encoder: QueryEncoder, key: bytes, vector: Vector) -> None:
        if not self._kept_max:
            return
        with self._guard:
            kept = self._kept.setdefault(encoder, OrderedDict())
            kept[key] = vector
            while len(kept) > self._kept_max:
                kept.popitem(last=False)
                self.counts.evictions += 1
            self.counts.entries = sum(map(len, self._kept.values()))
            self.counts.bytes = self.counts.entries * (vector.nbytes + len(key))

    def _enqueue(self, asked: _Asked) -> None:
        with self._guard:
            if len(self._waiting) >= self._waiting_max:
                raise LegUnavailable("dense", "too many questions wait to be embedded")
            self._waiting.append(asked)
            if self._busy == self._threads:
                return
            self._busy += 1
        try:
            self._executor.submit(self._work)
        except BaseException:
            with self._guard:
                self._busy -= 1
            raise

    def _work(self) -> None:
        while True:
            with self._guard:
                batch = self._batch()
                if not batch:
                    self._busy -= 1
                    return
            try:
                _embed(batch)
            except BaseException as error:  # noqa: BLE001  # the next batch is none the worse for it
                for one in batch:
                    if not one.vector.done():
                        one.vector.set_exception(error)
            del batch  # an asker's vector and encoder do not stay while this thread looks for more

    def _batch(self) -> list[_Asked]:
        """What is embedded next: whoever waited longest, and those of like length after them that fit into a batch."""
        batch: list[_Asked] = []
        passed: list[_Asked] = []
        tokens = longest = 0
        while self._waiting and len(batch) + len(passed) < _LOOKED_AT:
            one = self._waiting.popleft()
            padded = (len(batch) + 1) * max(longest, one.tokens)
            together = padded <= min(self._tokens_max, _PADDED_MAX * (tokens + one.tokens))
            if batch and not (together and one.encoder is batch[0].encoder):
                passed.append(one)
            elif one.vector.set_running_or_notify_cancel():
                batch.append(one)
                tokens, longest = tokens + one.tokens, max(longest, one.tokens)
        self._waiting.extendleft(reversed(passed))
        return batch


def _tokens(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass")) // _BYTES_PER_TOKEN + 2


def _embed(batch: Sequence[_Asked]) -> None:
    """Embed them together, and one by one where that fails."""
    try:
        vectors = batch[0].encoder.encode_queries([one.text for one in batch])
    except BaseException as error:  # noqa: BLE001  # it is the asker's, whatever it is
        if len(batch) == 1:
            batch[0].vector.set_exception(error)
            return
        for one in batch:
            _embed([one])
        return
    for one, vector in zip(batch, vectors, strict=True):
        one.vector.set_result(vector.copy())
