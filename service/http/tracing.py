"""OpenTelemetry traces: a span for each request, its stages and its calls to chat models. Off, nothing is imported.

Names of attributes are those of OpenTelemetry's semantic conventions (HTTP, GenAI); what these have none for begins
with `footnote.`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from service.contract import AnswerResponse, SearchResponse, StageOutcome
from service.settings import ServiceSettings
from store.errors import UsageError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

    from service.adapters.chat_model import ChatModel
    from service.adapters.generator import Ended
    from service.engine import Engine

_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines: not traced."""
_RETRIEVAL = frozenset({"embed", "dense", "lexical", "fuse", "rerank", "passages"})
_TROUBLE = frozenset({"timeout", "failed"})
_CLOSE_S = 2.0

_Attributes = dict[str, Any]


def open_tracing(settings: ServiceSettings) -> Tracing | None:
    """Traces as they are set; None where they are off. Raises UsageError where the packages are missing."""
    if not settings.otel:
        return None
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        raise UsageError("otel is on, but OpenTelemetry is not installed.", fix="Install footnote[otel].")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from service.http.openapi import package_version

    ours = Resource.create({SERVICE_NAME: "footnote", SERVICE_VERSION: package_version()})
    provider = TracerProvider(resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))  # both configured by OTEL_... variables
    return Tracing(provider, content=settings.otel_content)


class Tracing:
    """Makes spans. What becomes of them, and which are sampled, is the provider's; it is not made the global one.

    Args:
        provider: of OpenTelemetry's SDK.
        content: whether queries are in the spans.
    """

    def __init__(self, provider: TracerProvider, *, content: bool) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._propagator = TraceContextTextMapPropagator()
        self.tracer = provider.get_tracer("footnote")
        self.content = content

    def request(self, method: str, path: str, headers: Mapping[str, str], request_id: str) -> RequestTrace | None:
        """A request begins; None for one that is not traced. What runs for it from here on belongs to it."""
        if path in _QUIET:
            return None
        from opentelemetry.trace import SpanKind

        parent = self._propagator.extract(
            {key: headers[key] for key in ("traceparent", "tracestate") if key in headers}
        )
        attributes = {"http.request.method": method, "footnote.request_id": request_id}
        span = self.tracer.start_span(method, parent, SpanKind.SERVER, attributes)
        return RequestTrace(self, span)

    def call(self, model: ChatModel, tokens_max: int) -> CallTrace:
        """A call to a chat model begins, within whatever runs."""
        from opentelemetry.trace import SpanKind

        usage = model.usage
        attributes: _Attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": usage.provider,
            "gen_ai.request.model": usage.model,
            "gen_ai.request.max_tokens": tokens_max,
            "gen_ai.request.stream": True,
        }
        return CallTrace(self, self.tracer.start_span(f"chat {usage.model}", None, SpanKind.CLIENT, attributes))

    def passed_on(self, span: Span) -> dict[str, str]:
        """The headers that make what is called a part of the span."""
        from opentelemetry.trace import set_span_in_context

        headers: dict[str, str] = {}
        self._propagator.inject(headers, set_span_in_context(span))
        return headers

    def close(self) -> None:
        """Send what is left, if somebody takes it within two seconds. Blocking."""
        closing = threading.Thread(target=self._provider.shutdown, name="footnote-traces", daemon=True)
        closing.start()
        closing.join(_CLOSE_S)


class CallTrace:
    """The span of one call to a chat model; `headers` go with it."""

    def __init__(self, tracing: Tracing, span: Span) -> None:
        self.headers = tracing.passed_on(span)
        self._span = span

    def ended(self, outcome: str, end: Ended | None, first_text_s: float | None) -> None:
        """It is over."""
        attributes: _Attributes = {"footnote.outcome": outcome}
        if first_text_s is not None:
            attributes["gen_ai.response.time_to_first_chunk"] = first_text_s
        if end is not None:
            attributes["gen_ai.usage.input_tokens"] = end.usage.prompt_tokens
            attributes["gen_ai.usage.output_tokens"] = end.usage.completion_tokens
            attributes["gen_ai.response.finish_reasons"] = [end.reason]
            if end.usage.cost_usd is not None:
                attributes["footnote.cost_usd"] = end.usage.cost_usd
        if outcome not in ("ok", "left"):
            attributes["error.type"] = outcome
            _mark_failed(self._span)
        self._span.set_attributes(attributes)
        self._span.end()


