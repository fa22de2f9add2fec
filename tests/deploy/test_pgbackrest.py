"""Role backup with pgBackRest: the cluster is lost, and comes back with what was submitted after the backup."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from deploy.host import debian_host, poll
from deploy.pages import SHOWN_BY_PGBACKREST
from deploy.playbook import SECRETS, Site, checkout, commands

pytestmark = [pytest.mark.deploy, pytest.mark.full]

METHOD = ("-e", "backup_method=pgbackrest")


@dataclass(frozen=True)
class Kept:
    """The host, and what its players did before and after its backup."""

    site: Site

    def submit(self, user: str, points: int) -> None:
        status, _ = self.site.get("/v1/seasons/s1/scores", {"userId": user, "delta": points})
        assert status == 202

    def sql(self, statement: str) -> str:
        return self.site.host.ssh(f"sudo -u postgres psql -qAtXc {shlex.quote(statement)}").stdout.strip()

    def archived(self) -> None:
        """Wait until all that was committed is in the repository."""
        segment = self.sql("select pg_walfile_name(pg_switch_wal())")
        last = f"select last_archived_wal >= '{segment}' from pg_stat_archiver"
        poll(lambda: True if self.sql(last) == "t" else None, "the write-ahead log in the repository", 60)

    def restore(self, *options: str) -> str:
        """What docs/ops/restore.md shows for the repository, with further options."""
        (shown,) = [line for line in commands("restore") if "restore_repository=true" in line]
        playbook, *given = shown
        return self.site.run(*given, *METHOD, *options, playbook=playbook).stdout

    def sound(self) -> None:
        poll(lambda: True if self.site.get("/readyz")[0] == 200 else None, "the API", 30)
        assert self.site.host.ssh("leaderboard verify").returncode == 0
        assert self.site.host.ssh("systemctl --failed --plain --no-legend").stdout == ""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    directory = tmp_path_factory.mktemp("pgbackrest")
    source = checkout(directory)
    with debian_host(directory) as host:
        site = Site(host, directory, source)
        site.play(*METHOD)
        yield Kept(site)


def test_a_second_run_changes_nothing(kept: Kept) -> None:
    assert kept.site.play(*METHOD)["changed"] == 0
    assert kept.site.play("--check", *METHOD)["changed"] == 0


def test_the_timer_makes_a_full_backup_and_then_what_changed(kept: Kept) -> None:
    kept.submit("ada", 30)
    assert "full backup" in kept.site.run(*METHOD, playbook="backup.yml").stdout
    assert "full backup" in kept.site.host.ssh(SHOWN_BY_PGBACKREST).stdout
    wanted = "full" if kept.site.host.ssh("LC_ALL=C date +%a").stdout.strip() == "Sun" else "diff"
    kept.site.host.ssh("systemctl start leaderboard-backup.service")
    shown = kept.site.host.ssh("sudo -u postgres pgbackrest --log-level-console=warn --output=json info").stdout
    (stanza,) = json.loads(shown)
    assert [backup["type"] for backup in stanza["backup"]] == ["full", wanted]
    assert kept.site.host.ssh("stat -c '%a %U' /var/lib/pgbackrest").stdout.strip() == "700 postgres"
    assert "leaderboard-backup.timer" in kept.site.host.ssh("systemctl list-timers --plain --no-legend").stdout
    kept.site.host.ssh("systemd-analyze security --threshold=20 leaderboard-backup")


def test_a_lost_cluster_comes_back_with_what_came_after_the_backup(kept: Kept) -> None:
    kept.submit("bob", 20)
    kept.submit("ada", 5)
    kept.archived()
    assert (kept.site.rank("ada", 35), kept.site.rank("bob", 20)) == (1, 2)
    # The disk is lost, and a new one has an empty cluster; Redis still shows the boards of the old one.
    services = "leaderboard-api.socket leaderboard-api leaderboard-relay postgresql@15-main"
    kept.site.host.ssh(f"systemctl stop {services}; pg_dropcluster 15 main; pg_createcluster 15 main")
    assert "has the backups of another cluster" in kept.site.run(*METHOD).stdout
    kept.restore()
    kept.sound()
    # The key of the lost cluster works again, and was not overwritten by that of the empty one.
    assert kept.site.key in kept.site.host.ssh(f"cat {SECRETS}/admin-key.*~").stdout
    assert (kept.site.rank("ada", 35), kept.site.rank("bob", 20)) == (1, 2)
    # What it goes on with is kept as well.
    kept.submit("eve", 70)
    assert kept.site.rank("eve", 70) == 1
    kept.archived()
    assert kept.site.play(*METHOD)["changed"] == 0


def test_scores_are_replaced_only_where_that_is_wanted(kept: Kept) -> None:
    before = kept.sql("select pg_postmaster_start_time()")
    done = kept.site.run(*METHOD, "-e", "restore_repository=true", playbook="restore.yml", check=False)
    assert done.returncode != 0
    assert "restore_replace=true" in done.stdout
    assert kept.sql("select pg_postmaster_start_time()") == before


def test_a_restore_to_a_moment(kept: Kept) -> None:
    moment = kept.sql("select clock_timestamp()")
    kept.submit("mallory", 1000)
    assert kept.site.rank("mallory", 1000) == 1
    kept.archived()
    kept.restore("-e", "restore_replace=true", "-e", json.dumps({"restore_target_time": moment}))
    kept.sound()
    assert (kept.site.rank("eve", 70), kept.site.rank("ada", 35)) == (1, 2)
    assert kept.site.get("/v1/seasons/s1/leaderboard/rank?userId=mallory")[0] == 404


def test_a_dump_loads_into_such_a_cluster_too(kept: Kept, tmp_path: Path) -> None:
    kept.submit("dan", 90)
    assert kept.site.rank("dan", 90) == 1
    kept.site.host.ssh("sudo -u postgres pg_dump --format=custom --file=/var/tmp/board.dump leaderboard")
    dump = shutil.copy(kept.site.host.root / "var/tmp/board.dump", tmp_path / "board.dump")
    kept.submit("mallory", 2000)
    assert kept.site.rank("mallory", 2000) == 1
    given = ("-e", f"restore_file={dump}", "-e", "restore_replace=true")
    kept.site.run(*METHOD, *given, playbook="restore.yml")
    kept.sound()
    assert kept.site.rank("dan", 90) == 1
    assert kept.site.get("/v1/seasons/s1/leaderboard/rank?userId=mallory")[0] == 404
