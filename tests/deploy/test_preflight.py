"""The playbooks before they change anything: style, syntax, and what does not fit, on a host that stays as it was."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from deploy.playbook import ANSIBLE, Site, ansible, new_site, shell_blocks
from deploy.tools import ROOT, tool
from deploy.tree import run

pytestmark = pytest.mark.deploy


def test_lint_passes_the_production_profile_with_nothing_skipped(tmp_path: Path) -> None:
    assert "skip_list: []" in (ANSIBLE / ".ansible-lint").read_text()
    assert not [path for path in ANSIBLE.rglob("*.yml") if "noqa" in path.read_text()]
    done = ansible(tmp_path, "ansible-lint", "--nocolor")
    assert "Profile 'production' was required, and it passed." in done.stdout + done.stderr


def test_syntax(tmp_path: Path) -> None:
    ansible(tmp_path, "ansible-playbook", "--syntax-check", "site.yml")


def test_the_operators_files_are_outside_of_the_checkout_and_win(tmp_path: Path) -> None:
    """`~/leaderboard` as docs/ops makes it: an inventory, and beside it variables for all hosts and passwords."""
    mine = tmp_path / "leaderboard"
    mine.mkdir()
    environment = os.environ | {"HOME": str(tmp_path), "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg")}
    password = tmp_path / "password"
    password.write_text("long-and-secret\n")
    environment["ANSIBLE_VAULT_PASSWORD_FILE"] = str(password)
    environment["PATH"] = f"{Path(tool('ansible-vault', 'ansible')).parent}{os.pathsep}{environment['PATH']}"
    (steps,) = shell_blocks("secure")
    run("sh", "-ec", steps, cwd=ANSIBLE, env=environment)
    assert "$ANSIBLE_VAULT" in (mine / "group_vars/all/vault.yml").read_text()
    (settings,) = re.findall(r"Put this into `~/(\S+)`", (ROOT / "docs/ops/backup.md").read_text())
    (tmp_path / settings).write_text("backup_method: pgbackrest\n")
    text = (ANSIBLE / "inventory/single-host.yml").read_text()
    (mine / "inventory.yml").write_text(text + "  vars:\n    postgres_port: 5433\n")
    command = (tool("ansible-inventory", "ansible"), "--playbook-dir", ANSIBLE, "--host", "leaderboard")
    variables = json.loads(run(*command, cwd=ANSIBLE, env=environment).stdout)
    assert (variables["backup_method"], variables["postgres_port"]) == ("pgbackrest", 5433)
    assert (variables["redis_port"], variables["redis_password"]) == (6379, "change-me-letters-and-digits")


def test_a_dump_in_the_checkout_is_not_committed() -> None:
    for path in ("ansible/backups/leaderboard-20260101T000000Z.dump", "ansible/inventory/group_vars/all/vault.yml"):
        assert run("git", "-C", ROOT, "check-ignore", path).stdout.strip() == path


@pytest.fixture(scope="module")
def new_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with new_site(tmp_path_factory.mktemp("host")) as site:
        yield site


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
    "a certificate for no name": (
        "",
        {"proxy_acme": True},
        "proxy_acme needs proxy_server_name, a name that leads to leaderboard",
    ),
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


def test_a_proxy_that_does_not_reach_the_api_is_named(new_host: Site) -> None:
    """The same machine under a second name, as a proxy for the first one's loopback."""
    same = {"ansible_host": new_host.host.address, "ansible_ssh_private_key_file": str(new_host.host.key)}
    same |= {
        "ansible_user": "root",
        "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
    }
    other = new_host.home / "other.json"
    hosts = {"leaderboard": {"common_bind": "127.0.0.1:8080"}, "edge": same}
    other.write_text(json.dumps({"all": {"hosts": hosts, "children": {"proxy": {"hosts": {"edge": {}}}}}}))
    done = new_host.run("-i", str(other), playbook="preflight.yml", check=False)
    assert done.returncode != 0
    assert "leaderboard serves the API on 127.0.0.1:8080, where the proxy on edge does not reach it" in done.stdout
