"""Several Debian 12 hosts on one bridge, each a systemd-nspawn machine in a network namespace of its own."""

from __future__ import annotations

import ipaddress
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from deploy.host import Host, plug, settle, translate
from deploy.tree import HOST_PACKAGES, connect_to_registries, give_name, overlay, run, tree


@contextmanager
def bridge(names: Sequence[str]) -> Iterator[list[str]]:
    """A namespace for each name, all on one bridge behind address translation: yields their addresses in order."""
    block = ipaddress.ip_network("10.232.0.0/16")
    net = ipaddress.ip_network((int(block[0]) + os.getpid() % 4096 * 16, 28))
    gateway, *hosts = (f"{address}" for address in net.hosts())
    middle = f"lbf{os.getpid()}"
    addresses = hosts[: len(names)]
    with ExitStack() as undo:
        run("ip", "link", "add", middle, "type", "bridge")
        undo.callback(run, "ip", "link", "delete", middle)
        run("ip", "address", "add", f"{gateway}/28", "dev", middle)
        run("ip", "link", "set", middle, "up")
        for number, (name, address) in enumerate(zip(names, addresses, strict=True)):
            link = f"{middle}-{number}"
            plug(undo, name, link)
            run("ip", "link", "set", link, "master", middle, "up")
            settle(name, f"{address}/28", gateway)
        translate(undo, f"{net}", f"{net}")
        yield addresses


@contextmanager
def fleet(directory: Path, names: Sequence[str]) -> Iterator[dict[str, Host]]:
    """Boot a fresh host for each name; they are switched off and forgotten at the end."""
    key = directory / "id"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    spaces = [f"leaderboard-{os.getpid()}-{name}" for name in names]
    with bridge(spaces) as addresses, ExitStack() as stack:
        hosts: dict[str, Host] = {}
        for name, space, address in zip(names, spaces, addresses, strict=True):
            root = stack.enter_context(overlay(tree(HOST_PACKAGES)))
            connect_to_registries(root)
            give_name(root, name)
            (root / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
            shutil.copy(key.with_suffix(".pub"), root / "root/.ssh/authorized_keys")
            host = Host(space, address, key, root, directory / f"{name}.log")
            host.switch_on()
            stack.callback(host.switch_off)
            hosts[name] = host
        yield hosts
