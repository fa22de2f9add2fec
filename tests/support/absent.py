"""What a test needs and does not find: a reason to skip on a person's machine, a failure in CI."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def absent(reason: str) -> NoReturn:
    """Skip, or fail where `CI` is true: there a file of the project should have installed it."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
