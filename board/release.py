"""The installed release."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final


def read_release() -> str:
    """The installed version of the distribution."""
    try:
        return version("leaderboard-server")
    except PackageNotFoundError:
        return "0"


RELEASE: Final = read_release()
