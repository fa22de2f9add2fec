"""Programs that the benchmark runs, and where they are installed."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Final

PLACES: Final = ":/usr/sbin:/usr/local/sbin"
"""Directories of nginx that are not on the path of ordinary users."""


def redis_benchmark() -> str | None:
    """Path of ``redis-benchmark`` or of Valkey's ``valkey-benchmark``; None without both."""
    return shutil.which("redis-benchmark") or shutil.which("valkey-benchmark")


def nginx_program() -> str | None:
    """Path of nginx; None without it."""
    return shutil.which("nginx", path=os.environ.get("PATH", os.defpath) + PLACES)


def pyspy() -> str | None:
    """Path of py-spy, beside this Python or on the path; None without it."""
    return shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
