"""Log lines to stderr, one line an event: text for people, or JSON for programs."""

from __future__ import annotations

import logging
import re
import sys
import time
from typing import Any, Final, Literal

import msgspec

from board.text import visible, visible_json

Format = Literal["text", "json"]

# A key after its public id; the word after Bearer; a JWT; a ticket, a pass or a session.
_SECRET: Final = re.compile(
    r"(\blb_[0-9A-Za-z]{10}_)[0-9A-Za-z]+|((?i:bearer) +)[^\s'\"]+|()\beyJ[\w-]+\.[\w-]+\.[\w-]*|\blb[tpsc]_[\w-]+"
)


def masked(text: str) -> str:
    """The text with credentials masked: an error's text may quote one."""
    return _SECRET.sub(lambda found: (found[1] or found[2] or "") + "******", text)


MARKS: Final = ("request_id", "trace_id", "span_id", "parent_id")
"""Ids by which a line can be found; they are `extra` of a log call."""


def marks_of(record: logging.LogRecord) -> dict[str, Any]:
    """The marks of a line, masked: a request's id may be any text that the client chose."""
    found = ((name, getattr(record, name, None)) for name in MARKS)
    return {name: masked(value) if isinstance(value, str) else value for name, value in found if value is not None}


class _OneLine(logging.Formatter):
    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        marks = "".join(f" {name}={value}" for name, value in marks_of(record).items())
        # Log lines quote texts of servers and clients.
        return masked(visible(super().format(record).replace("\n", " | ") + marks, keep="\t"))


class JsonLine(logging.Formatter):
    """One JSON object a line: time, level, logger, pid, message, marks, and the traceback of an error."""

    def format(self, record: logging.LogRecord) -> str:
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{seconds}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": masked(record.getMessage()),
            **marks_of(record),
        }
        if record.exc_info:
            line["error"] = masked(self.formatException(record.exc_info))
        return visible_json(msgspec.json.encode(line)).decode()


_TEXT: Final = _OneLine("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s[%(process)d] %(message)s", "%Y-%m-%dT%H:%M:%S")


def setup(level: str, format_: Format = "text") -> None:
    """Send the root logger to stderr. Call once, in the composition root of a process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLine() if format_ == "json" else _TEXT)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def everything_as_json(level: str) -> dict[str, Any]:
    """A `logging.config.dictConfig` for JSON lines in gunicorn, whose loggers have handlers of their own."""
    ours = {"level": level.upper(), "handlers": ["stderr"], "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "board.observe.log.JsonLine"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}},
        "root": {"level": level.upper(), "handlers": ["stderr"]},
        "loggers": {"gunicorn.error": ours, "gunicorn.access": ours},
    }
