"""What the processor does for one `POST /v1/search`, part by part.

    python -m benchmarks.search_profile ../shared/data/scifact [--questions 300]

asks the application, in this process and without a socket, every judged question after a warm-up, one at a time and
without caches or budgets, and prints the processor time of each part, in milliseconds a search: that of the threads on
which models and the store work, and that of the event loop, of which "the rest" is the web framework, the event loop
itself, and handing work to threads and back. Then it serves the same index over HTTP to one client, and prints the
whole process's time. Processor time does not wait for others, but on shared cores it grows with what they do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.kept_connections import KeptConnections, run_on_uvloop
from benchmarks.load import closed_loop, request_for, serving
from evaluation.run import index_of
from evaluation.sets import read_set
from evaluation.settings import EvaluationSettings
from indexer.progress import Lines
from indexer.settings import IndexerSettings
from service import answer, feedback
from service.http import routes_questions
from service.http.app import create_app
from service.settings import ServiceSettings
from service.wiring import Service
from store.embedding import OnnxEncoder
from store.local import LocalSnapshot

WARM_UP = 30

ON_THREADS = {
    "encode_queries": "embedding the question",
    "dense": "dense leg",
    "lexical": "lexical leg",
    "vectors": "the candidates' vectors",
    "passages": "reading the results",
}
ON_LOOP = {
    "read_model": "reading the body",
    "ranked": "fusing, twice",
    "moved": "moving the question's vector",
    "result_of": "results as models",
    "json_response": "writing the body",
}


class Spent:
    """Processor seconds by part, each on the thread where it was spent."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, its time counted."""

        def run(*arguments: Any, **named: Any) -> Any:
            began = time.thread_time()
            try:
                return work(*arguments, **named)
            finally:
                self.seconds[name] += time.thread_time() - began

        return run

    def watch(self) -> None:
        """Count from now on what the parts of a search take. For good: this process does nothing else."""
        run = LocalSnapshot._run  # noqa: SLF001  # where the store's work goes to threads

        async def counted(snapshot: LocalSnapshot, work: Callable[[], Any]) -> Any:
            return await run(snapshot, self.timed(work.__qualname__.split(".")[1], work))

        LocalSnapshot._run = counted  # type: ignore[assignment,method-assign]  # noqa: SLF001
        OnnxEncoder.encode_queries = self.timed("encode_queries", OnnxEncoder.encode_queries)  # type: ignore[method-assign]
        answer._ranked = self.timed("ranked", answer._ranked)  # type: ignore[assignment]  # noqa: SLF001
        answer.result_of = self.timed("result_of", answer.result_of)  # type: ignore[assignment]
        feedback.moved = self.timed("moved", feedback.moved)  # type: ignore[assignment]
        routes_questions.json_response = self.timed("json_response", routes_questions.json_response)  # type: ignore[assignment]
        for model in (routes_questions.SearchRequest,):
            model.model_validate_json = self.timed("read_model", model.model_validate_json)  # type: ignore[method-assign]


async def ask(app: Any, text: str) -> None:
    """One search, over ASGI."""
    body = json.dumps({"query": text, "mode": "hybrid"}).encode()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/v1/search",
        "raw_path": b"/v1/search",
        "query_string": b"",
        "scheme": "http",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    given = [{"type": "http.request", "body": body, "more_body": False}]
    gone = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if given:
            return given.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        assert message.get("status", 200) == 200, message

    await app(scope, receive, send)


async def in_process(index: Path, texts: Sequence[str]) -> tuple[dict[str, float], float, float]:
    """(seconds by part, of the event loop's thread, of the whole process), of all these searches."""
    service = Service(ServiceSettings(index=index, budgets=False).without_caches())
    app = create_app(service)
    async with app.router.lifespan_context(app):
        for text in texts[:WARM_UP]:
            await ask(app, text)
        spent = Spent()
        spent.watch()
        loop, process = time.thread_time(), time.process_time()
        for text in texts:
            await ask(app, text)
        return dict(spent.seconds), time.thread_time() - loop, time.process_time() - process


async def served(port: int, texts: Sequence[str], process: psutil.Process) -> float:
    """Processor seconds of one search of a whole server."""
    connections = KeptConnections(port, 1)
    requests = [request_for(text) for text in texts]
    await closed_loop(connections, requests, 1, 2)
    before = process.cpu_times()
    seen = await closed_loop(connections, requests, 1, 6)
    after = process.cpu_times()
    connections.close()
    return (after.user + after.system - before.user - before.system) / max(len(seen.accepted_ms), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", help="whose questions are asked, of whose index")
    parser.add_argument("--index", type=Path, help="another index to ask")
    parser.add_argument("--questions", type=int, default=300)
    given = parser.parse_args()
    questions = read_set(given.set)
    index = given.index or index_of(questions, EvaluationSettings(), IndexerSettings(), Lines())
    texts = [one.text for one in questions.judged][: given.questions]
    with serving(index) as port:
        here = psutil.Process().children()[-1]
        over_http = run_on_uvloop(served(port, texts, here))
    parts, loop, process = run_on_uvloop(in_process(index, texts))
    each = 1000 / len(texts)
    print(f"{len(texts)} searches, milliseconds of processor time each")
    for name, told in ON_THREADS.items():
        print(f"  {told:<48}{parts.get(name, 0.0) * each:7.2f}")
    print(f"  {'event loop':<48}{loop * each:7.2f}")
    for name, told in ON_LOOP.items():
        print(f"    {told:<46}{parts.get(name, 0.0) * each:7.2f}")
    rest = loop - sum(parts.get(name, 0.0) for name in ON_LOOP)
    print(f"    {'the rest':<46}{rest * each:7.2f}")
    threads = sum(parts.get(name, 0.0) for name in ON_THREADS)
    print(f"  {'threads, to be woken':<48}{(process - loop - threads) * each:7.2f}")
    print(f"  {'whole, without a socket':<48}{process * each:7.2f}")
    print(f"  {'whole, over HTTP':<48}{over_http * 1000:7.2f}")


if __name__ == "__main__":
    main()
