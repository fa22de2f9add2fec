"""Marks of parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def walks(*values: Any) -> list[Any]:
    """Further values of a parameter, which only `make test-walks` tries."""
    several = [value if isinstance(value, tuple) else (value,) for value in values]
    return [pytest.param(*value, marks=pytest.mark.walk) for value in several]


def thinned(values: Iterable[Any], every: int) -> list[Any]:
    """Values of a parameter that are alike: each `every`-th in the suite, all others in `make test-walks`."""
    several = [value if isinstance(value, tuple) else (value,) for value in values]
    marks = [() if at % every == 0 else pytest.mark.walk for at in range(len(several))]
    return [pytest.param(*value, marks=mark) for value, mark in zip(several, marks, strict=True)]
