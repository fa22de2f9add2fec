"""The playbook ended by Ctrl-C at every change that it makes, one after the other, on a fresh host."""

from __future__ import annotations

from pathlib import Path

import pytest
from deploy.host import TOOLS, debian_host
from deploy.playbook import Site, checkout
from deploy.tools import need

pytestmark = [pytest.mark.deploy, pytest.mark.full]

# The release is made anew after an interruption: a run that ends within its making comes no further than the last one.
ANY_CHANGE = r"(?!common : (Remove what an interrupted|Make the directory of the release|Make a directory to build"
ANY_CHANGE += r"|Install the build tool|Build$|Copy the|Install what it|Install the artifact)).*"
RUNS_MOST = 120


def test_a_host_whose_installation_ends_at_every_change_is_healthy(tmp_path: Path) -> None:
    need(*TOOLS)
    source = checkout(tmp_path)
    with debian_host(tmp_path) as host:
        site = Site(host, tmp_path, source)
        met: list[str] = []
        while reached := site.interrupted(ANY_CHANGE):
            met += reached
            assert len(met) < RUNS_MOST, met
        assert len(met) > 30
        assert site.play()["changed"] == 0
        for user, delta in (("ada", 30), ("bob", 20)):
            assert site.get("/v1/seasons/s1/scores", {"userId": user, "delta": delta})[0] == 202
        assert (site.rank("ada", 30), site.rank("bob", 20)) == (1, 2)
        assert site.tls("/readyz")[0] == 200
        assert "NOAUTH" in host.ssh("redis-cli ping", check=False).stdout
        assert host.ssh("sudo -u postgres psql -qAtc 'show wal_compression'").stdout.strip() == "lz4"
        assert host.ssh("leaderboard verify").returncode == 0
        assert host.ssh("systemctl --failed --plain --no-legend").stdout == ""
