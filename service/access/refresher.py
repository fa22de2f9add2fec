"""What follows a source of keys in the background, so that no request ever waits for it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

log: Final = logging.getLogger(__name__)


class Refresher(ABC):
    """A task with a beginning and an end. Who derives from it sets `_tried` when its first attempt has ended."""

    def __init__(self, name: str) -> None:
        self._name: Final = name
        self._tried: Final = asyncio.Event()
        self._wake: Final = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    @abstractmethod
    def loaded(self) -> bool:
        """Whether the source was read at least once."""

    @abstractmethod
    async def _refresh(self, on_change: Callable[[], None]) -> None:
        """Read, and read again, until cancelled."""

    def start(self, on_change: Callable[[], None]) -> None:
        """Begin; `on_change` is called when what was read may differ from what was known before."""
        self._task = asyncio.create_task(self._refresh(on_change), name=self._name)
        self._task.add_done_callback(self._ended)

    async def wait_for_first_try(self) -> None:
        """Wait until the first attempt to read has ended, well or not."""
        await self._tried.wait()

    async def stop(self) -> None:
        """End for good."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def hurry(self) -> None:
        """Look soon."""
        self._wake.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """After a defect the worker ends and another takes its place: unfollowed, a withdrawn key would stay good."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.critical("%s has failed; this worker ends", self._name, exc_info=error)
            self._tried.set()
            os.kill(os.getpid(), signal.SIGTERM)
