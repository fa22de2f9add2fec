"""Playbooks against real hosts: how they are run, and what of it is secret."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from deploy.host import Host, poll
from deploy.tools import ROOT, tool
from deploy.tree import run

ANSIBLE = ROOT / "ansible"
SECRETS = "/etc/leaderboard/secrets"
# A play that stands still must end, and show how far it came. The longest takes three minutes on two cores.
DEADLINE_SECONDS = 900.0
# A dry run on a fresh host takes half a minute.
DRY_DEADLINE_SECONDS = 300.0
SECRET_FILES = (f"{SECRETS}/postgres-password", f"{SECRETS}/redis-password", f"{SECRETS}/admin-key")


def ansible(
    home: Path, *command: str, check: bool = True, seconds: float = DEADLINE_SECONDS
) -> subprocess.CompletedProcess[str]:
    """Run one of Ansible's commands with the project's configuration and a home of its own."""
    executable = tool(command[0], "ansible ansible-lint")
    environment = os.environ | {
        "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"),
        "ANSIBLE_HOME": str(home),
        "NO_COLOR": "1",
        "PATH": f"{Path(executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    options = {"cwd": ANSIBLE, "env": environment, "stdin": subprocess.DEVNULL, "timeout": seconds}
    try:
        return run(executable, *command[1:], check=check, **options)
    except subprocess.TimeoutExpired as stopped:
        printed = (stopped.stdout or b"").decode(errors="replace")
        raise AssertionError(f"{command} was not done in {seconds:.0f} s:\n{printed}") from stopped


@dataclass(frozen=True)
class Site:
    """The host, and how to run the playbook against it."""

    host: Host
    home: Path
    source: Path

    def run(
        self, *options: str, check: bool = True, seconds: float = DEADLINE_SECONDS, playbook: str = "site.yml"
    ) -> subprocess.CompletedProcess[str]:
        """Run a playbook; no password may be printed."""
        inventory = self.home / "test-host.json"
        wanted = {
            "ansible_host": self.host.address,
            "ansible_ssh_private_key_file": str(self.host.key),
            "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
            "common_source_dir": str(self.source),
            "common_bind": "0.0.0.0:8080",
            "common_metrics_address": "127.0.0.1",
            # The kernel is that of the machine under test and its settings are not the container's to change.
            "redis_overcommit": False,
        }
        monitored = {"monitoring": {"hosts": {"leaderboard": {}}}}
        inventory.write_text(json.dumps({"all": {"hosts": {"leaderboard": wanted}, "children": monitored}}))
        inventories = ("-i", "inventory/single-host.yml", "-i", str(inventory))
        command = ("ansible-playbook", *inventories, playbook, *options)
        done = ansible(self.home, *command, check=check, seconds=seconds)
        for path in SECRET_FILES:
            secret = self.host.root / path.lstrip("/")
            if secret.exists():
                assert secret.read_text().strip() not in done.stdout + done.stderr, f"{path} was printed"
        return done

    def play(self, *options: str, seconds: float = DEADLINE_SECONDS) -> dict[str, int]:
        """The same; returns the counts of its recap."""
        done = self.run(*options, seconds=seconds)
        recap = re.search(r"^leaderboard +: (.*)$", done.stdout, re.MULTILINE)
        assert recap, done.stdout
        return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", recap[1])}

    @cached_property
    def key(self) -> str:
        """The key that the playbook has made for the operators."""
        return self.host.ssh(f"cat {SECRETS}/admin-key").stdout.strip()

    def get(self, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Ask the API; returns the status and the JSON answer. Status 0: no answer."""
        # The probes are asked before there is anything to make a key in.
        return self.ask(path, self.key if path.startswith("/v1/") else "", body)

    def ask(self, path: str, key: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """The same with any key, or none."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self.host.address}:8080{path}", data)
        request.add_header("Content-Type", "application/json")
        if key:
            request.add_header("Authorization", f"Bearer {key}")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=5) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, {}
        except OSError:
            return 0, {}

    def rank(self, user: str, score: int) -> int:
        """The rank of a player, once the board shows this score."""

        def ask() -> int | None:
            status, answer = self.get(f"/v1/seasons/s1/leaderboard/rank?userId={user}")
            return int(answer["rank"]) if status == 200 and answer["score"] == score else None

        return poll(ask, f"{user} with {score}", 30)


def checkout(directory: Path) -> Path:
    """What is installed: this tree without what was made in it."""
    unwanted = shutil.ignore_patterns(".*", "__pycache__", "*.so", "*.egg-info", "build", "dist", "tests", "bench")
    return Path(shutil.copytree(ROOT, directory / "source", ignore=unwanted))


def commands(page: str) -> list[list[str]]:
    """The arguments of each `ansible-playbook` in the shell blocks of a page, the inventory left out."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / f"docs/ops/{page}.md").read_text(), re.MULTILINE | re.DOTALL)
    lines = [shlex.split(line) for block in blocks for line in block.splitlines()]
    found = [line[3:] for line in lines if line[:3] == ["ansible-playbook", "-i", "inventory/fleet.yml"]]
    assert found, f"docs/ops/{page}.md shows no playbook"
    return found
