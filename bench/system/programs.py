"""Programs of others that the benchmark runs, and where they are installed."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Final

PLACES: Final = ":/usr/sbin:/usr/local/sbin"
"""Where nginx is installed, and ordinary users do not look."""


def redis_benchmark() -> str | None:
    """The program of that name, or Valkey's."""
    return shutil.which("redis-benchmark") or shutil.which("valkey-benchmark")


def nginx_program() -> str | None:
    """nginx, where it is installed."""
    return shutil.which("nginx", path=os.environ.get("PATH", os.defpath) + PLACES)


def pyspy() -> str | None:
    """The program, beside this Python or on the path."""
    return shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
