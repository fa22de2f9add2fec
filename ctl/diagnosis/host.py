"""Checks of this host: disk, worker processes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Final

from board.config.settings import Settings
from ctl.diagnosis.finding import Finding, judge

DISK_FREE_LEAST: Final = 0.1


def examine_host(s: Settings) -> Iterator[Finding]:
    """The findings of this host."""
    path = s.data_dir if s.data_dir.exists() else "/"
    usage = shutil.disk_usage(path)
    free = usage.free / usage.total
    full = "PostgreSQL stops when the disk is full"
    yield judge("disk", f"{free:.0%} free at {path}", free >= DISK_FREE_LEAST, "warning", full)
    cores = os.cpu_count() or 1
    useless = "more workers than cores cost memory and gain nothing"
    yield judge("workers", f"{s.workers} for {cores} cores", s.workers <= 2 * cores, "info", useless)
