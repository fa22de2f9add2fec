"""Commands under test: a start that fails says why."""

from __future__ import annotations

import signal
import time

import pytest
from support.processes import Command, environment


def test_a_process_that_ends_instead_of_starting_fails_at_once_and_shows_its_output() -> None:
    began = time.monotonic()
    with (
        Command(["no-such-command"], environment()) as command,
        pytest.raises(AssertionError, match=r"(?s)ended with 2.*no-such-command.*invalid choice"),
    ):
        command.until(lambda: False, 600)
    assert time.monotonic() - began < 300


def test_a_process_that_is_not_up_in_time_shows_its_output() -> None:
    with Command(["settings"], environment()) as command:
        command.process.wait()
        command.running = lambda: True  # type: ignore[method-assign]  # it has written all, and seems to go on
        with pytest.raises(AssertionError, match=r"(?s)not within 0 s.*the end of the output of ctl settings.*\n"):
            command.until(lambda: False, 0)
        del command.running
        assert command.stop(signal.SIGTERM) in (0, 2)
