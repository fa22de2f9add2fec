"""Tasks that last as long as their process: the end of one by a defect ends the process, which is then replaced."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any, Final

log: Final = logging.getLogger(__name__)


def end_process() -> None:
    """Ask this process to stop as its supervisor would: work in hand is finished first."""
    os.kill(os.getpid(), signal.SIGTERM)


class LastingTask:
    """A task that runs until `stop`.

    asyncio keeps an exception of a task until its result is asked for: without this class the process would go on
    without the work of the task. Any end before `stop` is logged with its trace. Then `on_failure` answers the callers
    that wait for the task, and `end` ends the process. A cancelled task has not failed: only `stop` and the end of the
    loop cancel one.
    """

    def __init__(
        self,
        work: Coroutine[Any, Any, None],
        name: str,
        *,
        on_failure: Callable[[], None] = lambda: None,
        end: Callable[[], None] = end_process,
    ) -> None:
        self._name: Final = name
        self._on_failure: Final = on_failure
        self._end: Final = end
        self._stopping = False
        self._task: Final = asyncio.create_task(work, name=name)
        self._task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """Cancel the task, and wait for its end."""
        self._stopping = True
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if self._stopping:
            if error is not None:
                log.error("the task %s has failed while it was stopped", self._name, exc_info=error)
            return
        log.critical("the task %s has failed; this process ends", self._name, exc_info=error)
        try:
            self._on_failure()
        finally:
            self._end()
