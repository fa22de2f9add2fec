"""Spans of requests in their clients' traces (W3C Trace Context): from the header to the answer."""

from __future__ import annotations

from collections.abc import Callable
from time import time_ns
from typing import Final

from board.errors import LeaderboardError
from board.observe.trace import HEADER, Span, Tracer, sampled
from service.contract.answers import Answer, PendingAnswer
from service.contract.failures import answer_of

__all__ = ["HEADER", "Traces", "format_traceparent", "run_in_span"]


class Traces:
    """Begins spans for requests with a `traceparent`. Without a tracer there are none."""

    def __init__(self, tracer: Tracer | None) -> None:
        self._tracer: Final = tracer

    def begin(self, operation: str, header: str | None) -> Span | None:
        """Begin a span of an operation; None unless its `traceparent` is valid and sampled."""
        if header is None or self._tracer is None:
            return None
        parent = sampled(header)
        return None if parent is None else self._tracer.begin(operation, parent, time_ns())


def format_traceparent(span: Span | None) -> str | None:
    """The `traceparent` for work that follows from a span; None without one."""
    return None if span is None else span.context.text


async def run_in_span(span: Span, order: Callable[[bytes | None], PendingAnswer], body: bytes | None) -> Answer:
    """Run an order, and end its span with the status of the answer."""
    status = 500
    try:
        try:
            answer = await order(body)
        except LeaderboardError as error:
            answer = answer_of(error)
        status = answer.status
        return answer
    finally:
        span.end(time_ns(), status=status)
