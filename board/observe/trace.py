"""Trace context of a request (W3C Trace Context), and spans: what was done when, within a trace.

A span goes to a log line or to a collector. Without a collector nothing of OpenTelemetry is needed or imported.
"""

from __future__ import annotations

import logging
import os
import re
from typing import Final, Protocol

import msgspec

from board.config.settings import Settings

log: Final = logging.getLogger("trace")

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


class LogTracer:
    """Spans as log lines."""

    def begin(self, name: str, parent: Context, start_ns: int, **attributes: str | int) -> Span:
        return _LogSpan(name, parent, start_ns, attributes)

    def close(self) -> None:
        pass


class _LogSpan:
    def __init__(self, name: str, parent: Context, start_ns: int, attributes: dict[str, str | int]) -> None:
        self._name: Final = name
        self._parent: Final = parent
        self._start_ns: Final = start_ns
        self._attributes: Final = attributes
        # Zero is not an id.
        self.context: Final = Context(parent.trace_id, f"{int.from_bytes(os.urandom(8)) or 1:016x}")

    def end(self, end_ns: int, **attributes: str | int) -> None:
        more = "".join(f", {name} {value}" for name, value in (self._attributes | attributes).items())
        marks = {
            "trace_id": self.context.trace_id,
            "span_id": self.context.span_id,
            "parent_id": self._parent.span_id,
        }
        log.info("%s took %.3f ms%s", self._name, (end_ns - self._start_ns) / 1e6, more, extra=marks)


def tracer_of(settings: Settings, part: str) -> Tracer | None:
    """Where the spans of this part (`api`, `relay`) go; None if nowhere.

    A process asks for its own after it was forked: the one for a collector has a thread.
    """
    if settings.traces == "off":
        return None
    if settings.traces == "log":
        return LogTracer()
    from board.observe.otlp import OtlpTracer

    return OtlpTracer(part)
