"""Programs that the benchmark runs, and where they are installed."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from board.errors import UsageError

PLACES: Final = ":/usr/sbin:/usr/local/sbin"
"""Directories of nginx that are not on the path of ordinary users."""

PACKAGES: Final = {
    "wrk": "wrk",
    "pgbench": "postgresql",
    "redis-benchmark": "redis-tools",
    "git": "git",
    "nginx": "nginx-light",
}
"""Programs, and the packages of Debian that have them."""
TOOLS: Final = frozenset({"py-spy", "k6"})
"""Programs that `make bench-tools` installs."""


def require(found: Mapping[str, str | None]) -> None:
    """Raise `UsageError`, with the commands that install them, if a program has no path."""
    missing = [name for name, path in found.items() if path is None]
    if not missing:
        return
    packages = " ".join(dict.fromkeys(PACKAGES[name] for name in missing if name in PACKAGES))
    advice = [f"apt install {packages}"] if packages else []
    advice += ["make bench-tools"] if TOOLS & set(missing) else []
    raise UsageError(f"not installed: {', '.join(missing)}; install with: {'; '.join(advice)}")


def redis_benchmark() -> str | None:
    """Path of ``redis-benchmark`` or of Valkey's ``valkey-benchmark``; None without both."""
    return shutil.which("redis-benchmark") or shutil.which("valkey-benchmark")


def nginx_program() -> str | None:
    """Path of nginx; None without it."""
    return shutil.which("nginx", path=os.environ.get("PATH", os.defpath) + PLACES)


def pyspy() -> str | None:
    """Path of py-spy, beside this Python or on the path; None without it."""
    return shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")


def last_line(text: str) -> str:
    """The last line of what a program printed, which says why it ended; git says that in a line of its own."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if line.startswith("fatal: ")), lines[-1] if lines else "")
