"""Kinds of embedded servers, and data directories for them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from support.absent import absent
from support.embedded import installed, sql, start

from ctl.embedded import Prefer

OF_THE_RUN: Final = os.environ.get("LEADERBOARD_TEST_SERVERS", "wheel")
KINDS: Final = [
    pytest.param(kind, marks=() if kind == OF_THE_RUN else pytest.mark.walk) for kind in ("wheel", "system")
]
"""The kind of this run, and among the walks the other one."""


@pytest.fixture(params=KINDS)
def prefer(request: pytest.FixtureRequest) -> Prefer:
    if not installed(request.param):
        absent(f"no {request.param} servers here")
    wanted: Prefer = request.param
    return wanted


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that the servers' user may pass; tmp_path is closed to all but root."""
    directory = Path(tempfile.mkdtemp(prefix="lb-test-"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def initialised() -> Iterator[Callable[[Prefer], Path]]:
    """A data directory with a table ``kept``, made once for each kind of server."""
    with tempfile.TemporaryDirectory(prefix="lb-test-") as directory:
        Path(directory).chmod(0o711)

        def make(prefer: Prefer) -> Path:
            data = Path(directory) / prefer
            if not data.exists():
                with start(data, prefer, redis=False) as servers:
                    sql(servers, "create table kept as select 42 as n")
            return data

        yield make


@pytest.fixture
def data(prefer: Prefer, initialised: Callable[[Prefer], Path]) -> Path:
    """A data directory that holds the table ``kept``; tests share it and leave it whole."""
    return initialised(prefer)
