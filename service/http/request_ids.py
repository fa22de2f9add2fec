"""Request ids: the client's own if it sent a valid one, otherwise a new one for an error.

A successful request without an id gets none: its id would not be looked up.
"""

from __future__ import annotations

import logging
import os
import re
from typing import Final

log: Final = logging.getLogger(__name__)

HEADER: Final = "X-Request-Id"
LENGTH_MOST: Final = 128
"""Characters of an id."""

# Characters that end neither a log line nor a header, and need no quoting.
_FORM: Final = re.compile(rf"[A-Za-z0-9._~+/=:@-]{{1,{LENGTH_MOST}}}")


def accept_request_id(value: str | None) -> str | None:
    """The client's id; None if it sent none. An invalid one is ignored."""
    return value if value is not None and _FORM.fullmatch(value) else None


def make_request_id() -> str:
    """Make a new id: 16 random hex digits."""
    return os.urandom(8).hex()


def note_trouble(request_id: str | None, status: int, what: str) -> str:
    """The id for an answer of status 400 or above, a new one if the request has none.

    A 500 is logged with its id. The log lines before it have the cause.
    """
    request_id = request_id or make_request_id()
    if status == 500:
        log.error("%s was answered with 500", what, extra={"request_id": request_id})
    return request_id
