"""Trace context of a request (W3C Trace Context), and spans: what was done when, within a trace.

A span goes to a log line or to a collector. Without a collector nothing of OpenTelemetry is needed or imported.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

import msgspec

HEADER: Final = "traceparent"

# Version 00 is exactly this long; a later one may have more behind a dash, of which nothing is known.
_FORM: Final = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[!-~]{0,200})?")
_SAMPLED: Final = 1


class Context(msgspec.Struct, frozen=True):
    """Where in which trace: 32 and 16 hex digits. A caller's is the parent of what is done for it."""

    trace_id: str
    span_id: str

    @property
    def text(self) -> str:
        """As a `traceparent`, sampled."""
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
    """Something that is being done. `context` is the parent of what follows from it."""

    @property
    def context(self) -> Context: ...

    def end(self, end_ns: int, **attributes: str | int) -> None:
        """It is done; `end_ns` is of `time.time_ns`."""


class Tracer(Protocol):
    """Where spans go. Neither verb blocks but `close`."""

    def begin(self, name: str, parent: Context, start_ns: int, **attributes: str | int) -> Span:
        """Begin a span; `start_ns` is of `time.time_ns`."""

    def close(self) -> None:
        """Send what is left; blocks for a few seconds at most."""
