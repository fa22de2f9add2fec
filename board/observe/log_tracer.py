"""A tracer that writes spans as log lines."""

from __future__ import annotations

import logging
import os
from typing import Final

from board.observe.trace import Context, Span

log: Final = logging.getLogger(__name__)


class LogTracer:
    """Writes each span, when it ends, as one log line with the marks of its trace."""

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
        # Zero is not a valid id (W3C Trace Context).
        self.context: Final = Context(parent.trace_id, f"{int.from_bytes(os.urandom(8)) or 1:016x}")

    def end(self, end_ns: int, **attributes: str | int) -> None:
        more = "".join(f", {name} {value}" for name, value in (self._attributes | attributes).items())
        marks = {
            "trace_id": self.context.trace_id,
            "span_id": self.context.span_id,
            "parent_id": self._parent.span_id,
        }
        log.info("%s took %.3f ms%s", self._name, (end_ns - self._start_ns) / 1e6, more, extra=marks)
