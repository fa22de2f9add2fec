"""A stack whose Redis is plain nodes: a single one, or a cluster without replicas."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench.system.stack import POLL_S, READY_WITHIN_S, Stack, discard, free_port
from board.config.settings import Settings
from board.errors import BoardUnavailable, ChildFailed, ServerUnreachable
from board.process.children import spawn, terminate
from board.redis.options import Address, parse_redis_url
from board.redis.replies import parse_info
from board.redis.topology.asking import ask
from board.redis.topology.layout import SLOTS
from ctl.embedded import Embedded, Prefer
from ctl.embedded.installations import find_redis

ANSWER_S: Final = 2.0


class NodeStack(Stack):
    """`masters` nodes that share the slots of a cluster equally; 0 is a single Redis, with the same settings."""

    def __init__(self, base: Settings, *, parent: Path, prefer: Prefer, masters: int) -> None:
        super().__init__(base, parent=parent, prefer=prefer)
        self.masters: Final = masters

    def start_servers(self, stack: ExitStack) -> tuple[str, str]:
        """Start PostgreSQL and the nodes, to be stopped by `stack`; returns their URLs. Raises `ServerUnreachable`."""
        data = self._root / "data"
        embedded = stack.enter_context(
            Embedded(data, postgres=True, redis=False, report=discard, prefer=self.prefer, durable=True)
        )
        installation = find_redis(self.prefer, None)[0]
        nodes = [self._start(stack, installation.program, number) for number in range(max(1, self.masters))]
        if self.masters:
            self._join(nodes)
        self.servers = [*(line.partition(" in ")[0] for line in embedded.describe()), installation.label]
        return embedded.database_url or "", "redis://" + ",".join(map(str, nodes))

    def _start(self, stack: ExitStack, program: Path, number: int) -> Address:
        """Start a node with an append-only file, and wait until it answers."""
        address = Address("127.0.0.1", free_port())
        home = self._root / f"node{number}"
        home.mkdir()
        lines = [f"port {address.port}", f"dir {home}", "bind 127.0.0.1", 'save ""', "appendonly yes"]
        if self.masters:
            lines += ["cluster-enabled yes", f"cluster-port {free_port()}"]
        config, log = home / "node.conf", home / "log"
        config.write_text("\n".join([*lines, ""]), encoding="utf-8")
        with log.open("wb") as output:
            process = spawn([str(program), str(config)], cwd=home, stdout=output, stderr=output)
        stack.callback(terminate, process, timeout=ANSWER_S)
        self._wait(lambda: _ask(address, ("PING",)) == [b"PONG"], process, log)
        return address

    def _join(self, nodes: list[Address]) -> None:
        """Give each node its slots, and let all know each other."""
        for number, node in enumerate(nodes):
            first, last = SLOTS * number // len(nodes), SLOTS * (number + 1) // len(nodes) - 1
            _ask(
                node,
                ("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1)),
                ("CLUSTER", "ADDSLOTSRANGE", str(first), str(last)),
            )
        for node in nodes[1:]:
            ((_, bus),) = _ask(node, ("CONFIG", "GET", "cluster-port"))
            _ask(nodes[0], ("CLUSTER", "MEET", node.host, str(node.port), bus.decode()))
        for node in nodes:
            self._wait(partial(_is_complete, node, len(nodes)))

    def _wait(
        self, ready: Callable[[], bool], process: subprocess.Popen[bytes] | None = None, log: Path | None = None
    ) -> None:
        until = time.monotonic() + READY_WITHIN_S
        while not ready():
            if process is not None and log is not None and process.poll() is not None:
                raise ChildFailed(
                    f"a node ended with status {process.returncode}: {log.read_text(errors='replace')[-300:]}"
                )
            if time.monotonic() > until:
                raise ServerUnreachable(f"the nodes were not ready within {READY_WITHIN_S:.0f} s")
            time.sleep(POLL_S)


def _ask(address: Address, *commands: tuple[str, ...]) -> list[Any]:
    """The replies of a node; none if it does not answer."""
    replies: list[Any] = []
    with suppress(BoardUnavailable):
        replies = ask(parse_redis_url(f"redis://{address}"), address, ANSWER_S, *commands)
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


def _is_complete(node: Address, masters: int) -> bool:
    """Whether a node knows all masters, and serves."""
    (info,) = _ask(node, ("CLUSTER", "INFO"))
    facts = parse_info(info)
    return facts["cluster_state"] == "ok" and facts["cluster_size"] == str(masters)
