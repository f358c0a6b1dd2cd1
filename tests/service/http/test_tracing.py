"""Traces: whole, named as others name them, passed on, and never in anybody's way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from service.http.app import create_app
from service.settings import ServiceSettings
from service.wiring import Service

trace_sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="OpenTelemetry is not installed (footnote[otel])")

ROOT = Path(__file__).parents[3]
QUESTION = {"query": "How long do refunds take?"}
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CALLER = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "vendor=1"}


class Listening(ThreadingHTTPServer):
    """Collects what is posted to it; as a chat model, or as a collector that may take its time."""

    daemon_threads = True

    def __init__(self, *, delay_s: float = 0.0) -> None:
        self.posted: list[tuple[dict[str, str], bytes]] = []
        self.delay_s = delay_s

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler) -> None:  # noqa: N805
                body = handler.rfile.read(int(handler.headers["content-length"]))
                self.posted.append(({key.lower(): value for key, value in handler.headers.items()}, body))
                time.sleep(self.delay_s)
                handler.send_response(200)
                chat = handler.path.endswith("/chat/completions")
                handler.send_header("content-type", "text/event-stream" if chat else "application/x-protobuf")
                handler.end_headers()
                if chat:
                    handler.wfile.write(SAID)

            def log_message(handler, *_) -> None:  # noqa: N805
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


def _chunk(**more) -> bytes:
    return (
        b"data: "
        + json.dumps({"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", **more}).encode()
        + b"\n\n"
    )


SAID = (
    _chunk(choices=[{"index": 0, "delta": {"content": "Refunds take 14 days [1]."}, "finish_reason": None}])
    + _chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
    + _chunk(choices=[], usage={"prompt_tokens": 70, "completion_tokens": 7, "total_tokens": 77})
    + b"data: [DONE]\n\n"
)


@pytest.fixture
def listening():
    servers: list[Listening] = []

    def begin(**options) -> Listening:
        servers.append(Listening(**options))
        return servers[-1]

    yield begin
    for one in servers:
        one.shutdown()
        one.server_close()


@pytest.fixture
def traced(shared_index):
    """A client of a traced application, and what it traced so far: (client, spans)."""
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from service.http.tracing import Tracing

    opened = []

    def begin(*, content: bool = False, **settings):
        exporter = InMemorySpanExporter()
        provider = trace_sdk.TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        given = {"index": shared_index, "budgets": False, "abstain_below": 0, **settings}
        app = create_app(Service(ServiceSettings(**given)), tracing=Tracing(provider, content=content))
        client = TestClient(app)
        client.__enter__()
        opened.append(client)
        return client, exporter.get_finished_spans

    yield begin
    for one in opened:
        one.__exit__(None, None, None)


def tree(spans) -> dict[str, str | None]:
    """The name of each span's parent by its own."""
    names = {one.context.span_id: one.name for one in spans}
    return {one.name: None if one.parent is None else names.get(one.parent.span_id) for one in spans}


def test_a_request_has_a_span_and_each_stage_one_below_it(traced):
    client, spans = traced()
    client.post("/v1/search", json={**QUESTION, "rerank": True}, headers=CALLER)

    found = {one.name: one for one in spans()}
    root = found["POST /v1/search"]
    retrieval = next(name for name in found if name.startswith("retrieval "))
    embedding = next(name for name in found if name.startswith("embeddings "))
    parents = tree(spans())
    assert parents == {
        "POST /v1/search": None,
        retrieval: "POST /v1/search",
        **dict.fromkeys((embedding, "dense", "lexical", "fuse", "passages"), retrieval),
    }
    assert {f"{one.context.trace_id:032x}" for one in spans()} == {TRACE}
    assert f"{root.parent.span_id:016x}" == SPAN
    assert root.kind.name == "SERVER"
    assert root.attributes["http.route"] == "/v1/search"
    assert root.attributes["http.response.status_code"] == 200
    assert found[retrieval].attributes["gen_ai.operation.name"] == "retrieval"
    assert found[embedding].attributes["gen_ai.operation.name"] == "embeddings"
    assert found[embedding].attributes["gen_ai.request.model"]
    for one in spans():
        assert root.start_time <= one.start_time <= one.end_time <= root.end_time + 5_000_000, one.name
    assert time.time_ns() - root.start_time < 60e9


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_to_a_chat_model_is_a_span_that_goes_on_in_the_provider(traced, listening, stream):
    provider = listening()
    client, spans = traced(
        generator="openai", generator_model="m", generator_base_url=f"{provider.url}/v1", generator_api_key="some-key"
    )
    answered = client.post("/v1/answer", json={**QUESTION, "stream": stream}, headers=CALLER)
    assert answered.status_code == 200

    found = {one.name: one for one in spans()}
    call = found["chat m"]
    assert call.kind.name == "CLIENT"
    assert tree(spans())["chat m"] == tree(spans())["ground"] == tree(spans())["generate"] == "POST /v1/answer"
    told = dict(call.attributes)
    assert told.pop("gen_ai.response.time_to_first_chunk") > 0
    assert told == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m",
        "gen_ai.request.max_tokens": 800,
        "gen_ai.request.stream": True,
        "gen_ai.usage.input_tokens": 70,
        "gen_ai.usage.output_tokens": 7,
        "gen_ai.response.finish_reasons": ("stop",),
        "footnote.outcome": "ok",
    }
    headers, _ = provider.posted[0]
    assert headers["traceparent"] == f"00-{TRACE}-{call.context.span_id:016x}-01"
    assert headers["tracestate"] == "vendor=1"
    assert found["POST /v1/answer"].attributes["footnote.verdict"] == "grounded"
    assert found["generate"].attributes["gen_ai.usage.input_tokens"] == 70


