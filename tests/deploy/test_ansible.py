"""The playbook on a real Debian 12 host with systemd: installed, run again, used, upgraded, rebooted."""

from __future__ import annotations

import json
import shlex
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deploy.host import TOOLS, debian_host, poll
from deploy.playbook import (
    ANSIBLE,
    DRY_DEADLINE_SECONDS,
    SECRET_FILES,
    Site,
    ansible,
    checkout,
)
from deploy.tools import need, tool

pytestmark = pytest.mark.deploy


def test_lint_passes_the_production_profile_with_nothing_skipped(tmp_path: Path) -> None:
    assert "skip_list: []" in (ANSIBLE / ".ansible-lint").read_text()
    assert not [path for path in ANSIBLE.rglob("*.yml") if "noqa" in path.read_text()]
    done = ansible(tmp_path, "ansible-lint", "--nocolor")
    assert "Profile 'production' was required, and it passed." in done.stdout + done.stderr


def test_syntax(tmp_path: Path) -> None:
    ansible(tmp_path, "ansible-playbook", "--syntax-check", "site.yml")


@pytest.fixture(scope="module")
def new_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    need(*TOOLS)
    tool("ansible-playbook", "ansible")
    directory = tmp_path_factory.mktemp("host")
    source = checkout(directory)
    with debian_host(directory) as host:
        yield Site(host, directory, source)


OLD_SYSTEM = "sed -i 's/12/11/; s/bookworm/bullseye/' /etc/os-release; echo 11.9 > /etc/debian_version"
NEW_SYSTEM = "sed -i 's/12/99/; s/bookworm/forky/' /etc/os-release; echo 99.0 > /etc/debian_version"
OTHER_MAJOR = "mkdir -p /etc/postgresql/14/main"
# Packages, users, and the files that are not the business of the host's own timers.
FILES = "find /etc /opt /usr/local /usr/lib/systemd -type f -printf '%p %s %T@\\n' | sort"
EVERYTHING = f"dpkg-query -W | sort; cat /etc/passwd; {FILES}"
BAD_INPUT = {
    "a wrong variable": ("", {"common_workers": "many"}, "unable to convert to int"),
    "too little disk": ("", {"common_disk_free_mib": 10**9}, "MiB are free for /opt/leaderboard: less than"),
    "another major version": (OTHER_MAJOR, {}, "has PostgreSQL 14, and postgres_version is 15. Set"),
    "an unsupported system": (OLD_SYSTEM, {}, "Debian 12, Ubuntu 24.04 and later ones"),
    "an unknown newer system": (NEW_SYSTEM, {}, "Set postgres_version to its major version"),
    "a password that is none": ("", {"postgres_password": "with space"}, "may hold letters, digits"),
}


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_stops_before_anything_is_changed(new_host: Site, name: str) -> None:
    prepared, variables, said = BAD_INPUT[name]
    before = new_host.host.ssh(EVERYTHING).stdout
    new_host.host.ssh("cp -a /etc/os-release /etc/debian_version /root/")
    new_host.host.ssh(prepared or "true")
    done = new_host.run("-e", json.dumps(variables), check=False)
    new_host.host.ssh("cp -a /root/os-release /root/debian_version /etc/; rm -r /root/os-release /root/debian_version")
    new_host.host.ssh("rm -rf /etc/postgresql")
    assert done.returncode != 0
    assert said in done.stdout
    assert " changed=0 " in done.stdout
    assert new_host.host.ssh(EVERYTHING).stdout == before


def test_secrets_that_cannot_be_read_stop_before_anything_is_changed(new_host: Site, tmp_path: Path) -> None:
    before = new_host.host.ssh(EVERYTHING).stdout
    vault, password = tmp_path / "vault.yml", tmp_path / "password"
    shutil.copy(ANSIBLE / "vault.example.yml", vault)
    password.write_text("long-and-secret\n")
    ansible(tmp_path, "ansible-vault", "encrypt", "--vault-password-file", str(password), str(vault))
    done = new_host.run("-e", f"@{vault}", check=False)
    assert done.returncode != 0
    assert "no vault secrets" in done.stdout + done.stderr
    assert new_host.host.ssh(EVERYTHING).stdout == before


