"""Several Debian 12 hosts on one bridge, each a systemd-nspawn machine in a network namespace of its own."""

from __future__ import annotations

import ipaddress
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from deploy_host import Host
from deploy_tree import HOST_PACKAGES, connect_to_registries, overlay, run, tree


@contextmanager
def bridge(names: Sequence[str]) -> Iterator[list[str]]:
    """A namespace for each name, all on one bridge behind address translation: yields their addresses in order."""
    block = ipaddress.ip_network("10.232.0.0/16")
    net = ipaddress.ip_network((int(block[0]) + os.getpid() % 4096 * 16, 28))
    gateway, *hosts = (f"{address}" for address in net.hosts())
    middle = f"lbf{os.getpid()}"
    rule = ["POSTROUTING", "-s", f"{net}", "!", "-d", f"{net}", "-j", "MASQUERADE"]
    forward = Path("/proc/sys/net/ipv4/ip_forward")
    forwarded = forward.read_text()
    addresses = hosts[: len(names)]
    with ExitStack() as undo:
        run("ip", "link", "add", middle, "type", "bridge")
        undo.callback(run, "ip", "link", "delete", middle)
        run("ip", "address", "add", f"{gateway}/28", "dev", middle)
        run("ip", "link", "set", middle, "up")
        for number, (name, address) in enumerate(zip(names, addresses, strict=True)):
            link = f"{middle}-{number}"
            run("ip", "netns", "add", name)
            undo.callback(run, "ip", "netns", "delete", name)
            run("ip", "link", "add", link, "type", "veth", "peer", "name", "host0", "netns", name)
            undo.callback(run, "ip", "link", "delete", link, check=False)
            run("ip", "link", "set", link, "master", middle, "up")
            run("ip", "-n", name, "address", "add", f"{address}/28", "dev", "host0")
            for device in ("lo", "host0"):
                run("ip", "-n", name, "link", "set", device, "up")
            run("ip", "-n", name, "route", "add", "default", "via", gateway)
        run("iptables", "-t", "nat", "-A", *rule)
        undo.callback(run, "iptables", "-t", "nat", "-D", *rule)
        forward.write_text("1")
        undo.callback(forward.write_text, forwarded)
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
            (root / "etc/hostname").write_text(f"{name}\n")
            (root / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
            shutil.copy(key.with_suffix(".pub"), root / "root/.ssh/authorized_keys")
            host = Host(space, address, key, root, directory / f"{name}.log")
            host.switch_on()
            stack.callback(host.switch_off)
            hosts[name] = host
        yield hosts
