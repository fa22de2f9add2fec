"""Children that end when they are told to, and when their parent does."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from board.process.children import spawn, terminate

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="death signals are Linux's")


def test_a_child_that_ignores_the_signal_is_killed() -> None:
    code = "import signal; signal.signal(15, signal.SIG_IGN); print(flush=True); signal.pause()"
    child = spawn([sys.executable, "-c", code], stdout=subprocess.PIPE)
    with child:
        assert child.stdout is not None
        child.stdout.readline()
        assert terminate(child, signal.SIGTERM, 0.1, then=signal.SIGTERM, then_timeout=0.1) == -9


@on_linux
def test_a_child_has_the_death_signal_and_no_blocked_ones() -> None:
    code = "import ctypes; n = ctypes.c_int(); ctypes.CDLL(None).prctl(2, ctypes.byref(n)); print(n.value)"
    code += "; print(open('/proc/self/status').read())"
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        child = spawn(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            death_signal=signal.SIGQUIT,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    answer = child.communicate()[0].decode()
    assert answer.startswith(f"{int(signal.SIGQUIT)}\n")
    assert "SigBlk:\t0000000000000000" in answer
