"""A house of its own for every test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.house import House
from support.world import private

from ctl.embedded import Prefer


@pytest.fixture
def house(prefer_servers: Prefer) -> Iterator[House]:
    """A data directory that the servers' user may pass; tmp_path is closed to all but root."""
    directory = private(Path(tempfile.mkdtemp(prefix="lb-test-")))
    yield House(directory, prefer_servers)
    shutil.rmtree(directory)
