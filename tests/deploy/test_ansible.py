"""The playbook on a real Debian 12 host with systemd: installed, run again, used, upgraded, rebooted."""

from __future__ import annotations

import json
import re
import shlex
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from deploy import pages
from deploy.host import poll
from deploy.playbook import (
    ANSIBLE,
    DRY_DEADLINE_SECONDS,
    SECRET_FILES,
    Site,
    commands,
    left_over,
    listing,
    new_site,
)
from deploy.tools import ROOT

pytestmark = pytest.mark.deploy


@pytest.fixture(scope="module")
def new_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with new_site(tmp_path_factory.mktemp("host")) as site:
        yield site


# Where the first runs get their Ctrl-C: each leaves a server that runs and does not know its files.
# test_interrupted.py stops at every change.
INTERRUPTIONS = (
    "redis : Include the configuration last, so that it wins",
    "api : Write the unit",
    "proxy : Configure nginx",
)


@pytest.fixture(scope="module")
def site(new_host: Site) -> Site:
    """The host with the playbook run to its end, after interrupted runs and a dry run that must not have touched it."""
    new_host.before.update(listing(new_host.host))
    # An image for the cloud comes without lists of packages, and is older than this hour.
    new_host.host.ssh("rm -rf /var/lib/apt/lists/*; touch -d 2026-01-01 /var/lib/apt/lists")
    dry = new_host.play("--check", seconds=DRY_DEADLINE_SECONDS)
    assert dry["failed"] == 0
    assert dry["changed"] > 0
    assert not [path for path in ("opt/leaderboard", "etc/leaderboard") if (new_host.host.root / path).exists()]
    assert new_host.interrupted(*INTERRUPTIONS) == [*INTERRUPTIONS]
    last = new_host.play()
    assert last["changed"] > 0
    return new_host


def test_what_runs_after_interrupted_installations_has_its_settings(site: Site) -> None:
    shown = site.host.ssh("sudo -u postgres psql -qAtc 'show wal_compression' -c 'show max_wal_size'").stdout.split()
    assert shown == ["lz4", "2GB"]
    ask = "REDISCLI_AUTH=$(cat /etc/leaderboard/secrets/redis-password) redis-cli config get maxmemory-policy"
    assert site.host.ssh(ask).stdout.split() == ["maxmemory-policy", "noeviction"]
    assert "NOAUTH" in site.host.ssh("redis-cli ping", check=False).stdout
    assert site.tls("/leaderboard")[1]["code"] == "not-found"
    assert site.host.ssh("systemctl --failed --plain --no-legend").stdout == ""


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


def test_the_proxy_serves_the_api_with_tls(site: Site) -> None:
    assert site.tls("/readyz")[0] == 200
    status, board = site.tls("/v1/seasons/s1/leaderboard/top?limit=1", key=site.key)
    assert (status, board["items"][0]["userId"]) == (200, "ada")


def test_a_batch_as_long_as_the_api_takes_passes_the_proxy(site: Site) -> None:
    batch = json.dumps({"submissions": [{"userId": "ada", "delta": 1}, {"userId": "ada", "delta": -1}]}).encode()
    path = "/v1/seasons/batch/scores/batch"
    status, answer = site.tls(path, key=site.key, body=batch.ljust(4 * 1024 * 1024), sent=True)
    assert (status, [result["status"] for result in answer["results"]]) == (200, [202, 202])
    # One byte more is the API's to refuse.
    status, problem = site.tls(path, key=site.key, body=batch.ljust(4 * 1024 * 1024 + 1), sent=True)
    assert (status, problem["code"]) == (413, "batch-too-large")


