"""Ends a run of Ansible with Ctrl-C, as soon as a task has changed something."""

from __future__ import annotations

import os
import re
import signal
from typing import Any

from ansible.plugins.callback import CallbackBase

# A Ctrl-C may come at a moment after which Ansible waits for a lock of its own for ever. An operator kills it then.
PATIENCE_SECONDS = 30


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """INTERRUPT_AFTER is a regular expression for names of tasks, such as "redis : Configure Redis"."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "interrupt"
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_ok(self, result: Any) -> None:
        name = result.task.get_name()
        if result.is_changed() and re.fullmatch(os.environ["INTERRUPT_AFTER"], name):
            self._display.display(f"INTERRUPTED AFTER: {name}")
            signal.alarm(PATIENCE_SECONDS)
            os.kill(os.getpid(), signal.SIGINT)
