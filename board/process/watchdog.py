"""Signs of life for systemd (sd_notify(3), WatchdogSec=), which restarts a service that gives none."""

from __future__ import annotations

import logging
import math
import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Final

log: Final = logging.getLogger(__name__)


class Watchdog:
    """Sends systemd a sign of life, at most three times in each period that it has set.

    The loop that must not stand still calls `pat`. Without the variables of systemd it does nothing; neither does it
    in a child process, which inherits the variables of its parent.
    """

    def __init__(self, environment: Mapping[str, str], *, clock: Callable[[], float] = time.monotonic) -> None:
        period = environment.get("WATCHDOG_USEC", "")
        asked = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()) and period.isdigit()
        name = environment.get("NOTIFY_SOCKET", "") if asked else ""
        # A name in Linux's abstract space begins with @ in the variable, with NUL in the call.
        self.address: Final = "\0" + name[1:] if name.startswith("@") else name
        self.every_s: Final = int(period) / 3e6 if self.address else 0.0
        self.clock: Final = clock
        self.due = -math.inf

    def pat(self) -> None:
        """Send the sign if it is due."""
        if not self.address or (now := self.clock()) < self.due:
            return
        self.due = now + self.every_s
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
                notify.setblocking(False)
                notify.sendto(b"WATCHDOG=1", self.address)
        except OSError as error:
            # Logged, not raised: systemd ends this process if no later sign arrives.
            log.warning("no sign of life for systemd: %s", error)
