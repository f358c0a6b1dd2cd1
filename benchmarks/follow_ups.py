"""What a follow-up question finds, by what is looked up: the last turn alone, all turns, or one condensed of them.

    python -m benchmarks.follow_ups ../shared/data/mtrag-un-a [--half develop|report] [--base-url URL] [--limit N]

Looked through are the set's reference passages and, as passages that are about the conversation and answer something
else, what was replied in earlier turns. Conversations are split in halves by their ids: rules were made on `develop`,
figures are those of `report`. With a chat model's address, what rules leave open is rewritten as in the service.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import hashlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from evaluation.calibrated import bring_up_to_date
from evaluation.measures import best_passage_ranking, ranking_measures
from evaluation.settings import EvaluationSettings
from indexer.build import Request, build
from indexer.progress import Silent
from indexer.settings import IndexerSettings
from service.answer import search
from service.budget import Deadline
from service.condense import Turn, condense
from service.engine import Engine
from service.question import Question
from service.settings import ServiceSettings
from service.wiring import Service
from store.index import IndexDirectory

PASSAGES = 100
Task = dict[str, Any]
Choice = Callable[[list[Turn]], Awaitable[str]]


def half(task: Task) -> str:
    """Which half a conversation is in."""
    return "report" if hashlib.sha256(task["conversation_id"].encode()).digest()[0] % 2 else "develop"


def turns(task: Task) -> list[Turn]:
    """The conversation up to the question."""
    roles = {"user": "user", "agent": "assistant"}
    return [Turn(roles[one["speaker"]], one["text"]) for one in task["history"]] + [Turn("user", task["question"])]


def write_corpus(tasks: list[Task], path: Path) -> None:
    """Reference passages, and replies of earlier turns."""
    documents = {one["id"]: one["text"] for task in tasks for one in task["contexts"]}
    for task in tasks:
        for number, one in enumerate(task["history"]):
            if one["speaker"] == "agent":
                documents[f"reply-{task['conversation_id']}-{number}"] = one["text"]
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"id": key, "text": text}) for key, text in documents.items() if text.strip()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


async def measured(choice: Choice, tasks: list[Task], engine: Engine) -> dict[str, float]:
    """Mean measures of what is looked up."""
    rankings, judged = {}, {}
    for task in tasks:
        question = Question(task["task_id"], await choice(turns(task)), top_k=PASSAGES)
        response = await search(question, engine, Deadline(engine.clock, None))
        found = [(one.passage.document_id, one.score) for one in response.results]
        rankings[task["task_id"]] = best_passage_ranking(found)
        judged[task["task_id"]] = {one["id"]: 1 for one in task["contexts"]}
    return ranking_measures(judged, rankings)[0]


async def last_alone(said: list[Turn]) -> str:
    return said[-1].content.strip()


async def all_joined(said: list[Turn]) -> str:
    return " ".join(one.content.strip() for one in said if one.role == "user")


async def last_two(said: list[Turn]) -> str:
    return " ".join([one.content.strip() for one in said if one.role == "user"][-2:])


async def by_rules(said: list[Turn]) -> str:
    return condense(said).text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--half", choices=["develop", "report"], default="report")
    options = parser.parse_args()
    with gzip.open(options.folder / "tasks.jsonl.gz", "rt", encoding="utf-8") as stream:
        tasks = [json.loads(line) for line in stream]
    cache = EvaluationSettings().evaluation_cache.expanduser() / "follow-ups"
    write_corpus(tasks, cache / "corpus.jsonl")
    index = IndexDirectory(cache / "index")
    build(index, Request([str(cache / "corpus.jsonl")]), IndexerSettings(index=index.path), Silent())
    bring_up_to_date(index, Silent())
    asked = [one for one in tasks if one["history"] and one["contexts"] and half(one) == options.half]
    service = Service(ServiceSettings(index=index.path, budgets=False))
    service.reload()
    print(f"{len(asked)} questions with history and reference passages, half {options.half}")
    choices = {
        "last turn alone": last_alone,
        "last two turns": last_two,
        "all turns": all_joined,
        "condensed by rules": by_rules,
    }
    with service.holder.lease() as engine:
        for name, choice in choices.items():
            print(name, asyncio.run(measured(choice, asked, engine)))
    service.close()


if __name__ == "__main__":
    main()
