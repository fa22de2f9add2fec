"""The tracer that the settings ask for."""

from __future__ import annotations

from board.config.settings import Settings
from board.observe.log_tracer import LogTracer
from board.observe.trace import Tracer


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
