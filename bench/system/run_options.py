"""What a run is asked to do, shared by all rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from bench.system.stack import Stack
from board.config.settings import Settings
from ctl.embedded import Prefer


def quiet(what: str, done: int, total: int) -> None:
    """Progress of a preparation that nobody watches."""


class Plan(msgspec.Struct, frozen=True):
    """The options of a run; `seed` is the round's own. `against` is the address of a server that is not ours."""

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
    tell: Callable[[str, int, int], None] = quiet

    def stack(self) -> Stack:
        """Fresh servers; enter it."""
        return Stack(self.settings, parent=self.parent, prefer=self.servers)
