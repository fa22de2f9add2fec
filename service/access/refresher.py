"""Keeping a copy of a source of keys up to date in the background. No request waits for the source."""

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
    """A background task. A derived class sets `_tried` when its first attempt to read has ended."""

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
        """Read the source again and again, until cancelled."""

    def start(self, on_change: Callable[[], None]) -> None:
        """Start the task. `on_change` is called when the keys may have changed."""
        self._task = asyncio.create_task(self._refresh(on_change), name=self._name)
        self._task.add_done_callback(self._ended)

    async def wait_for_first_try(self) -> None:
        """Wait until the first attempt to read has ended, successful or not."""
        await self._tried.wait()

    async def stop(self) -> None:
        """Stop the task, and wait for its end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def hurry(self) -> None:
        """Read the source soon."""
        self._wake.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """After a defect, end the worker; another one replaces it. Otherwise a revoked key would stay valid."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.critical("%s has failed; this worker ends", self._name, exc_info=error)
            self._tried.set()
            os.kill(os.getpid(), signal.SIGTERM)
