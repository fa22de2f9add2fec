"""A Debian 12 host with systemd, its own network and sshd, booted in systemd-nspawn for one test run."""

from __future__ import annotations

import errno
import fcntl
import ipaddress
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from deploy.tree import CACHE, HOST_PACKAGES, connect_to_registries, give_name, overlay, run, tree

BOOT_SECONDS = 60.0
# With this status systemd-nspawn asks its parent to start it again.
REBOOT = 133
T = TypeVar("T")
TOOLS = ("setpriv", "systemd-nspawn", "debootstrap", "iptables", "ip", "ssh", "ssh-keygen")


def poll(probe: Callable[[], T | None], what: str, seconds: float = BOOT_SECONDS) -> T:
    """Ask until there is an answer. Raises `AssertionError` after the deadline."""
    deadline = time.monotonic() + seconds
    while (answer := probe()) is None:
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.2)
    return answer


@dataclass
class Host:
    """A running host: reached by ssh as root at `address`; `root` is its file system seen from outside."""

    name: str
    address: str
    key: Path
    root: Path
    console: Path
    machine: subprocess.Popen[bytes] = field(init=False)

    @property
    def ssh_options(self) -> list[str]:
        return [
            *("-i", str(self.key)),
            *("-o", "StrictHostKeyChecking=no"),
            *("-o", "UserKnownHostsFile=/dev/null"),
            *("-o", "LogLevel=ERROR"),
            *("-o", "ConnectTimeout=5"),
        ]

    def ssh(self, command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a shell command on the host."""
        return run("ssh", *self.ssh_options, f"root@{self.address}", command, check=check)

    def boot_id(self) -> str | None:
        """What changes with every boot; None while the host cannot be reached."""
        done = self.ssh(
            "systemctl is-system-running --wait >/dev/null; cat /proc/sys/kernel/random/boot_id", check=False
        )
        return done.stdout.strip() or None if done.returncode == 0 else None

    def reboot(self) -> None:
        """Restart the host and wait until it is up again."""
        self.ssh("systemctl reboot", check=False)
        status = self.machine.wait(BOOT_SECONDS)
        assert status == REBOOT, f"the host ended with {status} (see {self.console})"
        self.switch_on()

    def switch_on(self) -> None:
        """Boot, and wait until the host is up. What it keeps on its disk is kept between boots."""
        with open(self.console, "ab") as log:
            self.machine = subprocess.Popen(
                [
                    *joining(self.groups()),
                    # Whatever ends the test run switches the host off.
                    *("setpriv", "--pdeathsig=TERM"),
                    *("systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit"),
                    *(f"--directory={self.root}", f"--machine={self.name}"),
                    *(f"--network-namespace-path=/run/netns/{self.name}", "--resolv-conf=copy-host"),
                    *("--console=pipe", "--kill-signal=SIGRTMIN+3"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        poll(self.boot_id, f"boot of the test host (see {self.console})")

    def switch_off(self) -> None:
        """Power off; a host that does not obey is killed with everything in it."""
        children = Path(f"/proc/{self.machine.pid}/task/{self.machine.pid}/children")
        init = children.read_text().split() if children.exists() else []
        self.machine.terminate()
        try:
            self.machine.wait(BOOT_SECONDS)
        except subprocess.TimeoutExpired:
            self.machine.kill()
            self.machine.wait()
            # Killing the first process of a pid namespace ends all of it; the kernel does the rest.
            for pid in init:
                os.kill(int(pid), signal.SIGKILL)
        poll(lambda: True if all(map(removed, self.groups())) else None, "the end of the host's processes")

    def groups(self) -> list[Path]:
        """Control groups of its own, made where systemd looks for them.

        Hosts that share one would have services of the same name in the same group, and stop each other's.
        """
        made = []
        mine = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
        for line in Path("/proc/self/mounts").read_text().splitlines():
            _, place, kind, options, *_ = line.split()
            of = "" if kind == "cgroup2" else "name=systemd"
            if kind == "cgroup2" or (kind == "cgroup" and of in options.split(",")):
                made.append(Path(place, mine[of].lstrip("/"), self.name))
                made[-1].mkdir(exist_ok=True)
        return made


def joining(groups: list[Path]) -> list[str]:
    """The beginning of a command that is to run in these control groups."""
    return ["sh", "-c", "".join(f"echo $$ >{group}/cgroup.procs && " for group in groups) + 'exec "$@"', "sh"]


def removed(group: Path) -> bool:
    """Remove a control group with those below it; False while a process is left in one."""
    below = sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True)
    try:
        for path in (*below, group):
            path.rmdir()
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def plug(undo: ExitStack, name: str, link: str) -> None:
    """A network namespace of this name, with a cable: `host0` inside, `link` outside."""
    run("ip", "netns", "add", name)
    undo.callback(run, "ip", "netns", "delete", name)
    run("ip", "link", "add", link, "type", "veth", "peer", "name", "host0", "netns", name)
    # The pair goes with its namespace, but only some time later: the name must be free at once.
    undo.callback(run, "ip", "link", "delete", link, check=False)


def settle(name: str, address: str, gateway: str) -> None:
    """Give a plugged namespace its address (with the length of the prefix), and its way out."""
    run("ip", "-n", name, "address", "add", address, "dev", "host0")
    for device in ("lo", "host0"):
        run("ip", "-n", name, "link", "set", device, "up")
    run("ip", "-n", name, "route", "add", "default", "via", gateway)


def translate(undo: ExitStack, inside: str, not_for: str) -> None:
    """What comes from these addresses goes out under this machine's own, unless it is for those."""
    rule = ["POSTROUTING", "-s", inside, "!", "-d", not_for, "-j", "MASQUERADE"]
    run("iptables", "-t", "nat", "-A", *rule)
    undo.callback(run, "iptables", "-t", "nat", "-D", *rule)
    undo.enter_context(forwarding())


@contextmanager
def forwarding() -> Iterator[None]:
    """This machine passes packets on. It stops when the last run ends that needs it, whichever began first."""
    switch = Path("/proc/sys/net/ipv4/ip_forward")
    with open(CACHE / "leaderboard-forwarding", "a+") as before:

        def alone() -> bool:
            try:
                fcntl.flock(before, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        if alone():
            before.truncate(0)
            before.write(switch.read_text())
            before.flush()
        fcntl.flock(before, fcntl.LOCK_SH)
        switch.write_text("1")
        yield
        if alone():
            before.seek(0)
            switch.write_text(before.read())


@contextmanager
def network(name: str) -> Iterator[str]:
    """A network namespace of this name behind address translation: yields its address."""
    block = ipaddress.ip_network("10.231.0.0/16")
    pair = list(ipaddress.ip_network((int(block[0]) + os.getpid() % 16384 * 4, 30)).hosts())
    outside, inside = f"{pair[0]}", f"{pair[1]}"
    link = f"lb{os.getpid()}"
    with ExitStack() as undo:
        plug(undo, name, link)
        run("ip", "address", "add", f"{outside}/30", "dev", link)
        run("ip", "link", "set", link, "up")
        settle(name, f"{inside}/30", outside)
        translate(undo, f"{inside}/32", f"{outside}/32")
        yield inside


@contextmanager
def debian_host(directory: Path) -> Iterator[Host]:
    """Boot a fresh host; it is switched off and forgotten at the end. Console output goes to `directory`."""
    name = f"leaderboard-{os.getpid()}"
    key, console = directory / "id", directory / "console.log"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    with overlay(tree(HOST_PACKAGES)) as root, network(name) as address:
        connect_to_registries(root)
        give_name(root, "leaderboard")
        (root / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
        shutil.copy(key.with_suffix(".pub"), root / "root/.ssh/authorized_keys")
        host = Host(name, address, key, root, console)
        try:
            host.switch_on()
            yield host
        finally:
            host.switch_off()
