"""The playbooks on four hosts: database, two with API and relays, proxy; another joins. Tests build on each other."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import ssl
import subprocess
import sys
import tomllib
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from deploy.fleet import fleet
from deploy.host import TOOLS, Host, debian_host, poll
from deploy.load import Load
from deploy.playbook import DEADLINE_SECONDS, DRY_DEADLINE_SECONDS, SECRETS, ansible, commands, left_over, listing
from deploy.tools import ROOT, need
from deploy.tree import run

pytestmark = [pytest.mark.deploy, pytest.mark.full]

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
NAMES = ("db1", "app1", "app2", "proxy1")
APPS = ("app1", "app2")
# Boots with the others, and is in no inventory until it is wanted.
LATER = "app3"
# Ports that every host on the network reaches, apart from ssh.
OPEN = {"db1": {5432, 6379}, "app1": {8080, 9464, 9465}, "app2": {8080, 9464, 9465}, "proxy1": {443}}
ALERT_SECONDS = 300.0


@dataclass
class Fleet:
    """The hosts, and how to run a playbook against them."""

    hosts: dict[str, Host]
    home: Path
    wheel: Path
    key: str = field(default="")
    apps: tuple[str, ...] = APPS
    before: dict[str, set[str]] = field(default_factory=dict)
    """Every path on each host before a playbook ran."""

    def play(
        self, playbook: str, *options: str, check: bool = True, seconds: float = DEADLINE_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run a playbook with inventory/fleet.yml, where only the addresses are other ones."""
        address = {name: host.address for name, host in self.hosts.items()}
        network = address["db1"].rpartition(".")[0]
        names = {*NAMES, *self.apps}
        wanted: dict[str, dict[str, Any]] = {name: {"ansible_host": address[name]} for name in sorted(names)}
        wanted["db1"]["postgres_clients"] = [f"{network}.0/24"]
        for name in self.apps:
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
        groups = {group: {"hosts": {name: {} for name in self.apps}} for group in ("api", "relay")}
        inventory.write_text(json.dumps({"all": {"hosts": wanted, "vars": common, "children": groups}}))
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

    def load(self, season: str, boards: bool = True) -> Load:
        """Players for a season without players; without `boards` they submit only."""
        if not self.key:
            self.key = made = self.hosts["app1"].ssh("cat /etc/leaderboard/secrets/admin-key").stdout.strip()
            probe = Load(self.hosts["proxy1"].address, made, "probe")
            for _ in APPS:
                poll(
                    lambda: True if probe.ask("POST", "/scores", {"userId": "x", "delta": 1})[0] == 202 else None,
                    "the key",
                    10,
                )
        load = Load(self.hosts["proxy1"].address, self.key, season, readers=1 if boards else 0)
        assert load.ask("POST", "/scores", {"userId": "first", "delta": 1})[0] == 202
        if boards:
            poll(lambda: True if load.ask("GET", "/leaderboard/top?limit=1")[0] == 200 else None, "a board", 10)
        return load

    def secrets(self) -> dict[str, str]:
        """Everything that was made to be kept secret."""
        db1, app1 = self.hosts["db1"], self.hosts["app1"]
        found = {name: db1.ssh(f"cat {SECRETS}/{name}").stdout for name in ("postgres-password", "redis-password")}
        found |= {"admin-key": app1.ssh(f"cat {SECRETS}/admin-key").stdout}
        return {name: value.strip() for name, value in found.items()}

    def prometheus(self, path: str) -> Any:
        """The data of an answer of Prometheus, asked where it listens."""
        code = "import sys; from urllib.request import urlopen; print(urlopen(sys.argv[1], timeout=5).read().decode())"
        url = f"http://127.0.0.1:9090/api/v1/{path}"
        return json.loads(self.hosts["proxy1"].ssh(f"python3 -c {shlex.quote(code)} {url}").stdout)["data"]

    def up(self) -> dict[tuple[str, str], str]:
        """What Prometheus asks: "1" for each host and job that answers."""
        rows = self.prometheus("query?query=up")["result"]
        return {(row["metric"]["host"], row["metric"]["job"]): row["value"][1] for row in rows}

    def firing(self) -> set[str]:
        """Names of the alerts that fire."""
        alerts = self.prometheus("alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def releases(self) -> list[str]:
        shown = [self.hosts[name].ssh("basename $(readlink /opt/leaderboard/current)").stdout.strip() for name in APPS]
        running = [
            self.hosts[name].ssh("systemctl cat leaderboard-api | grep X-Release").stdout.strip() for name in APPS
        ]
        assert running == [f"X-Release={name}" for name in shown]
        return shown


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
    with fleet(directory, (*NAMES, LATER)) as hosts:
        made = Fleet(hosts, directory, wheel)
        made.before |= {name: listing(host) for name, host in hosts.items()}
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


def test_a_stranger_on_the_network_gets_nowhere(site: Fleet) -> None:
    """This machine is on the hosts' bridge. What docs/ops/secure.md says of each port, tried."""
    for name, wanted in OPEN.items():
        lines = site.hosts[name].ssh("ss -Htln").stdout.splitlines()
        addresses = [line.split()[3].rpartition(":") for line in lines]
        far = {int(port) for host, _, port in addresses if host != "[::1]" and not host.startswith("127.")}
        assert far - {22} == wanted, name
    address, password = site.hosts["db1"].address, site.secrets()["postgres-password"]

    def session(**options: str) -> psycopg.Connection[Any]:
        given: dict[str, Any] = {"user": "leaderboard", "dbname": "leaderboard", "password": password} | options
        return psycopg.connect(host=address, connect_timeout=5, **given)

    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        session(sslmode="disable")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        session(sslmode="require", password="wrong")
    with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"):
        session(sslmode="require", user="postgres")
    with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"):
        session(sslmode="require", dbname="postgres")
    # The rule is what refused, not the address: the right password is let in.
    with session(sslmode="require") as allowed:
        assert allowed.execute("SELECT count(*) FROM season").fetchone() is not None
    for credentials in ({}, {"password": "wrong"}):
        with redis.Redis(address, socket_timeout=5, **credentials) as client, pytest.raises(redis.AuthenticationError):
            client.ping()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for name in APPS:
        with pytest.raises(urllib.request.HTTPError) as refused:
            opener.open(f"http://{site.hosts[name].address}:8080/v1/seasons/tls/leaderboard/top", timeout=5)
        assert refused.value.code == 401
        refused.value.close()


def test_secrets_are_for_root_only(site: Fleet) -> None:
    """Nobody without rights finds a password or the key: not in a file, not in what is running, not in a log."""
    secrets = site.secrets()
    assert all(len(value) > 20 for value in secrets.values())
    places = "/etc /opt /run /tmp /usr/local /var /proc/[0-9]*/cmdline /proc/[0-9]*/environ"
    search = f"grep -rlaF -D skip -f - {places} 2>/dev/null"
    for name in NAMES:
        host = site.hosts[name]
        # What is looked for is handed over by root, open: on a command line it would find itself.
        patterns = host.root / "root/patterns"
        patterns.touch(0o600)
        patterns.write_text("".join(f"{value}\n" for value in secrets.values()))
        found = host.ssh(f"runuser -u nobody -- sh -c {shlex.quote(search)} </root/patterns", check=False)
        # Status 2: something could not be read.
        assert (found.returncode, found.stdout) == (2, ""), name
        logged = host.ssh("journalctl --no-pager -o cat | grep -cF -f /root/patterns", check=False)
        assert logged.stdout.strip() == "0", name
        modes = host.ssh(f"find {SECRETS} -type f -exec stat -c '%a %U' {{}} + 2>/dev/null", check=False).stdout
        assert set(modes.splitlines()) <= {"600 root"}, name
    # The search would have found them: root sees with it what nobody does not.
    seen = site.hosts["db1"].ssh(f"sh -c {shlex.quote(search)} </root/patterns", check=False).stdout.splitlines()
    assert {f"{SECRETS}/postgres-password", f"{SECRETS}/redis-password"} <= set(seen)
    for name in NAMES:
        site.hosts[name].ssh("rm /root/patterns")


def test_a_given_certificate_is_shown_and_a_flood_is_refused(site: Fleet, tmp_path: Path) -> None:
    certificate, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30")
    run("openssl", "req", "-x509", *curve, "-subj", "/CN=scores.test", "-keyout", key, "-out", certificate)
    proxy = site.hosts["proxy1"].address
    given = ("-e", f"proxy_tls_certificate={certificate}", "-e", f"proxy_tls_key={key}")
    with site.load("flood") as load:
        site.play("site.yml", *given, "-e", "proxy_rate=1", "-e", "proxy_burst=20")
    assert ssl.get_server_certificate((proxy, 443)).strip() == certificate.read_text().strip()
    statuses = [load.fetch("/readyz")[0] for _ in range(60)]
    assert set(statuses) == {200, 429}
    assert statuses.count(200) < 40
    assert not [failure for failure in load.failures if " 429 " not in failure]
    # Limits back as they were, and what was installed stays: no other pair is made in its place.
    site.play("site.yml")
    assert ssl.get_server_certificate((proxy, 443)).strip() == certificate.read_text().strip()
    assert {load.fetch("/readyz")[0] for _ in range(60)} == {200}
    settled(load)


def test_prometheus_asks_every_host_and_tells_when_relays_stand_still(site: Fleet) -> None:
    jobs = {(host, f"leaderboard-{job}"): "1" for host in APPS for job in ("api", "relay")}
    poll(lambda: True if site.up() == jobs else None, "every service in Prometheus", 60)
    poll(lambda: True if site.firing() == set() else None, "no alert", ALERT_SECONDS)
    for name in APPS:
        site.hosts[name].ssh("systemctl stop leaderboard-relay")
    with site.load("still", boards=False) as load:
        poll(lambda: True if "LeaderboardRelaysDown" in site.firing() else None, "the alert", ALERT_SECONDS)
    for name in APPS:
        started = site.hosts[name].ssh("systemctl start leaderboard-relay", check=False)
        journal = site.hosts[name].ssh("journalctl --no-pager -n 50 -u leaderboard-relay").stdout
        assert started.returncode == 0, started.stderr + journal
    assert load.failures == []
    settled(load)
    poll(lambda: True if site.firing() == set() else None, "the end of the alert", ALERT_SECONDS)


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
    assert (before, site.releases()) == ([VERSION] * 2, ["next"] * 2)
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
    assert "RuntimeError: does not start" in done.stdout and "It runs next again." in done.stdout
    assert load.failures == []
    assert site.releases() == ["next"] * 2
    assert 'LOG_LEVEL="info"' in site.hosts["app1"].ssh("cat /etc/leaderboard/leaderboard.env").stdout
    assert site.hosts["app2"].ssh("systemctl show leaderboard-api -p NRestarts --value").stdout.strip() == "0"
    settled(load)


def test_rollback_under_load(site: Fleet) -> None:
    with site.load("rollback") as load:
        site.walk("rollback")
    assert load.failures == []
    assert site.releases() == [VERSION] * 2
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
    lines = [line.split() for line in shown.splitlines()]
    for row in (["release", VERSION], ["api", "active"], ["relay", "active"], ["failed", "none"]):
        assert lines.count(row) == 2, row


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


def test_another_api_host_joins_under_load(site: Fleet) -> None:
    site.apps = (*APPS, LATER)
    with site.load("joined") as load:
        site.play("site.yml")
        address = site.hosts[LATER].address
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

        def served() -> bool | None:
            shown = opener.open(f"http://{address}:9464/metrics", timeout=5).read().decode()
            series = 'leaderboard_http_requests_total{operation="submitScore",status="202"}'
            row = re.search(f"^{re.escape(series)} (\\d+)", shown, re.MULTILINE)
            return True if row and int(row[1]) > 10 else None

        poll(served, "submissions at the new host", 30)
    assert load.failures == []
    settled(load)
    jobs = {(host, f"leaderboard-{job}"): "1" for host in site.apps for job in ("api", "relay")}
    poll(lambda: True if site.up() == jobs else None, "the new host in Prometheus", 60)
    assert site.hosts[LATER].ssh("leaderboard verify").returncode == 0


def test_all_is_back_when_every_host_was_rebooted(site: Fleet) -> None:
    for host in site.hosts.values():
        host.reboot()
    with site.load("rebooted") as load:
        poll(lambda: True if sum(load.accepted) > 20 else None, "submissions after the reboot", 30)
    assert load.failures == []
    settled(load)
    assert site.hosts["app1"].ssh("leaderboard verify").returncode == 0
    for name, host in site.hosts.items():
        assert host.ssh("systemctl --failed --plain --no-legend").stdout == "", name


def test_uninstalled_hosts_keep_nothing(site: Fleet) -> None:
    site.walk("uninstall", "-e", "uninstall_dumps=true")
    for name in (*NAMES, LATER):
        assert left_over(site.hosts[name], site.before[name]) == [], name
        assert site.hosts[name].ssh("systemctl --failed --plain --no-legend").stdout == "", name
