"""The templates of the hosts' files keep what the product relies on: restarts, signs of life, rights, no second POST.

They are read as text. Whether the files work is tested on booted hosts (tests/deploy).
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.repository import REPOSITORY

from board.config.load import load

ROLES = REPOSITORY / "ansible" / "roles"
API = ROLES / "api" / "templates" / "leaderboard-api.service.j2"
RELAY = ROLES / "relay" / "templates" / "leaderboard-relay.service.j2"
DOCTOR = ROLES / "api" / "templates" / "leaderboard-doctor.service.j2"
BACKUP = ROLES / "backup" / "templates" / "leaderboard-backup.service.j2"
SERVICES = (API, RELAY, DOCTOR, BACKUP)


def lines(path: Path) -> list[str]:
    """The lines of a template without comments."""
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()[:1] not in ("", "#")]


def default(role: str, name: str) -> int:
    """The default of a variable, in seconds."""
    found = re.search(rf"^{name}: (\d+)", (ROLES / role / "defaults" / "main.yml").read_text(encoding="utf-8"), re.M)
    assert found is not None, name
    return int(found[1])


@pytest.mark.parametrize(("unit", "role"), [(API, "api"), (RELAY, "relay")])
def test_a_service_that_ends_or_hangs_is_started_again_without_end(unit: Path, role: str) -> None:
    assert {
        "Restart=always",
        "RestartSec=1",
        # After ten starts in ten minutes it has a pause, and goes on after that.
        f"OnFailure=leaderboard-retry@leaderboard-{role}.service",
        f"WatchdogSec={{{{ {role}_watchdog }}}}",
        "WatchdogSignal=SIGKILL",
        f"TimeoutStopSec={{{{ {role}_stop_timeout }}}}",
        "KillMode=mixed",
    } <= set(lines(unit))
    assert 15 <= default(role, f"{role}_watchdog") <= 120
    # After the grace of the settings the master kills what is left, and needs a moment for it.
    assert default(role, f"{role}_stop_timeout") >= load({}).shutdown_grace_s + 5


@pytest.mark.parametrize("unit", SERVICES, ids=lambda path: path.stem)
def test_a_service_has_the_rights_that_it_needs_and_no_others(unit: Path) -> None:
    found = set(lines(unit))
    assert {
        "UMask=0077",
        "NoNewPrivileges=true",
        "CapabilityBoundingSet=",
        "ProtectSystem=strict",
        "ProtectHome=true",
        "PrivateTmp=true",
        "PrivateDevices=true",
        "RestrictNamespaces=true",
        "RestrictSUIDSGID=true",
        "SystemCallFilter=@system-service",
    } <= found
    assert any(line.startswith("User=") and line != "User=root" for line in found)


def test_connections_wait_in_the_socket_while_the_api_restarts() -> None:
    assert "Requires=leaderboard-api.socket" in lines(API)


def test_redis_evicts_nothing_and_asks_for_a_password() -> None:
    found = lines(ROLES / "redis" / "templates" / "leaderboard.conf.j2")
    assert {"maxmemory-policy noeviction", "requirepass {{ redis_secret }}", "protected-mode yes"} <= set(found)
    assert "appendonly yes" in found


def test_postgresql_never_sends_a_password_in_the_clear() -> None:
    found = lines(ROLES / "postgres" / "templates" / "leaderboard.conf.j2")
    assert "password_encryption = 'scram-sha-256'" in found


def test_the_proxy_sends_no_post_twice_and_mixes_no_credentials() -> None:
    found = lines(ROLES / "proxy" / "templates" / "leaderboard.conf.j2")
    assert "proxy_next_upstream error timeout;" in found, "non_idempotent would send a POST again"
    assert "proxy_next_upstream_tries 2;" in found
    assert "proxy_cache_key $request_method$request_uri$http_authorization;" in found
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in found, "what a client claims is not passed on"
    assert {"client_header_timeout 10s;", "client_body_timeout 10s;", "proxy_connect_timeout 1s;"} <= set(found)
    assert "ssl_protocols TLSv1.2 TLSv1.3;" in found
    # A stranger's trace is a row for each submission.
    at = found.index('proxy_set_header traceparent "";')
    assert found[at - 1 : at + 2 : 2] == ["{% if not proxy_traceparent | bool %}", "{% endif %}"]


def test_a_backup_is_private_and_complete_before_it_has_its_name() -> None:
    text = (ROLES / "backup" / "templates" / "leaderboard-backup.j2").read_text(encoding="utf-8")
    steps = ["set -eu", "umask 077", "pg_dump ", "pg_restore --list", "sync ", "mv ", "tail -n +"]
    places = [text.find(step) for step in steps]
    assert -1 not in places and places == sorted(places)