@pytest.fixture(scope="module")
def site(new_host: Site) -> Site:
    """The host with the playbook run once, after a dry run that must not have touched it."""
    # An image for the cloud comes without lists of packages, and is older than this hour.
    new_host.host.ssh("rm -rf /var/lib/apt/lists/*; touch -d 2026-01-01 /var/lib/apt/lists")
    dry = new_host.play("--check", seconds=DRY_DEADLINE_SECONDS)
    assert dry["failed"] == 0
    assert dry["changed"] > 0
    assert not [path for path in ("opt/leaderboard", "etc/leaderboard") if (new_host.host.root / path).exists()]
    first = new_host.play()
    assert first["changed"] > 0
    return new_host


def test_a_second_run_changes_nothing(site: Site) -> None:
    assert site.play()["changed"] == 0


def test_a_dry_run_of_an_installed_host_predicts_nothing(site: Site) -> None:
    assert site.play("--check", "--diff")["changed"] == 0


def test_a_dry_run_shows_new_settings_without_applying_them(site: Site) -> None:
    before = site.host.ssh("cat /etc/leaderboard/leaderboard.env").stdout
    assert site.play("--check", "-e", "common_log_level=debug")["changed"] > 0
    assert site.host.ssh("cat /etc/leaderboard/leaderboard.env").stdout == before


def test_a_score_becomes_a_rank(site: Site) -> None:
    for user, delta in (("ada", 30), ("bob", 20), ("ada", 5)):
        status, answer = site.get("/v1/seasons/s1/scores", {"userId": user, "delta": delta})
        assert (status, answer.get("queued")) == (202, True)
    assert (site.rank("ada", 35), site.rank("bob", 20)) == (1, 2)
    assert site.host.ssh("leaderboard verify").returncode == 0


def test_the_kernels_are_compiled_on_the_host(site: Site) -> None:
    site.host.ssh("/opt/leaderboard/current/bin/python -c 'import _speedups._c'")


def test_secrets_are_kept(site: Site) -> None:
    stat = site.host.ssh(f"stat -c '%a %U:%G' {' '.join(SECRET_FILES)} /etc/leaderboard/leaderboard.env").stdout
    assert stat.splitlines() == [*["600 root:root"] * 3, "640 root:leaderboard"]
    # The first key is the playbook's: none was made by the first start, for the journal to keep.
    assert "lb_" not in site.host.ssh("journalctl --no-pager -u leaderboard-api").stdout
    (only,) = site.get("/v1/keys")[1]["keys"]
    assert only["name"] == "ansible"
    assert "NOAUTH" in site.host.ssh("redis-cli ping", check=False).stdout
    for port in (5432, 6379):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((site.host.address, port), timeout=5)
    owner = "select rolsuper or rolcreaterole or rolcreatedb from pg_roles where rolname = 'leaderboard'"
    assert site.host.ssh(f'sudo -u postgres psql -qAtc "{owner}"').stdout.strip() == "f"


def test_redis_has_huge_pages(site: Site) -> None:
    ask = "REDISCLI_AUTH=$(cat /etc/leaderboard/secrets/redis-password) redis-cli config get disable-thp"
    assert site.host.ssh(ask).stdout.split() == ["disable-thp", "no"]
    # Not from /proc: Redis writes its title over its environment.
    shown = site.host.ssh("systemctl show redis-server -p Environment -p NeedDaemonReload").stdout
    assert "MALLOC_CONF=thp:always" in shown and "NeedDaemonReload=no" in shown


@pytest.mark.parametrize("unit", ["leaderboard-api", "leaderboard-relay"])
def test_units_are_sandboxed(site: Site, unit: str) -> None:
    shown = site.host.ssh(f"systemctl show {unit} -p User -p NoNewPrivileges -p ProtectSystem -p CapabilityBoundingSet")
    assert set(shown.stdout.splitlines()) == {
        "User=leaderboard",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "CapabilityBoundingSet=",
    }
    # systemd's own measure, from 0 (nothing allowed) to 100.
    site.host.ssh(f"systemd-analyze security --threshold=20 {unit}")


def test_systemd_finds_nothing_to_say_about_the_units(site: Site) -> None:
    # Its exit status is 0 even for keys that it does not know.
    done = site.host.ssh("systemd-analyze verify /etc/systemd/system/leaderboard-*.{service,socket,timer} 2>&1")
    assert done.stdout == ""
    site.host.ssh("systemd-analyze security --threshold=20 leaderboard-backup")


