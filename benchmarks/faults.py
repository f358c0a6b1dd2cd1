"""Every stage hangs, is slow, or fails: how far beyond its deadline does a request end, and with what?

    python -m benchmarks.faults [--each 100] [--deadline-ms 150]

A small index is asked, for passages and for answers, with one part broken at a time. Each request must end with a valid
answer, degraded or not, or with one of the errors that are documented. Overshoot is the time that a request took beyond
its deadline; the control is a bare timeout of the same length in the same minute, since no program is woken sooner
than the machine wakes it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import tempfile
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from evaluation.measures import percentile
from indexer.build import Request, build
from indexer.progress import Silent
from indexer.settings import IndexerSettings
from service.adapters.chain import Chain
from service.adapters.extractive import Extractive
from service.adapters.generator import Ended, Piece
from service.answer import answer, search
from service.budget import Deadline
from service.contract import Result, Usage, fold
from service.engine import Engine
from service.evidence import Evidence
from service.http.problems import KINDS, problem_of
from service.question import Question, Turn
from service.rerank import AnytimeReranker
from service.rewrite import Rewriting
from service.settings import ServiceSettings
from service.verifier import SupportCalibration, Verifier
from service.wiring import Service
from store.errors import StoreCorrupt
from store.index import IndexDirectory

Fault = Literal["none", "hang", "slow", "error"]
FAULTS: tuple[Fault, ...] = ("none", "hang", "slow", "error")
SLOW_S = 0.4
ASKED = "How long does the heron of lake 3 sleep in winter?"


class BrokenError(Exception):
    """As native libraries raise them: a subclass of nothing that one would think of."""


@dataclass(slots=True)
class Trouble:
    """What one part does instead of its work; `release` lets threads go that hang."""

    fault: Fault
    error: Exception = field(default_factory=lambda: BrokenError("broken"))
    release: threading.Event = field(default_factory=threading.Event)

    def block(self) -> None:
        """In a thread."""
        if self.fault == "hang":
            self.release.wait()
        elif self.fault == "slow":
            self.release.wait(SLOW_S)
        elif self.fault == "error":
            raise self.error

    async def wait(self) -> None:
        """On the event loop."""
        if self.fault == "hang":
            await asyncio.Event().wait()
        elif self.fault == "slow":
            await asyncio.sleep(SLOW_S)
        elif self.fault == "error":
            raise self.error


class BrokenSnapshot:
    """A snapshot of which one method is in trouble."""

    def __init__(self, snapshot: Any, method: str, trouble: Trouble) -> None:
        self._snapshot = snapshot
        self._method = method
        self._trouble = trouble
        trouble.error = StoreCorrupt("passages.sqlite", "a whole page", "half a page")

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._snapshot, name)
        if name != self._method:
            return found

        async def troubled(*arguments: Any, **named: Any) -> Any:
            await self._trouble.wait()
            return await found(*arguments, **named)

        return troubled


class BrokenEncoder:
    """An encoder in trouble from its `skipping`-th call on."""

    def __init__(self, encoder: Any, trouble: Trouble, skipping: int = 0) -> None:
        self._encoder = encoder
        self._trouble = trouble
        self._left = skipping

    def encode_queries(self, texts: Sequence[str]) -> Any:
        """Vectors, if it comes to that."""
        if self._left > 0:
            self._left -= 1
        else:
            self._trouble.block()
        return self._encoder.encode_queries(texts)


class BrokenScorer:
    """A cross-encoder in trouble; otherwise it scores by length."""

    name = "broken"

    def __init__(self, trouble: Trouble) -> None:
        self._trouble = trouble

    def score(self, question: str, texts: Sequence[str]) -> list[float]:  # noqa: ARG002
        """Scores, if it comes to that."""
        self._trouble.block()
        return [float(len(text)) for text in texts]


class BrokenModel:
    """A chat model in trouble before its first word, or after its first sentence; and one that rewrites."""

    def __init__(self, trouble: Trouble, *, after_a_sentence: bool) -> None:
        self._trouble = trouble
        self._after_a_sentence = after_a_sentence

    @property
    def usage(self) -> Usage:
        """Provider and model."""
        return Usage(provider="footnote", model="broken")

    async def generate(
        self,
        question: str,  # noqa: ARG002
        sources: Sequence[Result],
        evidence: Sequence[Evidence],  # noqa: ARG002
    ) -> AsyncGenerator[Piece, None]:
        """A sentence of the first source, and trouble before or after it."""
        if not self._after_a_sentence:
            await self._trouble.wait()
        yield f"{sources[0].passage.text.split('. ')[0]} [1]. "
        if self._after_a_sentence:
            await self._trouble.wait()
        yield Ended(self.usage)

    async def rewrite(self, turns: Sequence[Turn]) -> Rewriting:
        """The question as it is, if it comes to that."""
        await self._trouble.wait()
        return Rewriting(turns[-1].content, self.usage)


Break = Callable[[Engine, Trouble], Engine]


def _method(name: str) -> Break:
    return lambda engine, trouble: replace(engine, snapshot=BrokenSnapshot(engine.snapshot, name, trouble))


def _scorer(engine: Engine, trouble: Trouble) -> Engine:
    calibration = SupportCalibration(intercept=0, slope=1, threshold=0.5, accept_from=0.9)
    model = _says("Heron families rest quietly in winter [1]. ")
    return replace(engine, verifier=Verifier(BrokenScorer(trouble), calibration), generator=model)


class _Says:
    def __init__(self, text: str) -> None:
        self._text = text

    @property
    def usage(self) -> Usage:
        return Usage(provider="footnote", model="says")

    async def generate(self, *_: object) -> AsyncGenerator[Piece, None]:
        yield self._text
        yield Ended(self.usage)


def _says(text: str) -> _Says:
    return _Says(text)


def _reranker(engine: Engine, trouble: Trouble) -> Engine:
    reranker = AnytimeReranker(BrokenScorer(trouble), engine.clock)
    return replace(engine, reranker=reranker, rerank_by_default=True)


STAGES: Mapping[str, Break] = {
    "embed": lambda engine, trouble: replace(engine, encoder=BrokenEncoder(engine.encoder, trouble)),
    "dense": _method("dense"),
    "lexical": _method("lexical"),
    "fuse": _method("vectors"),
    "rerank": _reranker,
    "passages": _method("passages"),
    "condense": lambda engine, trouble: replace(engine, rewriter=BrokenModel(trouble, after_a_sentence=False)),
    "evidence: weights": _method("term_weights"),
    "evidence: embed": lambda engine, trouble: replace(engine, encoder=BrokenEncoder(engine.encoder, trouble, 1)),
    "generate: first": lambda engine, trouble: replace(
        engine, generator=Chain([BrokenModel(trouble, after_a_sentence=False), Extractive()])
    ),
    "generate: later": lambda engine, trouble: replace(engine, generator=BrokenModel(trouble, after_a_sentence=True)),
    "ground": _scorer,
}
"""Each part that a request waits for, and how it is broken."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How one request ended: milliseconds beyond its deadline (0 within it), and as what."""

    stage: str
    fault: Fault
    route: str
    overshoot_ms: float
    took_ms: float
    outcome: str


