"""The playbooks on four hosts: database, two with API and relays, proxy. Each test builds on the one before."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from deploy_fleet import fleet
from deploy_host import TOOLS, Host, debian_host, poll
from deploy_load import Load
from deploy_tools import ROOT, need
from deploy_tree import run
from test_ansible import DEADLINE_SECONDS, DRY_DEADLINE_SECONDS, ansible

pytestmark = [pytest.mark.deploy, pytest.mark.full]

NAMES = ("db1", "app1", "app2", "proxy1")
APPS = ("app1", "app2")


@dataclass
class Fleet:
    """The hosts, and how to run a playbook against them."""

    hosts: dict[str, Host]
    home: Path
    wheel: Path
    key: str = field(default="")

    def play(
        self, playbook: str, *options: str, check: bool = True, seconds: float = DEADLINE_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run a playbook with inventory/fleet.yml, where only the addresses are other ones."""
        address = {name: host.address for name, host in self.hosts.items()}
        network = address["db1"].rpartition(".")[0]
        wanted: dict[str, dict[str, Any]] = {name: {"ansible_host": address[name]} for name in NAMES}
        wanted["db1"]["postgres_clients"] = [f"{network}.0/24"]
        for name in APPS:
            wanted[name]["common_bind"] = f"{address[name]}:8080"
        common = {
            "ansible_ssh_private_key_file": str(self.hosts["db1"].key),
            "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
            "redis_overcommit": False,
            # What is installed is a wheel, its kernels compiled.
            "common_compile": False,
            "common_workers": 1,
            "common_relays": 1,
        }
        inventory = self.home / "fleet.json"
        inventory.write_text(json.dumps({"all": {"hosts": wanted, "vars": common}}))
        inventories = ("-i", "inventory/fleet.yml", "-i", str(inventory))
        artifact = () if any("common_artifact" in option for option in options) else self.artifact(self.wheel)
        command = ("ansible-playbook", *inventories, playbook, *artifact, *options)
        return ansible(self.home, *command, check=check, seconds=seconds)

    def walk(self, page: str, *more: str, **words: str) -> str:
        """Run the playbooks a page of docs/ops shows, word for word but for `words`; returns what they printed."""
        printed = ""
        for playbook, *options in commands(page):
            printed += self.play(playbook, *(replaced(option, words) for option in options), *more).stdout
        return printed

    @staticmethod
    def artifact(wheel: Path) -> tuple[str, ...]:
        return ("-e", f"common_artifact={wheel}")

    def load(self, season: str) -> Load:
        if not self.key:
            self.key = made = self.hosts["app1"].ssh("cat /etc/leaderboard/secrets/admin-key").stdout.strip()
            probe = Load(self.hosts["proxy1"].address, made, "probe")
            for _ in APPS:
                poll(
                    lambda: True if probe.ask("POST", "/scores", {"userId": "x", "delta": 1})[0] == 202 else None,
                    "the key",
                    10,
                )
        load = Load(self.hosts["proxy1"].address, self.key, season)
        assert load.ask("POST", "/scores", {"userId": "first", "delta": 1})[0] == 202
        poll(lambda: True if load.ask("GET", "/leaderboard/top?limit=1")[0] == 200 else None, "a board", 10)
        return load

    def releases(self) -> list[str]:
        shown = [self.hosts[name].ssh("basename $(readlink /opt/leaderboard/current)").stdout.strip() for name in APPS]
        running = [
            self.hosts[name].ssh("systemctl cat leaderboard-api | grep X-Release").stdout.strip() for name in APPS
        ]
        assert running == [f"X-Release={name}" for name in shown]
        return shown


