"""Where questions become vectors: nobody waits for a batch to fill, nobody pays for another's trouble."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from service.inference import Inference
from store.embedding import HashEmbedder
from store.errors import LegUnavailable


class Gated(HashEmbedder):
    """Notes each call; a call waits while the gate is shut, and fails on what it is told to."""

    def __init__(self, bad: str = "") -> None:
        super().__init__(32)
        self.calls: list[list[str]] = []
        self.open = threading.Event()
        self.open.set()
        self.began = threading.Event()
        self.bad = bad

    def encode_queries(self, texts):
        self.calls.append(list(texts))
        self.began.set()
        assert self.open.wait(10)
        if self.bad and self.bad in texts:
            raise ValueError(f"cannot embed {self.bad}")
        return super().encode_queries(texts)


@pytest.fixture
def inference():
    made = []

    def make(**settings) -> Inference:
        made.append(Inference(**settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


async def until(condition) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # what a thread does has no event
            await asyncio.sleep(0.001)


async def held_up(inference, encoder, first="first question"):
    """A question that is being embedded, and does not end before the gate is opened."""
    encoder.open.clear()
    encoder.began.clear()
    running = asyncio.create_task(inference.vector(encoder, first))
    await until(encoder.began.is_set)
    return running


def test_an_encoder_that_gives_too_few_vectors_fails_its_questions_and_no_later_ones(inference):
    class Short(Gated):
        def encode_queries(self, texts):
            return super().encode_queries(texts)[1 if "short" in texts else 0 :]

    async def ask():
        made, encoder = inference(), Short()
        with pytest.raises(ValueError, match="shorter"):
            await asyncio.wait_for(made.vector(encoder, "short"), 5)
        assert (await asyncio.wait_for(made.vector(encoder, "an otter"), 5)).shape == (32,)

    asyncio.run(ask())


def test_one_question_is_embedded_at_once_and_alone(inference):
    encoder = Gated()
    vector = asyncio.run(inference().vector(encoder, "an otter"))
    assert encoder.calls == [["an otter"]]
    assert vector.tolist() == HashEmbedder(32).encode_queries(["an otter"])[0].tolist()


def test_what_came_while_the_encoder_was_busy_is_one_batch_with_everyones_own_vector(inference):
    encoder, made = Gated(), inference()
    texts = [f"otter number {number}" for number in range(5)]

    async def ask():
        first = await held_up(made, encoder)
        others = [asyncio.create_task(made.vector(encoder, text)) for text in texts]
        await until(lambda: len(made._waiting) == 5)
        encoder.open.set()
        await first
        return await asyncio.gather(*others)

    vectors = asyncio.run(ask())
    assert encoder.calls == [["first question"], texts]
    assert np.array_equal(np.stack(vectors), HashEmbedder(32).encode_queries(texts))


def test_short_questions_are_not_padded_to_a_long_one(inference):
    encoder, made = Gated(), inference()
    texts = ["short one", "a long question " * 10, "short two", "a long question " * 10 + "!"]

    async def ask():
        first = await held_up(made, encoder)
        others = [asyncio.create_task(made.vector(encoder, text)) for text in texts]
        await until(lambda: len(made._waiting) == 4)
        encoder.open.set()
        await asyncio.gather(first, *others)

    asyncio.run(ask())
    assert encoder.calls == [["first question"], [texts[0], texts[2]], [texts[1], texts[3]]]


def test_a_batch_is_bounded_and_what_waited_longest_goes_first(inference):
    encoder, made = Gated(), inference(tokens_max=25)
    texts = [f"question {number:02}" for number in range(12)]

    async def ask():
        first = await held_up(made, encoder)
        others = [asyncio.create_task(made.vector(encoder, text)) for text in texts]
        await until(lambda: len(made._waiting) == 12)
        encoder.open.set()
        await asyncio.gather(first, *others)

    asyncio.run(ask())
    assert [text for call in encoder.calls[1:] for text in call] == texts
    assert {len(call) for call in encoder.calls[1:]} == {5, 2}


def test_a_question_given_up_while_it_waited_costs_nothing(inference):
    encoder, made = Gated(), inference()

    async def ask():
        first = await held_up(made, encoder)
        late = asyncio.create_task(made.vector(encoder, "late"))
        kept = asyncio.create_task(made.vector(encoder, "kept"))
        await until(lambda: len(made._waiting) == 2)
        late.cancel()
        await asyncio.gather(late, return_exceptions=True)
        encoder.open.set()
        await asyncio.gather(first, kept)

    asyncio.run(ask())
    assert encoder.calls == [["first question"], ["kept"]]


def test_one_question_that_cannot_be_embedded_does_not_take_its_batch_with_it(inference):
    encoder, made = Gated(bad="bad one"), inference()

    async def ask():
        first = await held_up(made, encoder)
        asked = [asyncio.create_task(made.vector(encoder, text)) for text in ("good one", "bad one", "fine one")]
        await until(lambda: len(made._waiting) == 3)
        encoder.open.set()
        await first
        return await asyncio.gather(*asked, return_exceptions=True)

    good, bad, fine = asyncio.run(ask())
    assert isinstance(bad, ValueError)
    assert np.array_equal(np.stack([good, fine]), HashEmbedder(32).encode_queries(["good one", "fine one"]))


def test_more_than_may_wait_are_refused_and_the_others_are_not(inference):
    encoder, made = Gated(), inference(waiting_max=2)

    async def ask():
        first = await held_up(made, encoder)
        waiting = [asyncio.create_task(made.vector(encoder, text)) for text in "ab"]
        await until(lambda: len(made._waiting) == 2)
        with pytest.raises(LegUnavailable, match="too many"):
            await made.vector(encoder, "c")
        encoder.open.set()
        await asyncio.gather(first, *waiting)

    asyncio.run(ask())


def test_batches_are_of_one_encoder(inference):
    ours, theirs, made = Gated(), Gated(), inference()

    async def ask():
        first = await held_up(made, ours)
        asked = [asyncio.create_task(made.vector(one, "same text")) for one in (ours, theirs, ours)]
        await until(lambda: len(made._waiting) == 3)
        ours.open.set()
        await asyncio.gather(first, *asked)

    asyncio.run(ask())
    assert (ours.calls, theirs.calls) == ([["first question"], ["same text"] * 2], [["same text"]])


def test_a_vector_is_kept_for_the_same_text_and_encoder_alone(inference):
    ours, theirs, made = Gated(), Gated(), inference(kept_max=10)
    first, again = (asyncio.run(made.vector(ours, "an otter")) for _ in range(2))
    asyncio.run(made.vector(theirs, "an otter"))
    asyncio.run(made.vector(ours, "An otter"))
    assert again is first
    assert not first.flags.writeable  # nobody changes what others are given
    assert (ours.calls, theirs.calls) == ([["an otter"], ["An otter"]], [["an otter"]])
    assert (made.counts.hits, made.counts.misses, made.counts.entries) == (1, 3, 3)


def test_kept_vectors_are_bounded_and_the_least_lately_asked_for_go_first(inference):
    encoder, made = Gated(), inference(kept_max=2)
    for text in ("a", "b", "a", "c", "a", "b"):
        asyncio.run(made.vector(encoder, text))
    assert encoder.calls == [["a"], ["b"], ["c"], ["b"]]
    assert (made.counts.evictions, made.counts.entries) == (2, 2)


def test_vectors_go_with_the_encoder_that_made_them(inference):
    encoder, made = Gated(), inference(kept_max=10)
    asyncio.run(made.vector(encoder, "an otter"))
    del encoder
    assert len(made._kept) == 0


def test_a_failure_is_not_kept(inference):
    encoder, made = Gated(bad="x"), inference(kept_max=10)
    for _ in range(2):
        with pytest.raises(ValueError, match="cannot embed"):
            asyncio.run(made.vector(encoder, "x"))
    assert len(encoder.calls) == 2
