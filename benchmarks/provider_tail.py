"""What a provider's bad moments cost: calls that hang, with and without hedging, and outages.

    python -m benchmarks.provider_tail [--requests 1000] [--per-second 40] [--seed 7]

A server in this process speaks OpenAI's API over loopback. Its first texts take a log-normal time (median 150 ms, sigma
0.5 by default: a long tail, as of shared providers; the narrower it is, the less a hedge can win). Requests come at
random moments, whatever became of those before. All times are seen by the caller, through the real client package.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import socket
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from evaluation.measures import percentile
from service.adapters.breaker import Breaker
from service.adapters.chain import Chain
from service.adapters.extractive import Extractive
from service.adapters.generator import Ended
from service.adapters.hedge import Hedge
from service.adapters.openai_chat import open_openai
from service.adapters.provider import Limits
from service.adapters.tail import Tail

Mode = Literal["healthy", "error", "silent"]


@dataclass
class Provider:
    """A server that answers, hangs or fails as it is told, and counts."""

    dice: random.Random
    median_s: float
    sigma: float
    hung_share: float = 0.0
    mode: Mode = "healthy"
    calls: int = 0
    answered: int = 0
    open_streams: int = 0
    port: int = field(default=0)

    async def completions(self, _: Request) -> Response:
        """One call."""
        self.calls += 1
        if self.mode == "error":
            return Response('{"error": {"message": "down"}}', 503, media_type="application/json")
        return StreamingResponse(self._lines(self.calls), media_type="text/event-stream")

    async def _lines(self, number: int) -> AsyncIterator[str]:
        self.open_streams += 1
        try:
            if self.mode == "silent" or (self.hung_share and number % round(1 / self.hung_share) == 0):
                while True:
                    await asyncio.sleep(0.02)
                    yield ": waiting\n\n"
            await asyncio.sleep(self.median_s * self.dice.lognormvariate(0, self.sigma))
            chunk = {"id": "c", "created": 1, "model": "m", "object": "chat.completion.chunk"}
            for delta, reason in (({"content": "The otter sleeps [1]. "}, None), ({}, "stop")):
                choice = {"index": 0, "delta": delta, "finish_reason": reason}
                yield f"data: {json.dumps({**chunk, 'choices': [choice]})}\n\n"
            yield "data: [DONE]\n\n"
            self.answered += 1
        finally:
            self.open_streams -= 1


def serve(provider: Provider) -> tuple[uvicorn.Server, threading.Thread]:
    """The provider on a free port, in a thread."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    provider.port = listener.getsockname()[1]
    app = Starlette(routes=[Route("/v1/chat/completions", provider.completions, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    return server, thread


class Asker:
    """Asks the chain as the service does."""

    def __init__(self, provider: Provider, *, hedged: bool, first_text_ms: float, open_s: float = 2.0) -> None:
        self.breaker = Breaker(time.monotonic, open_s=open_s)
        self.tail = Tail("openai", self.breaker, hedge=Hedge(0.05) if hedged else None)
        limits = Limits(first_text_ms, 5_000, 60, connect_ms=1_000)
        model = open_openai("m", f"http://127.0.0.1:{provider.port}/v1", "k", limits, tail=self.tail)
        self._chain = Chain([model, Extractive()])
        self.first_text_ms: list[float] = []
        self.stood_in = 0
        self.failed = 0

    async def ask(self) -> None:
        """One request, to its end."""
        began, seen = time.monotonic(), False
        try:
            async for piece in self._chain.generate("How long does the otter sleep?", [], []):
                if isinstance(piece, str) and not seen:
                    seen = True
                    self.first_text_ms.append((time.monotonic() - began) * 1000)
                if isinstance(piece, Ended) and piece.usage.provider == "footnote":
                    self.stood_in += 1
        except Exception:  # noqa: BLE001  # counted: none may reach a user
            self.failed += 1

    async def arrive(self, count: int, per_s: float, dice: random.Random) -> None:
        """Ask at random moments, whatever becomes of those before; wait for all."""
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(self.ask())
                await asyncio.sleep(dice.expovariate(per_s))


async def hung(provider: Provider, args: argparse.Namespace, *, share: float, hedged: bool) -> tuple[float, float]:
    """p50 and p99 of the first text in ms; prints the row."""
    provider.hung_share, provider.mode = share, "healthy"
    asker, dice = Asker(provider, hedged=hedged, first_text_ms=5_000), random.Random(args.seed)
    before = provider.calls  # the budget is of all requests, these first ones too
    await asker.arrive(60, args.per_second, dice)  # connections, and what a hedge must know first
    asker.first_text_ms.clear()
    stood_in = asker.stood_in
    await asker.arrive(args.requests, args.per_second, dice)
    told = [*asker.first_text_ms, *[5_000.0] * (args.requests - len(asker.first_text_ms))]
    p50, p99 = percentile(told, 50), percentile(told, 99)
    extra = (provider.calls - before) / asker.tail.counts.requests - 1
    name = f"{share:.0%} hung, hedging {'on' if hedged else 'off'}"
    times = f"p50 {p50:6.0f} ms  p99 {p99:6.0f} ms"
    print(f"{name:28} first text {times}  extra calls {extra:6.2%}  stood in {asker.stood_in - stood_in}")
    await asyncio.sleep(0.1)
    print(f"{'':28} provider streams open 100 ms after the last: {provider.open_streams}")
    return p50, p99


async def outage(provider: Provider, args: argparse.Namespace, mode: Mode) -> None:
    """Seconds until the breaker opens, calls a request, probes until it closes; prints the row."""
    provider.hung_share, provider.mode = 0.0, "healthy"
    first_text_ms = max(500.0, 5 * provider.median_s * 1_000)  # one healthy call in 1,500 takes longer
    asker, dice = Asker(provider, hedged=False, first_text_ms=first_text_ms), random.Random(args.seed)
    await asker.arrive(60, args.per_second, dice)
    provider.mode = mode
    began, calls, stood_in, seconds = time.monotonic(), provider.calls, asker.stood_in, 8
    count = int(seconds * args.per_second)
    opened = None

    async def watch() -> None:
        nonlocal opened
        while asker.breaker.state != "open":  # noqa: ASYNC110  # a figure is looked at, no event told
            await asyncio.sleep(0.005)
        opened = time.monotonic() - began

    watching = asyncio.create_task(watch())
    await asker.arrive(count, args.per_second, dice)
    watching.cancel()
    per_request = (provider.calls - calls) / count
    stood_in = asker.stood_in - stood_in
    provider.mode, calls, back = "healthy", provider.calls, time.monotonic()
    probes = 0
    while asker.breaker.state != "closed" and time.monotonic() - back < 10:
        before = provider.calls
        await asker.ask()
        probes += provider.calls - before
        await asyncio.sleep(1 / args.per_second)
    print(
        f"outage, {mode:20} breaker open after {'never' if opened is None else f'{opened:.2f} s'}  "
        f"calls a request {per_request:.3f}  stood in {stood_in}/{count}  failed {asker.failed}  "
        f"recovered with {probes} probes, {time.monotonic() - back:.1f} s after the provider"
    )


async def measure(provider: Provider, args: argparse.Namespace) -> None:
    _, healthy = await hung(provider, args, share=0.0, hedged=False)
    await hung(provider, args, share=0.02, hedged=False)
    _, hedged = await hung(provider, args, share=0.02, hedged=True)
    print(f"{'p99 hedged / healthy':28} {hedged / healthy:.2f}")
    await outage(provider, args, "error")
    await outage(provider, args, "silent")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=1_000)
    parser.add_argument("--per-second", type=float, default=40.0)
    parser.add_argument("--median-ms", type=float, default=150.0)
    parser.add_argument("--sigma", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    provider = Provider(random.Random(args.seed), args.median_ms / 1000, args.sigma)
    server, thread = serve(provider)
    try:
        asyncio.run(measure(provider, args))
    finally:
        server.should_exit = True
        thread.join()


if __name__ == "__main__":
    main()
