"""Marks of parameters."""

from __future__ import annotations

from typing import Any

import pytest


def walks(*values: Any) -> list[Any]:
    """Further values of a parameter, which only `make test-walks` tries."""
    several = [value if isinstance(value, tuple) else (value,) for value in values]
    return [pytest.param(*value, marks=pytest.mark.walk) for value in several]
