"""How often a world's processes call its Redis. Other worlds of the same server do not count."""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from board.redis.options import parse_redis_url
from support.waiting import eventually
from support.world import NAME, World

LOOKS: Final = ("evalsha_ro", "hget")
"""Commands that ask for a board or a fence."""
PREFIX: Final = re.compile(rf"\b({NAME.pattern}):")


class Calls:
    """The commands since the beginning, by name, as MONITOR tells them. Those from inside of scripts do not count."""

    def __init__(self, world: World, server: Any, monitor: Any) -> None:
        self._world: Final = world
        self._server: Final = server
        self._monitor: Final = monitor
        self._database: Final = parse_redis_url(world.settings.redis_url).db
        self._found: Final[Counter[str]] = Counter()

    def count(self, *names: str) -> int:
        """How often these commands, in lower case, have been called so far."""
        mark = secrets.token_hex(8)
        self._server.echo(mark)
        # What was called before the mark is told before it.
        while mark not in (call := self._monitor.next_command())["command"]:
            keys_of = set(PREFIX.findall(call["command"]))
            if call["client_type"] != "lua" and call["db"] == self._database and keys_of <= {self._world.name}:
                self._found[call["command"].partition(" ")[0].lower()] += 1
        return sum(self._found[name] for name in names)


@contextmanager
def counting_calls(world: World) -> Iterator[Calls]:
    """Count from now on. On a cluster only the node of the season "s" is looked at."""
    server = world.server_of("s")
    with server.monitor() as monitor:
        yield Calls(world, server, monitor)


def wait_for_looks(world: World, number: int = 3) -> None:
    """Until Redis has been asked some more times."""
    with counting_calls(world) as calls:
        eventually(lambda: calls.count(*LOOKS) >= number)
