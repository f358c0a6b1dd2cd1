"""Random writes, rollbacks, erasures, askers, filters and modes: what the cached service says is what an uncached twin
says, to the last field but the request's own.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
import time

import pytest

from service.answer import answer, search
from service.budget import Deadline
from service.caches import identity_of, open_caches
from service.contract import fold
from service.holder import EngineHolder
from service.question import Question
from service.settings import ServiceSettings
from store.analyzer import Analyzer
from store.document import Document
from store.embedding import HashEmbedder
from store.exact import ExactEntry, ExactSnapshot
from store.filters import parse_filter
from store.passages import Span

WORDS = ("otter", "heron", "lynx", "river", "fish", "winter")
TEXTS = (*WORDS, "otter river", "fish in winter", "Otter", "lynx  heron")
ASKERS = (frozenset(), frozenset({"staff"}), frozenset({"board"}), frozenset({"staff", "board"}))
FILTERS = tuple(
    None if raw is None else parse_filter(raw)
    for raw in (
        None,
        {"year": 1},
        {"year": True},
        {"year": "1"},
        {"lang": "en", "year": {"$gte": 1}},
        {"year": {"$gte": 1}, "lang": "en"},
        {"$not": {"lang": "en"}},
    )
)
MODES = ("hybrid", "dense", "lexical")


class World:
    """An index whose snapshots come and go, and the engine of the one that is served."""

    def __init__(self, engine, dice: random.Random) -> None:
        self._dice = dice
        self._template = engine
        self._encoder = HashEmbedder(16)
        self._analyzer = Analyzer("english")
        self.caches = open_caches(
            ServiceSettings(cache_searches=True, cache_answers="deterministic", cache_entries=400), time.monotonic
        )
        self.holder = EngineHolder()
        self._kept: list[dict[str, Document]] = []
        self._generation = 0
        self.publish()

    def publish(self) -> None:
        """A new generation: some documents are new, changed, gone, or for other eyes."""
        documents = dict(self._kept[-1]) if self._kept else {}
        for _ in range(self._dice.randint(1, 3)):
            key = f"d{self._dice.randrange(6)}"
            if key in documents and self._dice.random() < 0.3:
                del documents[key]
                continue
            text = " ".join(self._dice.choices(WORDS, k=self._dice.randint(3, 8))).capitalize() + "."
            documents[key] = Document(
                key,
                self._dice.choice(["", "Otters", "Rivers"]),
                text,
                metadata={"year": self._dice.choice([1, True, "1", 2]), "lang": self._dice.choice(["en", "de"])},
                access=self._dice.choice([frozenset(), frozenset(), frozenset({"staff"}), frozenset({"board"})]),
            )
        self._kept = [*self._kept[-2:], documents]
        self._serve()

    def roll_back(self) -> None:
        """The generation before, as it was."""
        if len(self._kept) > 1:
            self._kept.pop()
            self._serve()

    def forget(self) -> None:
        """One document is erased from everything that is kept."""
        if self._kept[-1]:
            gone = self._dice.choice(sorted(self._kept[-1]))
            self._kept = [{key: one for key, one in kept.items() if key != gone} for kept in self._kept]
            self._serve()

    def calibrate(self) -> None:
        """Other numbers for the same snapshot."""
        with self.holder.lease() as engine:
            changed = dataclasses.replace(
                engine, dense_weight=self._dice.choice([0.2, 0.8]), abstain_below=self._dice.choice([0.0, 0.3])
            )
        self.holder.swap(changed)

    def _serve(self) -> None:
        documents = list(self._kept[-1].values())
        entries = [
            ExactEntry(
                one,
                [Span(0, len(one.text), (), b"")],
                self._encoder.encode_queries([f"{one.title}\n{one.text}"]),
            )
            for one in documents
        ]
        self._generation += 1
        # As in a manifest: all that is in the snapshot, and which generation it is.
        manifest = identity_of(
            ServiceSettings(),
            "",
            {one.id: f"{one.version} {sorted(one.access)} {one.metadata!r}" for one in documents},
            str(self._generation),
        )
        snapshot = ExactSnapshot(
            entries, self._encoder.space, self._analyzer, generation=self._generation, name=f"s-{manifest[:8]}"
        )
        engine = dataclasses.replace(
            self._template,
            snapshot=snapshot,
            encoder=self._encoder,
            analyzer=self._analyzer,
            dense_weight=0.8,
            abstain_below=0.0,
            verifier=None,
            scope=manifest[:32],
            identity=manifest,
            searches=self.caches.searches,
            answers=self.caches.answers,
        )
        self.holder.swap(engine)
        self.caches.serve(engine.scope)


async def agree(world: World, question: Question, *, answers: bool) -> None:
    """Ask the cached engine and its twin without caches, at the same moment of the same snapshot."""
    with world.holder.lease() as engine:
        twin = dataclasses.replace(engine, searches=None, answers=None)
        own = {"request_id", "stages"}
        if answers:
            events = [event async for event in answer(question, engine, Deadline(engine.clock, None))]
            said = fold(events)
            true = fold([event async for event in answer(question, twin, Deadline(engine.clock, None))])
        else:
            said = await search(question, engine, Deadline(engine.clock, None))
            true = await search(question, twin, Deadline(engine.clock, None))
        assert said.request_id == question.request_id
        assert said.model_dump(exclude=own) == true.model_dump(exclude=own), question


async def walk(world: World, dice: random.Random, operations: int) -> None:
    """Random operations; up to four questions at the same time, also across a change."""
    done = 0
    while done < operations:
        asked = []
        for _ in range(dice.randint(1, 4)):
            often = dice.random() < 0.6  # some questions are asked all the time
            question = Question(
                f"r{done + len(asked)}",
                dice.choice(TEXTS[:2] if often else TEXTS),
                principals=dice.choice(ASKERS),
                mode="hybrid" if often else dice.choice(MODES),
                top_k=3 if often else dice.choice([1, 3]),
                filter=None if often else dice.choice(FILTERS),
                guardrail="verified" if often else dice.choice(["verified", "flagged"]),
            )
            asked += [asyncio.create_task(agree(world, question, answers=dice.random() < 0.15))]
            if dice.random() < 0.1:  # an equal one beside it, of somebody who soon leaves
                leaver = asyncio.create_task(agree(world, question, answers=False))
                asyncio.get_running_loop().call_soon(leaver.cancel)
                await asyncio.gather(leaver, return_exceptions=True)
        change = dice.random()
        if change < 0.01:
            world.publish()
        elif change < 0.014:
            world.roll_back()
        elif change < 0.018:
            world.forget()
        elif change < 0.025:
            world.calibrate()
        elif change < 0.05:
            await world.caches.tidy()
        await asyncio.gather(*asked)
        done += len(asked)


def run(engine, operations: int, seed: int) -> World:
    dice = random.Random(seed)
    world = World(engine, dice)
    asyncio.run(walk(world, dice, operations))
    for one in world.caches.counts:
        assert one.hits > operations / 100  # or nothing was tried
        assert one.misses > operations / 100
        assert one.errors == 0
    return world


@pytest.fixture(autouse=True)
def unguarded(loop_guard):
    """The world is made and published between requests, on the same loop."""
    loop_guard.deactivate()


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_that_a_cache_gives_is_stale_or_anothers(engine, seed):
    run(engine, 1_500, seed)


@pytest.mark.nightly
@pytest.mark.timeout(3_600)
def test_nothing_that_a_cache_gives_is_stale_or_anothers_in_a_hundred_thousand_operations(engine):
    world = run(engine, 100_000, 7)
    print({one.name: (one.hits, one.misses, one.shared, one.evictions) for one in world.caches.counts})