def test_names_are_those_of_the_conventions(traced, listening):
    from opentelemetry.semconv._incubating.attributes import error_attributes, gen_ai_attributes, http_attributes

    provider = listening()
    client, spans = traced(
        content=True,
        generator="openai",
        generator_model="m",
        generator_base_url=provider.url,
        generator_api_key="k-1234",
    )
    client.post("/v1/answer", json=QUESTION)
    known = {
        value
        for module in (gen_ai_attributes, http_attributes, error_attributes)
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str)
    }

    used = {name for one in spans() for name in one.attributes if not name.startswith("footnote.")}
    assert "gen_ai.retrieval.query.text" in used
    assert used - known == set()


@pytest.mark.parametrize("content", [False, True])
def test_what_was_asked_is_in_a_trace_only_where_that_is_asked_for(traced, content):
    client, spans = traced(content=content)
    client.post("/v1/answer", json=QUESTION)
    client.get(f"/{QUESTION['query']}")
    client.get(f"/v1/documents/{QUESTION['query']}")

    everything = " ".join(one.to_json() for one in spans())
    assert (QUESTION["query"] in everything) is content


def test_failures_are_marked_and_probes_are_not_traced(traced, monkeypatch):
    client, spans = traced(budgets=True, lexical_budget_ms=1e-6, dense_budget_ms=1e-6)
    for path in ("/healthz", "/readyz", "/metrics"):
        client.get(path)
    assert spans() == ()
    assert client.post("/v1/search", json=QUESTION).status_code == 504

    found = {one.name: one for one in spans()}
    assert found["POST /v1/search"].status.status_code.name == "ERROR"
    assert found["lexical"].status.status_code.name == "ERROR"
    assert found["lexical"].attributes["error.type"] == "timeout"
    assert found["lexical"].attributes["footnote.budget_ms"] == 1e-6


def test_a_caller_that_does_not_sample_is_not_traced_and_nonsense_begins_a_trace_of_its_own(traced):
    client, spans = traced()
    client.post("/v1/search", json=QUESTION, headers={"traceparent": f"00-{TRACE}-{SPAN}-00"})
    assert spans() == ()

    client.post("/v1/search", json=QUESTION, headers={"traceparent": "00-nonsense"})
    assert next(one for one in spans() if one.name == "POST /v1/search").parent is None


def test_a_collector_gets_it_over_otlp(client_over, shared_index, listening, monkeypatch):
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    collector = listening()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=otters")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "our-footnote")
    app = create_app(Service(ServiceSettings(index=shared_index, otel=True, budgets=False)))
    with TestClient(app) as client:
        client.post("/v1/search", json=QUESTION, headers=CALLER)

    headers, body = collector.posted[0]  # sent at the latest when it ended
    assert headers["x-tenant"] == "otters"
    (of_resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
    resource = {one.key: one.value.string_value for one in of_resource.resource.attributes}
    assert resource["service.name"] == "our-footnote"
    spans = [span for scope in of_resource.scope_spans for span in scope.spans]
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    assert "POST /v1/search" in {span.name for span in spans}


@pytest.mark.slow
@pytest.mark.parametrize("away", [True, False], ids=["away", "slow"])
def test_a_collector_that_is_away_or_slow_delays_nothing(shared_index, listening, monkeypatch, away):
    url = "http://127.0.0.1:1" if away else listening(delay_s=8.0).url
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    app = create_app(Service(ServiceSettings(index=shared_index, otel=True, budgets=False)))
    with TestClient(app) as client:
        slowest = 0.0
        for _ in range(60):
            began = time.monotonic()
            assert client.post("/v1/search", json={**QUESTION, "mode": "lexical"}).status_code == 200
            slowest = max(slowest, time.monotonic() - began)
        began = time.monotonic()
    assert slowest < 2.0
    assert time.monotonic() - began < 5.0


def test_the_frameworks_own_telemetry_is_off_whatever_the_environment_says(shared_index, listening, monkeypatch):
    """It would put the words of exceptions, and so queries, into spans."""
    collector = listening()
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    app = create_app(Service(ServiceSettings(index=shared_index, budgets=False)))
    with TestClient(app) as client:
        client.post("/v1/search", json={"query": ""})
    assert collector.posted == []
    assert not app._native_telemetry.enabled()


def test_off_nothing_is_imported_but_the_interface_that_fastapi_needs(shared_index):
    code = (
        "import sys\n"
        "from starlette.testclient import TestClient\n"
        "from service.http.app import create_app\n"
        "from service.settings import ServiceSettings\n"
        "from service.wiring import Service\n"
        f"settings = ServiceSettings(index={str(shared_index)!r}, budgets=False)\n"
        "with TestClient(create_app(Service(settings))) as client:\n"
        "    assert client.post('/v1/answer', json={'query': 'refunds'}).status_code == 200\n"
        "found = [name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))]\n"
        "assert not found, found\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
