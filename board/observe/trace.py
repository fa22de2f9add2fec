"""Trace context of a request (https://www.w3.org/TR/trace-context/), and the interface of spans.

A span is one step of a trace, with its begin and end. It becomes a log line or goes to a collector; only the second
needs OpenTelemetry.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

import msgspec

HEADER: Final = "traceparent"

# Version 00 has exactly this length; a later version may have more after another dash.
_FORM: Final = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[!-~]{0,200})?")
_SAMPLED: Final = 1


class Context(msgspec.Struct, frozen=True):
    """A place in a trace: 32 and 16 hex digits. The caller's is the parent of the spans that serve it."""

    trace_id: str
    span_id: str

    @property
    def text(self) -> str:
        """The `traceparent` of this context, sampled."""
        return f"00-{self.trace_id}-{self.span_id}-01"


def sampled(text: str) -> Context | None:
    """The context of a `traceparent`; None if it is malformed, or if its sender does not record the trace."""
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if (version == "00" and more) or not int(trace_id, 16) or not int(span_id, 16) or not int(flags, 16) & _SAMPLED:
        return None
    return Context(trace_id, span_id)


class Span(Protocol):
    """One step of a trace. `context` is the parent of the steps that follow from it."""

    @property
    def context(self) -> Context: ...

    def end(self, end_ns: int, **attributes: str | int) -> None:
        """End the span; `end_ns` is of `time.time_ns`."""


class Tracer(Protocol):
    """The destination of spans. `begin` does not block."""

    def begin(self, name: str, parent: Context, start_ns: int, **attributes: str | int) -> Span:
        """Begin a span; `start_ns` is of `time.time_ns`."""

    def close(self) -> None:
        """Send the remaining spans; blocks for a few seconds at most."""