def test_a_service_that_hangs_is_started_anew(site: Site) -> None:
    for unit in ("leaderboard-api", "leaderboard-relay"):
        assert site.host.ssh(f"systemctl show {unit} -p WatchdogUSec --value").stdout.strip() == "30s"
        impatient = f"/run/systemd/system/{unit}.service.d"
        site.host.ssh(f"mkdir -p {impatient}; printf '[Service]\\nWatchdogSec=4\\n' > {impatient}/impatient.conf")
        site.host.ssh(f"systemctl daemon-reload; systemctl restart {unit}")
    command = "systemctl show leaderboard-api leaderboard-relay -p MainPID --value"
    first = site.host.ssh(command).stdout.split()
    signs = "systemctl show leaderboard-api leaderboard-relay -p WatchdogTimestampMonotonic --value"

    def latest() -> list[int]:
        return [int(word) for word in site.host.ssh(signs).stdout.split()]

    begun = latest()
    # Longer than the period: what gives its signs is left alone.
    later = [then + 5_000_000 for then in begun]
    poll(lambda: True if all(map(int.__ge__, latest(), later)) else None, "signs of life", 30)
    assert site.host.ssh(command).stdout.split() == first
    site.host.ssh(f"kill -STOP {' '.join(first)}")
    poll(lambda: None if set(site.host.ssh(command).stdout.split()) & {*first, "0"} else True, "two fresh services", 30)
    poll(lambda: True if site.get("/readyz")[0] == 200 else None, "the API after it hung", 30)
    site.host.ssh("rm -r /run/systemd/system/leaderboard-*.service.d; systemctl daemon-reload")


def test_the_doctor_finds_nothing_to_heal(site: Site) -> None:
    timers = site.host.ssh("systemctl list-timers --plain --no-legend 'leaderboard-*'").stdout
    assert {word for word in timers.split() if word.endswith(".timer")} == {
        "leaderboard-backup.timer",
        "leaderboard-doctor.timer",
    }
    site.host.ssh("systemctl start leaderboard-doctor.service")
    assert "schema" in site.host.ssh("journalctl --no-pager -u leaderboard-doctor").stdout


def test_prometheus_sees_both_services_and_knows_the_alerts(site: Site) -> None:
    code = "import sys; from urllib.request import urlopen; print(urlopen(sys.argv[1]).read().decode())"

    def ask(path: str) -> Any:
        return json.loads(site.host.ssh(f"python3 -c {shlex.quote(code)} http://127.0.0.1:9090/api/v1/{path}").stdout)[
            "data"
        ]

    def up() -> bool | None:
        found = {row["metric"]["job"]: row["value"][1] for row in ask("query?query=up")["result"]}
        return True if found == {"leaderboard-api": "1", "leaderboard-relay": "1"} else None

    poll(up, "both services in Prometheus", 60)
    poll(lambda: ask("query?query=leaderboard_build_info")["result"] or None, "a metric of ours", 60)
    names = {rule["name"] for group in ask("rules")["groups"] for rule in group["rules"] if rule["type"] == "alerting"}
    assert len(names) > 5
    assert not [alert for alert in ask("alerts")["alerts"] if alert["state"] == "firing"]


def test_another_release_is_installed_beside_the_old_one_and_started(site: Site) -> None:
    command = "systemctl show leaderboard-api leaderboard-relay -p MainPID --value"
    before = site.host.ssh(command).stdout.split()
    new = ("-e", "common_release=next", "-e", "common_log_level=debug")
    assert site.play(*new)["changed"] > 0
    after = site.host.ssh(command).stdout.split()
    assert len(after) == 2
    assert not set(after) & set(before)
    assert site.host.ssh("readlink /opt/leaderboard/current").stdout.strip().endswith("/next")
    assert len(site.host.ssh("ls /opt/leaderboard/releases").stdout.split()) == 2
    # Nothing is left to do but what is asked for now.
    assert site.play(*new, "-e", "common_keep_releases=1")["changed"] == 1
    assert site.host.ssh("ls /opt/leaderboard/releases").stdout.split() == ["next"]


def test_everything_is_back_after_a_reboot(site: Site) -> None:
    status, _ = site.get("/v1/seasons/s1/scores", {"userId": "eve", "delta": 70})
    assert status == 202
    site.host.reboot()
    poll(lambda: True if site.get("/readyz")[0] == 200 else None, "the API after a reboot")
    assert site.rank("eve", 70) == 1
    status, _ = site.get("/v1/seasons/s1/scores", {"userId": "eve", "delta": 1})
    assert status == 202
    assert site.rank("eve", 71) == 1
    assert site.host.ssh("systemctl --failed --plain --no-legend").stdout == ""
