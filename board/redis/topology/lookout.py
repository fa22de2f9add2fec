"""Looks at the topology in the background, so that a silent node delays no command."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from board.errors import BoardUnavailable
from board.process.throttle import Throttle
from board.redis.topology.layout import Layout

log: Final = logging.getLogger(__name__)


class Lookout:
    """Calls `locate` in a thread, at most one at a time, every `every_s` seconds, or `soon_s` after the last look.

    A look that fails is logged, and changes nothing. A lookout is used by one thread.
    """

    def __init__(self, locate: Callable[[], Layout], every_s: float, soon_s: float) -> None:
        self._locate: Final = locate
        self._every_s: Final = every_s
        self._soon_s: Final = soon_s
        self._throttle: Final = Throttle()
        self._thread: threading.Thread | None = None
        self._found: Layout | None = None
        self._last = time.monotonic()

    def poll(self, *, soon: bool = False) -> Layout | None:
        """The layout that a look has found since the last call, or None. Begins a look that is due. Never waits."""
        if self._thread is not None:
            if self._thread.is_alive():
                return None
            self._thread = None
            found, self._found = self._found, None
            return found
        if time.monotonic() - self._last >= (self._soon_s if soon else self._every_s):
            self._thread = threading.Thread(target=self._look, name="topology", daemon=True)
            self._thread.start()
        return None

    def _look(self) -> None:
        try:
            self._found = self._locate()
        except BoardUnavailable as error:
            if self._throttle.admits(str(error)):
                log.warning("the topology of Redis cannot be read: %s", error)
        finally:
            self._last = time.monotonic()