async def one(stage: str, fault: Fault, route: str, engine: Engine, deadline_ms: float) -> Ending:
    """One request. Raises where it ends with an error that is none of the documented ones."""
    trouble = Trouble(fault)
    broken = STAGES[stage](engine, trouble)
    turns = (Turn("user", "Tell me of herons."), Turn("user", ASKED)) if stage == "condense" else ()
    question = Question("r", ASKED, turns=turns, top_k=5)
    began = time.perf_counter()
    try:
        outcome = await _asked(route, question, broken, Deadline(broken.clock, deadline_ms))
    finally:
        took_ms = (time.perf_counter() - began) * 1000
        trouble.release.set()
        if broken.reranker is not None:
            broken.reranker.close()
    return Ending(stage, fault, route, max(took_ms - deadline_ms, 0.0), took_ms, outcome)


async def _asked(route: str, question: Question, engine: Engine, deadline: Deadline) -> str:
    try:
        if route == "search":
            found = await search(question, engine, deadline)
            return f"{'degraded' if found.degraded else 'whole'}, {len(found.results)} results"
        response = fold([event async for event in answer(question, engine, deadline)])
    except Exception as error:
        problem = problem_of(error, "r")
        if problem.type == KINDS["internal"].type:
            raise
        return f"problem {problem.type.rpartition(':')[2]}"
    return f"{'degraded' if response.degraded else 'whole'}, {response.verdict}, {response.finish_reason}"


