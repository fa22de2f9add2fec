"""A sign of life for systemd (sd_notify(3), WatchdogSec=): a service that no longer comes round is started anew."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Final

log: Final = logging.getLogger("watchdog")


class Watchdog:
    """Tells whoever started this process, at most three times per period that it has set, that all goes well.

    `pat` is called from the loop that must not stand still; where nobody asked for signs it does nothing. A child of
    the process that was asked inherits the variables, but not the duty.
    """

    def __init__(self, environment: Mapping[str, str], *, clock: Callable[[], float] = time.monotonic) -> None:
        period = environment.get("WATCHDOG_USEC", "")
        asked = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()) and period.isdigit()
        name = environment.get("NOTIFY_SOCKET", "") if asked else ""
        # A name in Linux's abstract space begins with @ in the variable, with NUL in the call.
        self.address: Final = "\0" + name[1:] if name.startswith("@") else name
        self.every_s: Final = int(period) / 3e6 if self.address else 0.0
        self.clock: Final = clock
        self.due = 0.0

    def pat(self) -> None:
        """Give the sign if one is due."""
        if not self.address or (now := self.clock()) < self.due:
            return
        self.due = now + self.every_s
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
                notify.setblocking(False)
                notify.sendto(b"WATCHDOG=1", self.address)
        except OSError as error:
            # Said, not raised: systemd ends this process if no later sign arrives.
            log.warning("no sign of life for systemd: %s", error)
