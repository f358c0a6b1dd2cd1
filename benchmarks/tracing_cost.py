"""What traces cost a request, in microseconds: off, and on with spans that are thrown away in batches.

python -m benchmarks.tracing_cost INDEX [--requests 400]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from service.http.app import create_app
from service.http.tracing import Tracing
from service.settings import ServiceSettings
from service.wiring import Service

_BODY = b'{"query": "what is there to find", "mode": "lexical"}'


def _throwing_away() -> Tracing:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Nowhere(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:  # noqa: ARG002  # the interface
            return SpanExportResult.SUCCESS

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    return Tracing(provider, content=False)


async def _ask(app: Any) -> float:
    """Seconds of one search, the application alone."""
    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/search",
        "raw_path": b"/v1/search",
        "query_string": b"",
        "headers": headers,
        "http_version": "1.1",
        "scheme": "http",
        "client": ("127.0.0.1", 1),
    }
    said = iter([{"type": "http.request", "body": _BODY, "more_body": False}])

    async def receive() -> Any:
        found = next(said, None)
        if found is None:
            await asyncio.Event().wait()
        return found

    async def send(message: Any) -> None:
        assert message.get("status", 200) == 200

    began = time.perf_counter()
    await app(dict(scope), receive, send)
    return time.perf_counter() - began


async def _measure(index: Path, requests: int) -> None:
    apps = {}
    for name in ("off", "on"):
        service = Service(ServiceSettings(index=index, budgets=False))
        await asyncio.to_thread(service.reload)
        apps[name] = create_app(service, tracing=_throwing_away() if name == "on" else None)
        if name == "off":
            loaded = [one for one in sys.modules if one.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))]
            print(f"off: {len(loaded)} modules of OpenTelemetry's SDK and exporters are loaded")
    took: dict[str, list[float]] = {name: [] for name in apps}
    for _ in range(requests):  # in turn, so that both meet the same machine
        for name, app in apps.items():
            took[name].append(await _ask(app))
    medians = {name: statistics.median(times[requests // 10 :]) * 1e6 for name, times in took.items()}
    print(f"off {medians['off']:.0f} us, on {medians['on']:.0f} us a search: {medians['on'] - medians['off']:+.0f} us")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("--requests", type=int, default=400)
    given = parser.parse_args()
    asyncio.run(_measure(given.index, given.requests))


if __name__ == "__main__":
    main()
