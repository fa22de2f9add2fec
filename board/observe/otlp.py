"""Spans to an OpenTelemetry collector, over OTLP/HTTP. Needs the extra `otel`.

OpenTelemetry's own variables, which its SDK reads, say where the collector is and which headers it needs:
``OTEL_EXPORTER_OTLP_ENDPOINT``, ``…_HEADERS``, ``…_CERTIFICATE``, ``OTEL_RESOURCE_ATTRIBUTES`` and so on
(https://opentelemetry.io/docs/specs/otel/protocol/exporter/).
"""

from __future__ import annotations

from threading import Thread
from typing import Final

from opentelemetry import trace as api
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from board.observe.trace import Context, Span

CLOSE_S: Final = 2.0
STATUS: Final = "status"
"""The attribute of an HTTP status; from 500 on the span is an error."""


def attribute_name(name: str) -> str:
    """An attribute's name by OpenTelemetry's semantic conventions."""
    return "http.response.status_code" if name == STATUS else f"leaderboard.{name}"


class OtlpTracer:
    """Sends spans from a thread of its own. Its queue is bounded; spans beyond it are dropped."""

    def __init__(self, part: str) -> None:
        # The sender of the trace has decided that it is recorded; spans of other traces are never begun.
        self._provider: Final = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource.create({"service.name": f"leaderboard-{part}"}),
            shutdown_on_exit=False,
        )
        self._processor: Final = BatchSpanProcessor(OTLPSpanExporter())
        self._provider.add_span_processor(self._processor)
        self._tracer: Final = self._provider.get_tracer("leaderboard")
        self._kind: Final = api.SpanKind.SERVER if part == "api" else api.SpanKind.CONSUMER

    def begin(self, name: str, parent: Context, start_ns: int, **attributes: str | int) -> Span:
        remote = api.SpanContext(
            int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=api.TraceFlags(1)
        )
        context = api.set_span_in_context(api.NonRecordingSpan(remote))
        span = self._tracer.start_span(name, context, self._kind, start_time=start_ns)
        span.set_attributes({attribute_name(key): value for key, value in attributes.items()})
        return _OtlpSpan(span)

    def close(self) -> None:
        # `shutdown` alone waits half a minute for a collector that does not answer.
        closing = Thread(target=self._processor.shutdown, name="traces", daemon=True)
        closing.start()
        closing.join(CLOSE_S)


class _OtlpSpan:
    def __init__(self, span: api.Span) -> None:
        self._span: Final = span
        of = span.get_span_context()
        self.context: Final = Context(f"{of.trace_id:032x}", f"{of.span_id:016x}")

    def end(self, end_ns: int, **attributes: str | int) -> None:
        self._span.set_attributes({attribute_name(key): value for key, value in attributes.items()})
        if int(attributes.get(STATUS, 0)) >= 500:
            self._span.set_status(api.StatusCode.ERROR)
        self._span.end(end_ns)
