"""A wired service on a small real index, and an engine whose parts a test may replace."""

from __future__ import annotations

import asyncio
import dataclasses
import json

import pytest
from blockbuster import blockbuster_ctx

from indexer.build import Request, build
from indexer.progress import Silent
from indexer.settings import IndexerSettings
from service.answer import answer
from service.budget import Budgets, Deadline
from service.contract import fold
from service.question import Question
from service.settings import ServiceSettings
from service.wiring import Service
from store.index import IndexDirectory

DOCUMENTS = [
    {
        "id": "otters",
        "title": "Otters",
        "text": "The otter sleeps five hours a day. Otters eat 15 kg of fish in 2023. It does not eat bread. "
        "The river Tamar is its home.\n\n    SELECT otter FROM river;\n\nOtters live alone.",
    },
    {
        "id": "herons",
        "title": "Herons",
        "text": "The heron stands in shallow water. It waits for fish, e.g. for a perch.",
    },
    {"id": "cjk", "title": "東京", "text": "東京は日本の首都です。人口は1400万人です。"},
    {"id": "wrapped", "title": "Wrapped", "text": "A badger digs deep\nsetts with many\nentrances. It is nocturnal."},
    {"id": "arrays", "title": "Arrays", "text": "The first element of the array is schedule[1] in this table."},
    {"id": "lynxes", "title": "Lynxes", "text": "It is not true that the lynx lives in the city. It hunts at dawn."},
    {"id": "plan", "title": "Plan", "text": "The secret otter plan begins on Monday.", "access": ["staff"]},
]


@pytest.fixture(autouse=True)
def loop_guard():
    """Fails whatever reads files or sleeps on an event loop, which all requests share."""
    with blockbuster_ctx() as guard:
        yield guard


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    (folder / "documents.jsonl").write_text("".join(json.dumps(one) + "\n" for one in DOCUMENTS))
    index = folder / "index"
    settings = IndexerSettings(index=index, embedding_model="hash:256")
    build(IndexDirectory(index), Request([str(folder / "documents.jsonl")]), settings, Silent())
    wired = Service(ServiceSettings(index=index, abstain_below=0.0))
    wired.reload()
    yield wired
    wired.close()


@pytest.fixture
def engine(service):
    with service.holder.lease() as leased:
        yield dataclasses.replace(leased, budgets=Budgets.lifted())


@pytest.fixture
def events(engine):
    """Run one answer to its end and return its events."""

    def run(text, *, total_ms=None, question=None, **parts):
        changed = dataclasses.replace(engine, **parts)
        asked = question or Question("r1", text, top_k=5)

        async def collect():
            deadline = Deadline(changed.clock, total_ms)
            return [event async for event in answer(asked, changed, deadline)]

        return asyncio.run(collect())

    return run


@pytest.fixture
def folded(events):
    """The JSON answer."""
    return lambda *args, **kwargs: fold(events(*args, **kwargs))
