"""What the tests of upgrades share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.releases import unpack_previous


@pytest.fixture(scope="session")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources of the previous release, without compiled kernels."""
    return unpack_previous(tmp_path_factory.mktemp("previous"))


@pytest.fixture
def sockets() -> Iterator[Path]:
    """The directory of the two APIs' sockets, between which a proxy switches. Its path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="lb-upgrade-") as path:
        yield Path(path)
