"""The pool of this host: relays and one janitor under a supervisor."""

from __future__ import annotations

import sys

from board.supervisor import Post


def posts(processes: int) -> list[Post]:
    """The places of a pool with this many relays."""
    return [
        *(Post(f"relay {n + 1}", [sys.executable, "-m", "relay", "carry"]) for n in range(processes)),
        Post("janitor", [sys.executable, "-m", "relay", "janitor"]),
    ]