class RequestTrace:
    """The span of one request, and those of its stages, which are made at its end from what was noted of them.

    Args:
        tracing: makes spans.
        span: the request's, begun.
    """

    def __init__(self, tracing: Tracing, span: Span) -> None:
        from opentelemetry import context
        from opentelemetry.trace import set_span_in_context

        self._tracing = tracing
        self._span = span
        self._context = set_span_in_context(span)
        self._token = context.attach(self._context)
        self._detach = context.detach
        self._stages: list[tuple[str, float | None, float, float, StageOutcome]] = []
        self._wall_ns = time.time_ns() - time.monotonic_ns()
        self._retrieval: _Attributes = {"gen_ai.operation.name": "retrieval"}
        self._embedding_model = ""
        self._of_stage: dict[str, _Attributes] = {}

    @property
    def trace_id(self) -> str:
        """In hexadecimal."""
        return f"{self._span.get_span_context().trace_id:032x}"

    def stage(self, name: str, budget_ms: float | None, began: float, ended: float, outcome: StageOutcome) -> None:
        """A stage ended; times are monotonic seconds."""
        if self._span.is_recording():
            self._stages.append((name, budget_ms, began, ended, outcome))

    def asked(self, query: str, engine: Engine) -> None:
        """What is asked, and of what."""
        facts = engine.snapshot.facts
        self._embedding_model = facts.space.model
        self._retrieval["gen_ai.data_source.id"] = facts.name
        self._span.set_attribute("footnote.generation", facts.generation)
        if self._tracing.content:
            self._retrieval["gen_ai.retrieval.query.text"] = query

    def became(self, response: AnswerResponse | SearchResponse) -> None:
        """What came of it."""
        self._span.set_attribute("footnote.degraded", bool(response.degraded))
        if isinstance(response, AnswerResponse):
            self._span.set_attribute("footnote.verdict", response.verdict)
            used = response.usage
            self._of_stage["generate"] = {
                "gen_ai.provider.name": used.provider,
                "gen_ai.request.model": used.model,
                "gen_ai.usage.input_tokens": used.prompt_tokens,
                "gen_ai.usage.output_tokens": used.completion_tokens,
                "gen_ai.response.finish_reasons": [response.finish_reason],
            }

    def end(self, method: str, route: str, status: int) -> None:
        """The response is out."""
        span = self._span
        if span.is_recording():
            span.update_name(f"{method} {route}")
            span.set_attributes({"http.route": route, "http.response.status_code": status})
            if status >= 500:
                span.set_attribute("error.type", str(status))
                _mark_failed(span)
            self._tell_stages()
        span.end()
        self._detach(self._token)

    def _tell_stages(self) -> None:
        from opentelemetry.trace import set_span_in_context

        of_retrieval = [one for one in self._stages if one[0] in _RETRIEVAL]
        within = self._context
        retrieval: Span | None = None
        if of_retrieval:
            name = f"retrieval {self._retrieval.get('gen_ai.data_source.id', '')}".strip()
            began = self._ns(min(one[2] for one in of_retrieval))
            retrieval = self._tracing.tracer.start_span(
                name, self._context, attributes=self._retrieval, start_time=began
            )
            within = set_span_in_context(retrieval)
        for name, budget_ms, began_s, ended_s, outcome in self._stages:
            attributes: _Attributes = {"footnote.stage": name, "footnote.outcome": outcome}
            if budget_ms is not None:
                attributes["footnote.budget_ms"] = budget_ms
            called = name
            if name == "embed":
                called = f"embeddings {self._embedding_model}"
                attributes["gen_ai.operation.name"] = "embeddings"
                attributes["gen_ai.request.model"] = self._embedding_model
            span = self._tracing.tracer.start_span(
                called,
                within if name in _RETRIEVAL else self._context,
                attributes=attributes | self._of_stage.get(name, {}),
                start_time=self._ns(began_s),
            )
            if outcome in _TROUBLE:
                span.set_attribute("error.type", outcome)
                _mark_failed(span)
            span.end(self._ns(ended_s))
        if retrieval is not None:
            retrieval.end(self._ns(max(one[3] for one in of_retrieval)))

    def _ns(self, monotonic_s: float) -> int:
        return self._wall_ns + round(monotonic_s * 1e9)


def _mark_failed(span: Span) -> None:
    from opentelemetry.trace import StatusCode

    span.set_status(StatusCode.ERROR)
