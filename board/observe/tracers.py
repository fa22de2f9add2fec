"""The tracer that the settings ask for."""

from __future__ import annotations

from board.config.settings import Settings
from board.observe.log_tracer import LogTracer
from board.observe.trace import Tracer


def tracer_of(settings: Settings, part: str) -> Tracer | None:
    """The tracer of this part (`api` or `relay`); None if traces are off.

    To be called after a fork: the tracer for a collector has a thread.
    """
    if settings.traces == "off":
        return None
    if settings.traces == "log":
        return LogTracer()
    from board.observe.otlp import OtlpTracer

    return OtlpTracer(part)
