"""Both implementations of the kernels."""

from __future__ import annotations

from typing import Any

import pytest
from support.kernels import load


@pytest.fixture(scope="module", params=["python", "c"])
def impl(request: pytest.FixtureRequest) -> Any:
    """Each of the two."""
    return load(request.param)


@pytest.fixture(scope="module")
def compiled() -> Any:
    """The compiled one."""
    return load("c")