def commands(page: str) -> list[list[str]]:
    """The arguments of each `ansible-playbook` in the shell blocks of a page, the inventory left out."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / f"docs/ops/{page}.md").read_text(), re.MULTILINE | re.DOTALL)
    lines = [shlex.split(line) for block in blocks for line in block.splitlines()]
    found = [line[3:] for line in lines if line[:3] == ["ansible-playbook", "-i", "inventory/fleet.yml"]]
    assert found, f"docs/ops/{page}.md shows no playbook"
    return found


def replaced(option: str, words: dict[str, str]) -> str:
    name, equals, value = option.partition("=")
    return name + equals + words.get(value, value)


def counts(output: str) -> dict[str, dict[str, int]]:
    """Ansible's recap, by host."""
    rows = re.findall(r"^(\S+) +: (ok=.*)$", output, re.MULTILINE)
    return {name: {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", row)} for name, row in rows}


def settled(load: Load) -> None:
    """Every accepted point counts once, none more."""
    for number, points in enumerate(load.accepted):
        path = f"/leaderboard/rank?userId=player-{number}"
        poll(lambda path=path, points=points: load.ask("GET", path)[1].get("score") == points or None, path, 15)  # type: ignore[misc]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    need(*TOOLS)
    directory = tmp_path_factory.mktemp("fleet")
    source = directory / "source"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".git", ".venv", "*.so", "build", ".*_cache", "_c.c"))
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", directory / "dist", source)
    (wheel,) = (directory / "dist").glob("*.whl")
    with fleet(directory, NAMES) as hosts:
        made = Fleet(hosts, directory, wheel)
        dry = counts(made.play("site.yml", "--check", seconds=DRY_DEADLINE_SECONDS).stdout)
        assert {name: row["failed"] for name, row in dry.items()} == dict.fromkeys(NAMES, 0)
        assert hosts["app1"].ssh("ls -d /opt/leaderboard /etc/leaderboard 2>/dev/null", check=False).stdout == ""
        made.walk("install")
        yield made


def test_a_second_run_changes_nothing(site: Fleet) -> None:
    done = counts(site.play("site.yml").stdout)
    assert set(done) >= set(NAMES)
    assert {name: row["changed"] for name, row in done.items()} == dict.fromkeys(done, 0)


def test_only_the_proxy_talks_to_the_world(site: Fleet) -> None:
    with site.load("tls") as load:
        pass
    assert not load.failures
    assert load.fetch("/livez")[0] == 200
    assert [load.fetch(path)[0] for path in ("/", "/metrics")] == [404, 404]
    bare = (
        "select count(*) from pg_stat_ssl join pg_stat_activity using (pid) where client_addr is not null and not ssl"
    )
    assert site.hosts["db1"].ssh(f'sudo -u postgres psql -qAtc "{bare}"').stdout.strip() == "0"


def test_a_restart_refuses_no_connection(site: Fleet) -> None:
    with site.load("restart") as load:
        for name in (*APPS, *APPS):
            site.hosts[name].ssh("systemctl restart leaderboard-api")
    refused = [failure for failure in load.failures if "502" in failure or "Refused" in failure]
    assert not refused
    assert sum(load.accepted) > 20


def test_a_rolling_upgrade_under_load_fails_no_request(site: Fleet) -> None:
    before = site.releases()
    with site.load("upgrade") as load:
        site.walk("upgrade", "-e", "common_release=next")
    assert load.failures == []
    assert sum(load.accepted) > 50 and load.reads > 20
    assert (before, site.releases()) == (["0.1.0"] * 2, ["next"] * 2)
    settled(load)


def test_a_release_that_does_not_start_stops_the_roll_out(site: Fleet, tmp_path: Path) -> None:
    broken = tmp_path / site.wheel.name
    with zipfile.ZipFile(site.wheel) as whole, zipfile.ZipFile(broken, "w") as part:
        for name in whole.namelist():
            text = whole.read(name)
            part.writestr(
                name, text + b"\nraise RuntimeError('does not start')\n" if name == "service/app.py" else text
            )
    options = ("-e", "common_release=broken", "-e", "api_ready_seconds=3", "-e", "common_log_level=debug")
    with site.load("broken") as load:
        done = site.play("deploy.yml", *site.artifact(broken), *options, check=False)
    assert done.returncode != 0
    assert "broken did not start on app1" in done.stdout
    assert load.failures == []
    assert site.releases() == ["next"] * 2
    assert 'LOG_LEVEL="info"' in site.hosts["app1"].ssh("cat /etc/leaderboard/leaderboard.env").stdout
    assert site.hosts["app2"].ssh("systemctl show leaderboard-api -p NRestarts --value").stdout.strip() == "0"
    settled(load)


