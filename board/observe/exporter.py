"""The exporter: serves the metrics of all processes at ``/metrics``, on an address of its own."""

from __future__ import annotations

import itertools
import logging
import platform
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
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
from board.process.stop import Stop

log: Final = logging.getLogger(__name__)

BUILD: Final = Metric("leaderboard_build_info", "Version, kernels and Python in use.", "gauge")

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


class _Quiet(WSGIRequestHandler):
    timeout = 5

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)


class _Server(WSGIServer):
    timeout = 0.5


def export(bind: str, collector: Collector, stop: Stop) -> None:
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
        server = make_server(*where, only_metrics, server_class=_Server, handler_class=_Quiet)
    except OSError as error:
        raise PortTaken(f"cannot show metrics on {bind}: {error.strerror or error}") from error
    with server:
        log.info("metrics at http://%s/metrics", bind)
        while not stop.requested:
            server.handle_request()
