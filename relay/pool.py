"""The pool of this host: relays, one janitor, one keeper and the metrics exporter, as children of a supervisor."""

from __future__ import annotations

import sys
from typing import Final

from board.config.settings import Settings
from board.observe.metrics import Sheet
from board.process.beats import SILENCE_S
from board.process.supervisor import ChildSpec
from relay.metrics import REGISTRY


class Pool:
    """The children of a pool. Each relay has a row of the metrics sheet, which its successors go on using."""

    def __init__(self, settings: Settings) -> None:
        sheet = Sheet.create(REGISTRY, settings.relays)
        fd = str(sheet.fd)
        # A relay is silent while it waits for a reply of Redis.
        silence_s = SILENCE_S + settings.redis_timeout_ms / 1000
        self.sheet: Final = sheet
        self.pass_fds: Final = (sheet.fd,)
        self.children: Final = [
            *(
                ChildSpec(f"relay {n + 1}", [sys.executable, "-m", "relay", "carry", fd, str(n)], silence_s)
                for n in range(settings.relays)
            ),
            ChildSpec("janitor", [sys.executable, "-m", "relay", "janitor"]),
            ChildSpec("keeper", [sys.executable, "-m", "relay", "keeper"]),
        ]
        if settings.relay_metrics_bind:
            self.children.append(ChildSpec("metrics", [sys.executable, "-m", "relay", "metrics", fd]))