async def control(count: int, deadline_ms: float) -> list[float]:
    """Milliseconds that a bare timeout ends late."""
    late = []
    for _ in range(count):
        began = time.perf_counter()
        try:
            async with asyncio.timeout(deadline_ms / 1000):
                await asyncio.Event().wait()
        except TimeoutError:
            late.append((time.perf_counter() - began) * 1000 - deadline_ms)
    return late


async def matrix(engine: Engine, each: int, deadline_ms: float) -> AsyncIterator[Ending]:
    """Every stage with every fault on both routes, `each` times."""
    for stage in STAGES:
        only_answers = stage.startswith(("condense", "evidence", "generate", "ground"))
        for fault in FAULTS:
            for route in ("answer",) if only_answers else ("search", "answer"):
                for _ in range(each):
                    executor = ThreadPoolExecutor(2)  # of its own: threads that hang must not end in the next request
                    try:
                        yield await one(stage, fault, route, replace(engine, executor=executor), deadline_ms)
                    finally:
                        await asyncio.to_thread(executor.shutdown)  # the loop is watched for calls that block


@contextmanager
def small_index() -> Iterator[Engine]:
    """An engine over forty small pages."""
    animals = ("otter", "heron", "badger", "lynx")
    rows = [
        {
            "id": f"{animal}{lake}",
            "title": f"The {animal} of lake {lake}",
            "text": f"The {animal} of lake {lake} sleeps {lake + 4} hours in winter. It hunts at dawn and eats fish.",
        }
        for animal in animals
        for lake in range(10)
    ]
    with tempfile.TemporaryDirectory() as name:
        pages = Path(name) / "pages.jsonl"
        pages.write_text("".join(json.dumps(row) + "\n" for row in rows))
        settings = IndexerSettings(index=Path(name) / "index", embedding_model="hash:256")
        build(IndexDirectory(settings.index), Request([str(pages)]), settings, Silent())
        wired = ServiceSettings(index=settings.index, abstain_below=0, verifier="none")
        with closing(Service(wired)) as service:
            service.reload()
            with service.holder.lease() as engine:
                yield engine


async def measured(engine: Engine, each: int, deadline_ms: float) -> tuple[list[Ending], list[float]]:
    """All endings, and the control's lateness."""
    before = await control(each * 2, deadline_ms)
    found = [ending async for ending in matrix(engine, each, deadline_ms)]
    return found, before + await control(each * 2, deadline_ms)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=20, help="requests of each stage, fault and route")
    parser.add_argument("--deadline-ms", type=float, default=150)
    asked = parser.parse_args()
    logging.getLogger("footnote").setLevel(logging.CRITICAL)  # each fault would be told
    with small_index() as engine:
        found, late = asyncio.run(measured(engine, asked.each, asked.deadline_ms))
    print(f"{'stage':20}{'fault':8}{'route':8}{'n':>5}{'p50 ms':>9}{'late p99':>10}{'most':>8}  ends as")
    groups: dict[tuple[str, str, str], list[Ending]] = {}
    for ending in found:
        groups.setdefault((ending.stage, ending.fault, ending.route), []).append(ending)
    for (stage, fault, route), endings in groups.items():
        overshoot = [one.overshoot_ms for one in endings]
        took = percentile([one.took_ms for one in endings], 50)
        outcomes = "; ".join(sorted({one.outcome for one in endings}))
        print(
            f"{stage:20}{fault:8}{route:8}{len(endings):>5}{took:>9.1f}{percentile(overshoot, 99):>10.1f}"
            f"{max(overshoot):>8.1f}  {outcomes}"
        )
    overshoot = [one.overshoot_ms for one in found if one.fault != "none"]
    for name, values in (("all faults", overshoot), ("control: a bare timeout", late)):
        p99, p999 = percentile(values, 99), percentile(values, 99.9)
        print(f"{name:24} n {len(values)}, late p99 {p99:.1f} ms, p99.9 {p999:.1f} ms, most {max(values):.1f} ms")


if __name__ == "__main__":
    main()
