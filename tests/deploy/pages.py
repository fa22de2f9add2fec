"""The commands that the pages of docs/ops show for a host, found in their text, and how the test types each."""

from __future__ import annotations

import re
from typing import Final

from deploy.tools import ROOT

PROGRAMS: Final = r"leaderboard [a-z-]+( |$)|journalctl |systemctl |systemd-analyze |sudo |redis-cli |createdb |select "
# The commands of containers are for another host; `run` is for no host that Ansible installed.
ELSEWHERE: Final = ("containers.md",)

FILE: Final = "/var/lib/leaderboard/page.dump"
ERASED: Final = "/var/lib/leaderboard/erased.jsonl"
AUTH: Final = "export REDISCLI_AUTH=$(cat /etc/leaderboard/secrets/redis-password);"
SERVICES: Final = "leaderboard-api.socket leaderboard-api leaderboard-relay"
AS_POSTGRES: Final = "cd /; sudo -u postgres"

SHOWN_BY_PGBACKREST: Final = "sudo -u postgres pgbackrest info"
"""Run by test_pgbackrest.py, on a host that has it."""

OF_SEVERAL_HOSTS: Final = {
    "redis-cli -p 26379 SENTINEL MASTER NAME",
    "redis-cli CLUSTER NODES",
    "redis-cli --cluster check HOST:PORT",
    "redis-cli --cluster fix HOST:PORT",
    "redis-cli --cluster rebalance HOST:PORT",
}
"""For hosts with Sentinel, or with a cluster."""

WALK: Final = (
    # Looking.
    ("leaderboard doctor", "leaderboard doctor"),
    ("leaderboard status", "leaderboard status"),
    # On a terminal, until Ctrl-C.
    (
        "leaderboard status --watch",
        "{ sleep 4; printf '\\003'; } | script -qc 'leaderboard status --watch' /dev/null | grep -a 'hints pending'",
    ),
    ("leaderboard verify", "leaderboard verify"),
    ("systemctl status leaderboard-api", "systemctl status leaderboard-api"),
    ("systemctl status leaderboard-relay", "systemctl status leaderboard-relay"),
    ("systemctl status redis-server", "systemctl status redis-server"),
    ("redis-cli INFO replication", f"{AUTH} redis-cli INFO replication | grep role:master"),
    ("leaderboard season list", "leaderboard season list"),
    ("systemd-analyze security leaderboard-api", "systemd-analyze security leaderboard-api"),
    ("journalctl -u leaderboard-api -n 100", "journalctl -u leaderboard-api -n 100 | grep -F leaderboard"),
    ("journalctl -u leaderboard-relay -n 100", "journalctl -u leaderboard-relay -n 100 | grep -F leaderboard"),
    ("journalctl -u leaderboard-doctor", "journalctl -u leaderboard-doctor | grep -F leaderboard"),
    # The units run them.
    ("leaderboard serve", "systemctl show -p ExecStart leaderboard-api | grep ' serve '"),
    ("leaderboard relay", "systemctl show -p ExecStart leaderboard-relay | grep ' relay '"),
    (
        "select failed_count, last_failed_time from pg_stat_archiver",
        f"{AS_POSTGRES} psql -c 'select failed_count, last_failed_time from pg_stat_archiver'",
    ),
    (
        "select * from pg_stat_activity where wait_event_type = 'Lock'",
        f"""{AS_POSTGRES} psql -c "select * from pg_stat_activity where wait_event_type = 'Lock'" """,
    ),
    # Changing, while all runs.
    (
        "leaderboard key create --name game --scopes read,submit",
        "leaderboard key create --name game --scopes read,submit | grep ^lb_",
    ),
    (
        "leaderboard key create --name operator --scopes read,submit,moderate,admin",
        "leaderboard key create --name operator --scopes read,submit,moderate,admin | grep ^lb_",
    ),
    ("leaderboard season set", "leaderboard season set s1 --title S"),
    ("leaderboard rebuild --season S", "leaderboard rebuild --season s1"),
    ("leaderboard rebuild --all", "leaderboard rebuild --all"),
    ("leaderboard migrate", "leaderboard migrate"),
    ("leaderboard migrate --stage pre", "leaderboard migrate --stage pre"),
    ("leaderboard migrate --stage post", "leaderboard migrate --stage post"),
    (
        "leaderboard backup /var/backups/leaderboard-$(date +%F).dump",
        "leaderboard backup /var/lib/leaderboard/leaderboard-$(date +%F).dump; "
        f"mv /var/lib/leaderboard/leaderboard-*.dump {FILE}",
    ),
    # Changing, while API and relays stand still.
    ("leaderboard migrate --adopt-prefix", f"systemctl stop {SERVICES}; leaderboard migrate --adopt-prefix"),
    (
        "redis-cli --scan --pattern 'lb:*' | xargs -r -n 500 redis-cli unlink",
        f"{AUTH} redis-cli --scan --pattern 'lb:*' | xargs -r -n 500 redis-cli unlink; redis-cli dbsize | grep -x 0",
    ),
    (
        "createdb --template=template0 --encoding=UTF8 leaderboard",
        f"{AS_POSTGRES} dropdb leaderboard; "
        "sudo -u postgres createdb --template=template0 --encoding=UTF8 leaderboard; "
        "sudo -u postgres psql -c 'alter database leaderboard owner to leaderboard'",
    ),
    ("leaderboard restore FILE", f"leaderboard restore {FILE}"),
    (
        "leaderboard restore --replace FILE",
        f"leaderboard restore --replace {FILE}; rm {FILE}; systemctl start {SERVICES}; leaderboard verify",
    ),
    (
        "leaderboard erase --replay FILE",
        f"leaderboard erase --export {ERASED}; leaderboard erase --replay {ERASED}; rm {ERASED}",
    ),
)
"""Each command as the pages have it, and as it is typed: with names of this host, and what goes before or after."""


def shown_on_hosts() -> set[str]:
    """Every command in the pages of docs/ops, the runbook included, that is for a host."""
    found = set()
    for page in sorted((ROOT / "docs/ops").rglob("*.md")):
        if page.name in ELSEWHERE:
            continue
        text = page.read_text(encoding="utf-8")
        blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
        spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]
        lines = [line.strip() for block in blocks for line in block.splitlines()]
        lines += [line.strip() for line in re.findall(r"^    \S.*$", prose, re.MULTILINE)]
        found |= {command for command in (*spans, *lines) if re.match(PROGRAMS, command)}
    return found
