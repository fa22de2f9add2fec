"""The pool of this host: relays, one janitor and the metrics' exporter under a supervisor."""

from __future__ import annotations

import sys
from typing import Final

from board.config.settings import Settings
from board.observe.metrics import Sheet
from board.process.supervisor import Post
from relay.metrics import REGISTRY


class Pool:
    """The posts of a pool. Each relay's row of the sheet stays with its post, whoever fills it."""

    def __init__(self, settings: Settings) -> None:
        sheet = Sheet.create(REGISTRY, settings.relays)
        fd = str(sheet.fd)
        self.sheet: Final = sheet
        self.pass_fds: Final = (sheet.fd,)
        self.posts: Final = [
            *(
                Post(f"relay {n + 1}", [sys.executable, "-m", "relay", "carry", fd, str(n)])
                for n in range(settings.relays)
            ),
            Post("janitor", [sys.executable, "-m", "relay", "janitor"]),
        ]
        if settings.relay_metrics_bind:
            self.posts.append(Post("metrics", [sys.executable, "-m", "relay", "metrics", fd]))
