"""Memory of Redis."""

from __future__ import annotations

import time
from typing import Final

from bench.system.stack import Stack

SETTLED_S: Final = 10.0


def used(stack: Stack) -> int:
    """`used_memory` without what connections and replication hold, bytes."""
    until = time.monotonic() + SETTLED_S
    while True:
        text = stack.link.call("INFO", "memory").decode()
        info = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        # Deleted keys are freed in the background.
        if int(info.get("lazyfree_pending_objects", "0")) == 0 or time.monotonic() > until:
            return int(info["used_memory_dataset"])
