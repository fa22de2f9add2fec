"""Playbooks against real hosts: how they are run, and what of it is secret."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shlex
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from deploy.host import TOOLS, Host, debian_host, poll
from deploy.tools import ROOT, need, tool
from deploy.tree import run

ANSIBLE = ROOT / "ansible"
SECRETS = "/etc/leaderboard/secrets"
# A play that stands still must end, and show how far it came. The longest takes three minutes on two cores.
DEADLINE_SECONDS = 900.0
# A dry run on a fresh host takes half a minute.
DRY_DEADLINE_SECONDS = 300.0
SECRET_FILES = (f"{SECRETS}/postgres-password", f"{SECRETS}/redis-password", f"{SECRETS}/admin-key")


def ansible(
    home: Path, *command: str, check: bool = True, seconds: float = DEADLINE_SECONDS, interrupt: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run one of Ansible's commands with the project's configuration and a home of its own.

    `interrupt` names a task, as a regular expression: when it has changed something, the run gets a Ctrl-C.
    """
    executable = tool(command[0], "ansible ansible-lint")
    environment = os.environ | {
        "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"),
        "ANSIBLE_HOME": str(home),
        "NO_COLOR": "1",
        "PATH": f"{Path(executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if interrupt:
        plugins = str(Path(__file__).parent / "plugins")
        environment |= {"ANSIBLE_CALLBACK_PLUGINS": plugins, "ANSIBLE_CALLBACKS_ENABLED": "interrupt"}
        environment |= {"INTERRUPT_AFTER": interrupt}
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
    before: set[str] = field(default_factory=set)
    """Every path on the host before the playbook ran."""

    def run(
        self,
        *options: str,
        check: bool = True,
        seconds: float = DEADLINE_SECONDS,
        playbook: str = "site.yml",
        interrupt: str = "",
    ) -> subprocess.CompletedProcess[str]:
        """Run a playbook; no password may be printed."""
        inventory = self.home / "test-host.json"
        wanted = {
            "ansible_host": self.host.address,
            "ansible_ssh_private_key_file": str(self.host.key),
            "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
            "common_source_dir": str(self.source),
            "common_bind": "0.0.0.0:8080",
            "monitoring_interval": "5s",
            "common_metrics_address": "127.0.0.1",
            # The kernel is that of the machine under test and its settings are not the container's to change.
            "redis_overcommit": False,
        }
        monitored = {"monitoring": {"hosts": {"leaderboard": {}}}}
        inventory.write_text(json.dumps({"all": {"hosts": {"leaderboard": wanted}, "children": monitored}}))
        inventories = ("-i", "inventory/single-host.yml", "-i", str(inventory))
        command = ("ansible-playbook", *inventories, playbook, *options)
        done = ansible(self.home, *command, check=check, seconds=seconds, interrupt=interrupt)
        for path in SECRET_FILES:
            secret = self.host.root / path.lstrip("/")
            if secret.exists():
                assert secret.read_text().strip() not in done.stdout + done.stderr, f"{path} was printed"
        return done

    def interrupted(self, *tasks: str) -> list[str]:
        """Run the playbook once for each task, and end it when that has changed something; returns the tasks met."""
        met = []
        for task in tasks:
            done = self.run(check=False, interrupt=task)
            met += re.findall(r"^INTERRUPTED AFTER: (.*)$", done.stdout, re.MULTILINE)
        return met

    def play(self, *options: str, seconds: float = DEADLINE_SECONDS, playbook: str = "site.yml") -> dict[str, int]:
        """The same; returns the counts of its recap."""
        done = self.run(*options, seconds=seconds, playbook=playbook)
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

    def tls(
        self, path: str, key: str = "", body: bytes | None = None, sent: bool = False
    ) -> tuple[int, dict[str, Any]]:
        """Ask through the proxy, whose certificate may be its own.

        The head names the length of a body. Only with `sent` the body follows: one that is refused need not.
        """
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(self.host.address, timeout=10, context=context)
        with contextlib.closing(connection):
            connection.putrequest("GET" if body is None else "POST", path)
            connection.putheader("Content-Type", "application/json")
            if key:
                connection.putheader("Authorization", f"Bearer {key}")
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body if sent else None)
            answer = connection.getresponse()
            return answer.status, json.load(answer)

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


def listing(host: Host) -> set[str]:
    """Every path on the disk of a host."""
    places = "-path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp"
    return set(host.ssh(f"find / \\( {places} \\) -prune -o -print").stdout.splitlines())


# What apt, systemd and Debian keep by themselves: logs, caches, lists of packages, backups of the list of users.
KEPT = re.compile(
    r"/var/(log|cache|lib/apt|lib/dpkg|lib/systemd|lib/ucf|tmp|backups/(dpkg|apt|alternatives))"
    r"|/etc/(passwd|group|shadow|gshadow|subuid|subgid)-$"
    # The homes of the user postgres, who stays. They are empty.
    r"|/(etc|var/lib)/postgresql$"
    # nginx's package leaves its page of welcome.
    r"|/var/www(/html(/index.nginx-debian.html)?)?$"
    # The interpreter's, for packages that stay.
    r"|.*/__pycache__"
    # Ansible's own working directory, and the host's journal of its boots.
    r"|/root/\.ansible"
)


def left_over(host: Host, before: set[str]) -> list[str]:
    """Paths that are new since then, without what is kept for a reason."""
    return sorted(path for path in listing(host) - before if not KEPT.match(path))


def shell_blocks(page: str) -> list[str]:
    """The shell blocks of a page of docs/ops."""
    return re.findall(r"^```sh\n(.*?)^```", (ROOT / f"docs/ops/{page}.md").read_text(), re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[list[str]]:
    """The arguments of each `ansible-playbook` in the shell blocks of a page, the inventory left out."""
    lines = [shlex.split(line, comments=True) for block in shell_blocks(page) for line in block.splitlines()]
    found = [line[1:] for line in lines if line[:1] == ["ansible-playbook"] and "provision_aws.yml" not in line]
    assert found, f"docs/ops/{page}.md shows no playbook"
    return found


@contextlib.contextmanager
def new_site(directory: Path) -> Iterator[Site]:
    """A booted Debian host, and a checkout whose playbooks have not run on it."""
    need(*TOOLS)
    tool("ansible-playbook", "ansible")
    source = checkout(directory)
    with debian_host(directory) as host:
        yield Site(host, directory, source)
