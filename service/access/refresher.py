"""Keeping a copy of a source of keys up to date in the background. No request waits for the source."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from board.process.tasks import LastingTask


class Refresher(ABC):
    """A background task. A derived class sets `_tried` when its first attempt to read has ended.

    A defect ends the worker, and another one replaces it. Otherwise a revoked key would stay valid.
    """

    def __init__(self, name: str) -> None:
        self._name: Final = name
        self._tried: Final = asyncio.Event()
        self._wake: Final = asyncio.Event()
        self._task: LastingTask | None = None

    @property
    @abstractmethod
    def loaded(self) -> bool:
        """Whether the source was read at least once."""

    @abstractmethod
    async def _refresh(self, on_change: Callable[[], None]) -> None:
        """Read the source again and again, until cancelled."""

    def start(self, on_change: Callable[[], None]) -> None:
        """Start the task. `on_change` is called when the keys may have changed."""
        self._task = LastingTask(self._refresh(on_change), self._name, on_failure=self._tried.set)

    async def wait_for_first_try(self) -> None:
        """Wait until the first attempt to read has ended, successful or not."""
        await self._tried.wait()

    async def stop(self) -> None:
        """Stop the task, and wait for its end."""
        if self._task is not None:
            await self._task.stop()

    def hurry(self) -> None:
        """Read the source soon."""
        self._wake.set()
