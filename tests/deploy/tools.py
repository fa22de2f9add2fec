"""Finds the tools of the deploy tests: a missing one skips the test, and fails it in CI."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from deploy.tree import missing
from support.absent import absent

ROOT = Path(__file__).resolve().parents[2]


def tool(name: str, package: str) -> str:
    """Path of a command, looked for beside this Python too."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        absent(f"{name} is not installed (pip install {package})")
    return str(found)


def need(*names: str) -> None:
    """Skip or fail unless these system tools are there and this is root."""
    if lacking := missing(*names):
        absent(f"missing: {', '.join(lacking)}")
