"""Request ids: the client's own where it sent a good one, ours where an answer or a log line tells of trouble.

A request that goes well and brought none gets none: nobody would look for it.
"""

from __future__ import annotations

import logging
import os
import re
from typing import Final

log: Final = logging.getLogger(__name__)

HEADER: Final = "X-Request-Id"
MOST: Final = 128

# What can neither end a line of a log nor a header, and what nobody has to quote.
_FORM: Final = re.compile(rf"[A-Za-z0-9._~+/=:@-]{{1,{MOST}}}")


def accept_request_id(value: str | None) -> str | None:
    """The client's id, unless there is none, or none that is good: then it is as if it had not been sent."""
    return value if value is not None and _FORM.fullmatch(value) else None


def make_request_id() -> str:
    """A new one: 16 hex digits at random."""
    return os.urandom(8).hex()


def note_trouble(request_id: str | None, status: int, what: str) -> str:
    """The id of an answer from 400 on, a new one if it has none. A 500 says nothing but that we failed, so a line tells
    of it; what it was is in the lines before."""
    request_id = request_id or make_request_id()
    if status == 500:
        log.error("%s was answered with 500", what, extra={"request_id": request_id})
    return request_id
