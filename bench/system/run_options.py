"""The options of a run, shared by all rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from bench.system.stack import Stack
from board.config.settings import Settings
from ctl.embedded import Prefer

PEER_PORT: Final = 8080
"""The port of the original, which cannot be chosen."""


def ignore_progress(what: str, done: int, total: int) -> None:
    """The default of `RunOptions.progress`."""


class RunOptions(msgspec.Struct, frozen=True):
    """The options of a run.

    `seconds` is the length of each load, `players` the size of the board that is read, `hints` that of the backlog that
    is drained, `samples` their number for the time to visible, `rate` the background writes per second. `seed` differs
    between rounds. `against` is the address of a running server, empty when the run starts its own. `peer` is the
    program of the original, None without it, and `peer_port` the port on which it listens. `progress` is called with
    the name of a preparation, the steps done and the total. `listeners` hear a board that changes, `idle_listeners` one
    that rests.
    """

    settings: Settings
    parent: Path
    servers: Prefer
    seconds: int
    connections: int
    players: int
    hints: int
    samples: int
    rate: int
    seed: int
    against: str = ""
    peer: Path | None = None
    peer_port: int = PEER_PORT
    listeners: int = 1_000
    idle_listeners: int = 10_000
    progress: Callable[[str, int, int], None] = ignore_progress

    def stack(self) -> Stack:
        """Servers with an empty schema, started when the stack is entered."""
        return Stack(self.settings, parent=self.parent, prefer=self.servers)
