"""A test lacks a tool or a server: it is skipped on a person's machine, and fails in CI."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def absent(reason: str) -> NoReturn:
    """Skip, or fail where `CI` is true: there a file of the project should have installed it."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
