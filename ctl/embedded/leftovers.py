"""Server processes of an earlier run that are still alive.

They should have died with their parent. Some may still be ending, or may have missed the signal.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from board.errors import ServerStartFailed

_POLL_SECONDS = 0.05


def find(directory: Path, names: Sequence[str]) -> list[int]:
    """Pids of live processes with one of ``names`` whose working directory is ``directory``.

    PostgreSQL and Valkey both change into their data directory. So a recycled pid never matches, and the backends
    of a killed postmaster do. Without /proc the list is empty.
    """
    wanted = os.path.realpath(directory)
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        # Processes end meanwhile, and those of other users may not be readable.
        with suppress(OSError):
            if os.readlink(entry / "cwd") == wanted and (entry / "comm").read_text().strip() in names:
                found.append(int(entry.name))
    return found


def stop(
    directory: Path,
    names: Sequence[str],
    steps: Sequence[tuple[signal.Signals, float]],
    report: Callable[[str], None],
) -> None:
    """Stop leftover processes in ``directory`` with the signals of ``steps``, each with the seconds to wait after it.

    Raises ServerStartFailed when processes survive all steps.
    """
    if not find(directory, names):
        return
    report(f"stopping {names[0]} of an earlier run in {directory}")
    for number, timeout_s in steps:
        for pid in select_parents(find(directory, names)):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        deadline = time.monotonic() + timeout_s
        while find(directory, names):
            if time.monotonic() > deadline:
                break
            time.sleep(_POLL_SECONDS)
        else:
            return
    pids = ", ".join(map(str, find(directory, names)))
    raise ServerStartFailed(f"{names[0]} of an earlier run still works in {directory}; stop process {pids}")


def send(directory: Path, names: Sequence[str], number: signal.Signals) -> bool:
    """Signal all leftover processes in ``directory``, without waiting. Returns whether there was one."""
    found = find(directory, names)
    for pid in found:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
    return bool(found)


def select_parents(pids: Sequence[int]) -> list[int]:
    """The pids without a parent among ``pids``: a postmaster stops its own backends, in its own order."""
    return [pid for pid in pids if _parent(pid) not in (None, *pids)]


def _parent(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field is the name in brackets, which may contain spaces and brackets (proc_pid_stat(5)).
    return int(stat.rpartition(")")[2].split()[1])
