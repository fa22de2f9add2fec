"""A submission's place in its client's trace: from the header to a span that ends with the answer."""

from __future__ import annotations

from time import time_ns
from typing import Final

from board.observe.trace import HEADER, Span, Tracer, sampled
from service.contract.answers import Answer, Order

__all__ = ["HEADER", "Traces", "followed", "parent"]


class Traces:
    """Begins spans for the requests that want one; for none, without a tracer."""

    def __init__(self, tracer: Tracer | None) -> None:
        self._tracer: Final = tracer

    def begin(self, operation: str, header: str | None) -> Span | None:
        """A span of an operation, if its `traceparent` is good and the trace is recorded."""
        if header is None or self._tracer is None:
            return None
        parent = sampled(header)
        return None if parent is None else self._tracer.begin(operation, parent, time_ns())


def parent(span: Span | None) -> str | None:
    """The `traceparent` for what follows from a span, if there is one."""
    return None if span is None else span.context.text


async def followed(span: Span | None, order: Order, body: bytes) -> Answer:
    """Do what is ordered; the span, if there is one, ends with it."""
    if span is None:
        return await order(body)
    status = 500
    try:
        answer = await order(body)
        status = answer.status
        return answer
    finally:
        span.end(time_ns(), status=status)
