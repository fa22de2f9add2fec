"""Memory of Redis, by its own count."""

from __future__ import annotations

import time
from typing import Final

from bench.system.stack import Stack
from board.redis.replies import parse_info

SETTLED_S: Final = 10.0


def read_used_bytes(stack: Stack) -> int:
    """Bytes of the data set (``used_memory_dataset`` of INFO), once deleted keys are freed or 10 s have passed."""
    until = time.monotonic() + SETTLED_S
    while True:
        info = parse_info(stack.redis.call("INFO", "memory"))
        # Deleted keys are freed in the background.
        if int(info.get("lazyfree_pending_objects", "0")) == 0 or time.monotonic() > until:
            return int(info["used_memory_dataset"])
