"""The exporter: serves the metrics of all processes at ``/metrics``, on an address of its own."""

from __future__ import annotations

import itertools
import logging
import platform
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib.metadata import version
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import make_wsgi_app
from prometheus_client.metrics_core import Metric as Family

from _speedups import IMPLEMENTATION
from board.config.binds import address
from board.errors import InvalidSetting, PortTaken
from board.observe.metrics import Metric, Sample, Sheet, samples
from board.process.beats import Beat
from board.process.stop import Stop

log: Final = logging.getLogger(__name__)

BUILD: Final = Metric("leaderboard_build_info", "Version, kernels and Python in use.", "gauge")

REQUEST_S: Final = 5.0
"""The time for the whole head of a request, and for taking each piece of the answer."""
CONNECTIONS_MOST: Final = 16
LOOK_EVERY_S: Final = 0.5

More = Callable[[], Iterable[tuple[Metric, list[Sample]]]]
"""Gauges that are read at each scrape."""


class Collector:
    """A sheet, and gauges read at each scrape, as a collector of prometheus_client."""

    def __init__(self, sheet: Sheet, more: More = tuple) -> None:
        self.sheet: Final = sheet
        self.more: Final = more

    def collect(self) -> Iterator[Family]:
        """The metrics of one scrape."""
        build = GaugeMetricFamily(BUILD.name, BUILD.text, labels=["version", "kernels", "python"])
        build.add_metric([version("leaderboard-server"), IMPLEMENTATION, platform.python_version()], 1)
        yield build
        totals = self.sheet.totals()
        for metric in self.sheet.registry.metrics:
            yield family(metric, list(samples(metric, self.sheet.registry, totals)))
        for metric, found in self.more():
            yield family(metric, found)


def family(metric: Metric, found: list[Sample]) -> Family:
    """One metric with its series, in the library's types."""
    labels = [name for name, _ in metric.labels]
    if metric.kind == "histogram":
        histogram = HistogramMetricFamily(metric.name, metric.text, labels=labels)
        edges = [*map(str, metric.bounds), "+Inf"]
        for sample in found:
            counts = itertools.accumulate(sample.buckets)
            histogram.add_metric(sample.values, list(zip(edges, counts, strict=True)), sample.value)
        return histogram
    if metric.kind == "counter":
        counter = CounterMetricFamily(metric.name, metric.text, labels=labels)
        for sample in found:
            counter.add_metric(sample.values, sample.value)
        return counter
    gauge = GaugeMetricFamily(metric.name, metric.text, labels=labels)
    for sample in found:
        gauge.add_metric(sample.values, sample.value)
    return gauge


class _Handler(WSGIRequestHandler):
    timeout = REQUEST_S
    server: _Server

    def parse_request(self) -> bool:
        """Called when the first line is there; reads the rest of the head."""
        complete = super().parse_request()
        self.server.note_head(self.connection)
        return complete

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each connection, and no more than `CONNECTIONS_MOST`.

    A head that is not complete within `REQUEST_S` ends its connection. The timeout of a socket would not do: it is one
    for each piece, so a client could send a byte now and then for ever. Where all connections are taken, the oldest one
    without a complete head makes room.
    """

    timeout = LOOK_EVERY_S
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._lock: Final = threading.Lock()
        self._open: Final[set[socket.socket]] = set()
        self._reading: Final[dict[socket.socket, float]] = {}
        """Connections without a complete head, and until when it has to come; the oldest one first."""
        super().__init__(*args, **kwargs)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            if len(self._open) >= CONNECTIONS_MOST and self._reading:
                self._break_off(next(iter(self._reading)))
            full = len(self._open) >= CONNECTIONS_MOST
            if not full:
                self._open.add(request)
                self._reading[request] = time.monotonic() + REQUEST_S
        if full:
            self.shutdown_request(request)
        else:
            super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Called when a connection ends, whatever ended it."""
        self.note_head(request)
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def note_head(self, request: socket.socket) -> None:
        """The head of this connection is complete, or none is expected any more."""
        with self._lock:
            self._reading.pop(request, None)

    def service_actions(self) -> None:
        """Called regularly: break off the connections whose time is up."""
        now = time.monotonic()
        with self._lock:
            for request in [request for request, until in self._reading.items() if until < now]:
                self._break_off(request)

    def _break_off(self, request: socket.socket) -> None:
        """End a connection: its thread, which reads, finds the end of the stream."""
        del self._reading[request]
        self._open.discard(request)
        with suppress(OSError):  # the client was faster
            request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        if isinstance(error, OSError):
            log.debug("a scrape was broken off: %s", error)
        else:
            log.error("a scrape has failed", exc_info=error)


def export(bind: str, collector: Collector, stop: Stop, beat: Beat) -> None:
    """Answer scrapes until told to stop; blocks. Raises `PortTaken`, and `InvalidSetting` for a Unix socket."""
    registry = CollectorRegistry()
    registry.register(collector)
    everything = make_wsgi_app(registry)

    def only_metrics(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/metrics" or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            start("404 Not Found", [("Content-Type", "text/plain")])
            return [b"only /metrics is served here\n"]
        answer: Iterable[bytes] = everything(environ, start)
        return answer

    where = address(bind)
    if where is None:
        raise InvalidSetting(f"metrics need host:port, not {bind!r}")
    try:
        server = make_server(*where, only_metrics, server_class=_Server, handler_class=_Handler)
    except OSError as error:
        raise PortTaken(f"cannot show metrics on {bind}: {error.strerror or error}") from error
    with server:
        log.info("metrics at http://%s/metrics", bind)
        while not stop.requested:
            beat.give()
            server.handle_request()
            server.service_actions()