def test_rollback_under_load(site: Fleet) -> None:
    with site.load("rollback") as load:
        site.walk("rollback")
    assert load.failures == []
    assert site.releases() == ["0.1.0"] * 2
    settled(load)


def test_relays_are_scaled_without_touching_the_api(site: Fleet) -> None:
    command = "systemctl show leaderboard-api -p MainPID --value"
    before = [site.hosts[name].ssh(command).stdout for name in APPS]
    site.walk("scale")
    assert [site.hosts[name].ssh(command).stdout for name in APPS] == before
    for name in APPS:
        assert site.hosts[name].ssh("pgrep -fc 'relay carry'").stdout.strip() == "2"


def test_status_shows_every_host(site: Fleet) -> None:
    shown = site.play("status.yml").stdout
    assert shown.count('"release": "0.1.0"') == 2
    assert shown.count('"api": "active"') == 2
    assert shown.count('"relay": "active"') == 2


def test_the_boards_are_what_postgresql_holds(site: Fleet) -> None:
    assert site.hosts["app2"].ssh("leaderboard verify").returncode == 0
    for host in site.hosts.values():
        assert host.ssh("systemctl --failed --plain --no-legend").stdout == ""


def test_a_backup_is_restored_onto_an_empty_host(site: Fleet, tmp_path: Path) -> None:
    with site.load("kept") as load:
        site.walk("backup", "-e", f"backup_fetch={tmp_path}")
    (dump,) = tmp_path.glob("*.dump")
    with debian_host(tmp_path) as host:
        alone = {
            "ansible_host": host.address,
            "ansible_ssh_private_key_file": str(host.key),
            "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
            "redis_overcommit": False,
            "common_compile": False,
        }
        inventory = tmp_path / "alone.json"
        inventory.write_text(json.dumps({"all": {"hosts": {"leaderboard": alone}}}))
        inventories = ("-i", "inventory/single-host.yml", "-i", str(inventory))
        ansible(site.home, "ansible-playbook", *inventories, "site.yml", *site.artifact(site.wheel))
        (shown,) = [line for line in commands("restore") if "restore_file=DUMP" in line]
        playbook, *options = shown
        given = [replaced(option, {"DUMP": str(dump)}) for option in options]
        ansible(site.home, "ansible-playbook", *inventories, playbook, *given)
        # What was restored is not replaced by mistake.
        again = ansible(site.home, "ansible-playbook", *inventories, playbook, *given, check=False)
        assert again.returncode != 0
        assert "restore_replace=true" in again.stdout
        assert host.ssh("leaderboard verify").returncode == 0
        # The key is as good as it was where it was made.
        url = "http://127.0.0.1:8080/v1/seasons/kept/leaderboard/top?limit=5"
        code = (
            f"from urllib.request import *; r = Request({url!r}, headers={{'Authorization': 'Bearer {site.key}'}}); "
            "print(urlopen(r, timeout=5).read().decode())"
        )
        board = host.ssh(f"python3 -c {shlex.quote(code)}").stdout
        assert '"first"' in board
        assert load.failures == []


def test_an_uninstalled_host_keeps_nothing(site: Fleet) -> None:
    (block,) = re.findall(r"^```sh\n(.*?)^```", (ROOT / "docs/ops/uninstall.md").read_text(), re.MULTILINE | re.DOTALL)
    host = site.hosts["app2"]
    host.ssh(block)
    files = "/opt/leaderboard /etc/leaderboard /etc/systemd/system/leaderboard-*"
    left = f"ls -d {files} 2>/dev/null; id leaderboard 2>/dev/null"
    assert host.ssh(left, check=False).stdout == ""
