"""An OpenTelemetry collector of its own: a real HTTP server that takes spans over OTLP."""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Seen(msgspec.Struct, frozen=True):
    """A span: ids as hex digits, times in nanoseconds."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    began_ns: int
    ended_ns: int
    attributes: dict[str, Any]


class Collector:
    """Listens on a free port of loopback while it is entered."""

    def __init__(self) -> None:
        self.spans: Final[list[Seen]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server: Final = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread: Final = threading.Thread(target=self.server.serve_forever)

    def __enter__(self) -> Collector:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    @property
    def settings(self) -> dict[str, str]:
        """The environment of a process that shall send its spans here."""
        return {
            "LEADERBOARD_TRACES": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.server.server_port}",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }

    def take(self, body: bytes) -> None:
        """The spans of one request."""
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = {a.key: a.value.string_value for a in of_resource.resource.attributes}
            for span in (span for scope in of_resource.scope_spans for span in scope.spans):
                self.spans.append(
                    Seen(
                        resource["service.name"],
                        span.name,
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        span.start_time_unix_nano,
                        span.end_time_unix_nano,
                        {a.key: a.value.string_value or a.value.int_value for a in span.attributes},
                    )
                )

    def of(self, trace_id: str) -> dict[str, Seen]:
        """Service -> its one span in a trace."""
        found = [span for span in self.spans if span.trace_id == trace_id]
        by_service = {span.service: span for span in found}
        assert len(found) == len(by_service), found
        return by_service