def test_what_the_proxy_answers_itself_is_a_problem_with_a_known_code(site: Site) -> None:
    listed = dict(re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \|", (ROOT / "docs/errors.md").read_text(), re.MULTILINE))
    own = [
        (404, site.tls("/")),
        (413, site.tls("/v1/seasons/s1/scores", body=b" " * 6_000_000)),
        (414, site.tls("/v1/" + "a" * 20_000)),
        (431, site.tls("/v1/keys", key="a" * 20_000)),
    ]
    site.host.ssh("systemctl stop leaderboard-api.socket leaderboard-api")
    own.append((502, site.tls("/readyz")))
    site.host.ssh("systemctl start leaderboard-api.socket leaderboard-api")
    poll(lambda: True if site.tls("/readyz")[0] == 200 else None, "the API behind the proxy", 30)
    for wanted, (status, problem) in own:
        assert (status, problem["status"], problem["error"]) == (wanted, wanted, problem["detail"])
        assert problem["type"] == f"urn:leaderboard:problem:{problem['code']}"
        assert listed.get(problem["code"], str(wanted)) == str(wanted)


def test_the_command_keeps_the_callers_key(site: Site) -> None:
    shown = site.host.ssh(
        "LEADERBOARD_KEY=lb_mine leaderboard settings; ls /run/leaderboard-key.* 2>/dev/null", check=False
    )
    assert re.search(r"^LEADERBOARD_KEY +\*+$", shown.stdout, re.MULTILINE)
    assert "/run/leaderboard-key." not in shown.stdout
    assert re.search(r"^LEADERBOARD_KEY +-$", site.host.ssh("leaderboard settings").stdout, re.MULTILINE)
    played = "leaderboard demo --players 5 --rate 20 --seconds 2 --json"
    site.host.ssh(f"LEADERBOARD_KEY={site.key} {played}")


def test_a_release_that_does_not_start_is_reported_with_its_cause(site: Site) -> None:
    done = site.run("-e", "api_open_files=20", "-e", "api_ready_seconds=5", playbook="deploy.yml", check=False)
    assert done.returncode != 0
    assert "did not start on leaderboard (Wait until the API is ready)" in done.stdout
    assert "Too many open files" in done.stdout and "runs 0" in done.stdout
    assert "LEADERBOARD_LEDGER_DAYS" not in done.stdout
    poll(lambda: True if site.get("/readyz")[0] == 200 else None, "the API as it was", 30)


def test_a_service_with_a_setting_that_does_not_fit_is_not_started_for_ever(site: Site) -> None:
    settings = "/etc/leaderboard/leaderboard.env"
    site.host.ssh(f"cp -a {settings} /root/; echo LEADERBOARD_IDLE_S=never >>{settings}")
    site.host.ssh("systemctl restart leaderboard-relay", check=False)
    state = "systemctl show leaderboard-relay -p ActiveState -p ExecMainStatus --value"
    poll(
        lambda: True if set(site.host.ssh(state).stdout.split()) == {"2", "failed"} else None,
        "the end of the relay",
        30,
    )
    retry = "systemctl show leaderboard-retry@leaderboard-relay -p ActiveState --value"
    assert site.host.ssh(retry).stdout.strip() == "activating"
    site.host.ssh(f"mv /root/leaderboard.env {settings}; systemctl stop leaderboard-retry@leaderboard-relay")
    assert site.host.ssh(retry).stdout.strip() == "inactive"
    assert site.play(playbook="deploy.yml")["failed"] == 0
    assert site.host.ssh("systemctl is-active leaderboard-relay").stdout.strip() == "active"


def test_status_is_a_page_for_people(site: Site) -> None:
    shown = site.run(playbook="status.yml").stdout
    lines = [line.split() for line in shown.splitlines()]
    assert [line for line in lines if line[:1] == ["api"]] == [["api", "active"]]
    assert ["failed", "none"] in lines
    assert '"' not in shown and len(lines) < 80


def test_a_fetched_dump_is_for_its_owner_only(site: Site, tmp_path: Path) -> None:
    there = tmp_path / "dumps"
    site.run("-e", f"backup_fetch={there}", playbook="backup.yml")
    (dump,) = there.iterdir()
    assert dump.suffix == ".dump" and dump.stat().st_size > 1000
    assert (dump.stat().st_mode & 0o777, there.stat().st_mode & 0o777) == (0o600, 0o700)


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


# What has no series before it happens: a refusal of the fence.
UNANSWERED = {"sum by (verdict) (increase(leaderboard_relay_fence_refusals_total[1m]))"}


def test_every_query_of_the_dashboard_is_answered(site: Site) -> None:
    panels = json.loads((ROOT / "monitoring/dashboard.json").read_text())["panels"]
    asked = {target["expr"].replace("$__rate_interval", "1m") for panel in panels for target in panel["targets"]}
    assert asked > UNANSWERED
    code = """
import json, sys
from urllib.parse import quote
from urllib.request import urlopen
def answered(query):
    with urlopen("http://127.0.0.1:9090/api/v1/query?query=" + quote(query)) as answer:
        return any(row["value"][1] != "NaN" for row in json.load(answer)["data"]["result"])
print(json.dumps([query for query in json.loads(sys.argv[1]) if not answered(query)]))
"""
    site.host.ssh(f"LEADERBOARD_KEY={site.key} leaderboard demo --players 20 --rate 50 --seconds 20 --json")
    assert site.get("/v1/seasons/s1/leaderboard/rank?userId=nobody")[0] == 404
    command = f"python3 -c {shlex.quote(code)} {shlex.quote(json.dumps(sorted(asked)))}"

    def unanswered() -> set[str]:
        return set(json.loads(site.host.ssh(command).stdout))

    poll(lambda: True if unanswered() <= UNANSWERED else None, "an answer to every query", 40)


def test_another_release_is_installed_beside_the_old_one_and_started(site: Site) -> None:
    command = "systemctl show leaderboard-api leaderboard-relay -p MainPID --value"
    before = site.host.ssh(command).stdout.split()
    page = (ROOT / "docs/ops/install.md").read_text()
    (given,) = re.findall(r"^```yaml\n(common_settings:.*?)^```", page, re.MULTILINE | re.DOTALL)
    new = ("-e", "common_release=next", "-e", "common_log_level=debug", "-e", json.dumps(yaml.safe_load(given)))
    assert site.play(*new, playbook="deploy.yml")["changed"] > 0
    after = site.host.ssh(command).stdout.split()
    assert len(after) == 2
    assert not set(after) & set(before)
    assert site.host.ssh("readlink /opt/leaderboard/current").stdout.strip().endswith("/next")
    assert len(site.host.ssh("ls /opt/leaderboard/releases").stdout.split()) == 2
    shown = site.host.ssh("leaderboard settings").stdout
    for name, value in yaml.safe_load(given)["common_settings"].items():
        assert re.search(f"^{name} +{re.escape(str(value))}$", shown, re.MULTILINE), shown
    # Nothing is left to do but what is asked for now.
    assert site.play(*new, "-e", "common_keep_releases=1", playbook="deploy.yml")["changed"] == 1
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


def test_what_the_pages_show_for_a_host_can_be_typed_there(site: Site) -> None:
    for shown, typed in pages.WALK:
        done = site.host.ssh(f"set -eo pipefail; {typed}", check=False)
        assert done.returncode == 0, f"{shown}: {done.stdout}{done.stderr}"
    assert site.host.ssh("systemctl list-units --plain --no-legend 'run-*.service'").stdout == ""
    poll(lambda: True if site.get("/readyz")[0] == 200 else None, "the API with what was restored", 30)
    assert site.rank("eve", 71) == 1


# An issuer by RFC 8555, for tests: it asks for the proof on port 80 like any other.
ISSUER = """
set -e
apt-get -q -y install pebble >/dev/null
echo "127.0.0.1 scores.test" >>/etc/hosts
mkdir /root/issuer && cd /root/issuer
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost \\
  -keyout key.pem -out certificate.pem 2>/dev/null
cat >pebble.json <<END
{"pebble": {"listenAddress": "127.0.0.1:14000", "managementListenAddress": "127.0.0.1:15000",
 "certificate": "/root/issuer/certificate.pem", "privateKey": "/root/issuer/key.pem", "httpPort": 80, "tlsPort": 443}}
END
systemd-run --quiet --unit=issuer --setenv=PEBBLE_VA_NOSLEEP=1 --setenv=PEBBLE_WFE_NONCEREJECT=0 \\
  pebble -config /root/issuer/pebble.json
cat certificate.pem >>/etc/ssl/certs/ca-certificates.crt
"""


def test_a_certificate_by_acme_replaces_the_hosts_own_and_is_renewed(site: Site) -> None:
    own = ssl.get_server_certificate((site.host.address, 443))
    authorities = site.host.root / "etc/ssl/certs/ca-certificates.crt"
    before = authorities.read_bytes()
    site.host.ssh(ISSUER)
    named = {"proxy_acme": True, "proxy_server_name": "scores.test", "proxy_acme_email": "ops@scores.test"}
    # The play of site.yml that this is about, with the defaults that lie beside it.
    alone = site.home / "proxy.yml"
    alone.write_text(json.dumps([{"hosts": "proxy", "become": True, "roles": ["proxy"]}]))
    defaults = ("-e", f"@{ANSIBLE / 'group_vars/all.yml'}")
    given = (*defaults, "-e", json.dumps(named | {"proxy_acme_server": "https://localhost:14000/dir"}))
    assert site.play(*given, playbook=str(alone))["failed"] == 0
    first = ssl.get_server_certificate((site.host.address, 443))
    assert first != own
    shown = site.host.ssh(
        "openssl x509 -in /etc/nginx/leaderboard/tls/certificate.pem -noout -issuer -ext subjectAltName"
    )
    assert "Pebble" in shown.stdout and "DNS:scores.test" in shown.stdout
    assert site.tls("/readyz")[0] == 200
    assert site.host.ssh("systemctl is-active certbot.timer").stdout.strip() == "active"
    assert site.play(*given, playbook=str(alone))["changed"] == 0
    # What the timer runs, when the day has come.
    site.host.ssh("certbot -q renew --force-renewal --no-random-sleep-on-renew")
    seen = poll(lambda: {ssl.get_server_certificate((site.host.address, 443))} - {first} or None, "the new one", 20)
    assert seen != {own}
    site.host.ssh("systemctl stop issuer; rm -r /root/issuer; apt-get -q -y purge pebble")
    site.host.ssh("sed -i '/ scores.test$/d' /etc/hosts")
    authorities.write_bytes(before)


def test_an_uninstalled_host_keeps_nothing(site: Site) -> None:
    refused = site.run(playbook="uninstall.yml", check=False)
    assert refused.returncode != 0 and "This removes all scores and keys" in refused.stdout
    assert site.get("/readyz")[0] == 200
    (shown,) = commands("uninstall")
    playbook, *options = shown
    site.run(*options, playbook=playbook)
    dumps = {path for path in listing(site.host) if path.startswith("/var/backups/leaderboard")}
    assert len(dumps) > 1
    site.host.ssh("rm -r /var/backups/leaderboard")
    assert left_over(site.host, site.before) == []
    users = site.host.ssh("cut -d: -f1 /etc/passwd /etc/group").stdout.split()
    # The users postgres and prometheus are kept by Debian's own packages.
    assert not {"leaderboard", "redis"} & set(users)
    assert site.host.ssh("systemctl --failed --plain --no-legend").stdout == ""
