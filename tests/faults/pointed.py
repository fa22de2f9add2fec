"""A relay that kills or stops itself at a named point of a batch: ``python -m faults.pointed POINT SIGNAL PASS``.

It is the product's relay, its parts composed as `relay.__main__` does, around a session that counts how often it came
to the point. Only batches with hints count, so that the crash always finds work in hand.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any, Final

from board.config.load import load
from board.config.settings import Settings
from board.observe.log import setup
from board.process.stop import Stop
from board.redis.keyspace import Keyspace
from board.redis.scripts import Script
from board.redis.sync_redis import SyncRedis
from relay.actor import Relay
from relay.session import RelaySession

POINTS: Final = (
    "after-claim",
    "after-take",
    "mid-payload",
    "after-script",
    "before-commit",
    "before-swap",
    "after-swap",
)


class Bomb:
    """Counts passes of one point, and acts at the one it was made for."""

    def __init__(self, point: str, number: signal.Signals, at: int) -> None:
        self.point: Final = point
        self.number: Final = number
        self.left = at

    def due(self, point: str) -> bool:
        """Whether this is the pass; counts it."""
        if point != self.point:
            return False
        self.left -= 1
        return self.left == 0

    def act(self) -> None:
        """End, or stand still until SIGCONT."""
        os.kill(os.getpid(), self.number)

    def pass_by(self, point: str) -> None:
        """Count a pass, and act if it is the one."""
        if self.due(point):
            self.act()


class TornRedis(SyncRedis):
    """Sends half of a payload before the process ends."""

    bomb: Bomb

    def run(self, script: Script, keys: list[bytes], args: list[bytes], groups: Any = ()) -> Any:
        if groups and self.bomb.due("mid-payload"):
            from _speedups import build_apply

            payload = build_apply(script.sha, keys, args, groups)
            self._connection.send_packed_command([payload[: len(payload) // 2]], check_health=False)
            self.bomb.act()
        swapping = not groups and len(keys) > 3
        if swapping:
            self.bomb.pass_by("before-swap")
        answer = super().run(script, keys, args, groups)
        if swapping:
            self.bomb.pass_by("after-swap")
        elif groups:
            self.bomb.pass_by("after-script")
        return answer


class PointedSession(RelaySession):
    """A session with a bomb in it."""

    def __init__(self, bomb: Bomb, settings: Settings, keys: Keyspace) -> None:
        super().__init__(
            settings.database_url,
            settings.redis_url,
            keys,
            limit=settings.relay_batch,
            redis_timeout_s=settings.redis_timeout_ms / 1000,
        )
        self.bomb: Final = bomb
        torn = TornRedis(settings.redis_url, "leaderboard-relay", settings.redis_timeout_ms / 1000)
        torn.bomb = bomb
        torn.connect()
        self.redis.close()
        self.redis = torn  # type: ignore[misc]

    def fetch(self, name: str, **parameters: Any) -> list[Any]:
        rows = super().fetch(name, **parameters)
        if name == "claim" and rows:
            self.bomb.pass_by("after-claim")
        elif name == "take" and rows[0].hints:
            self.bomb.pass_by("after-take")
        return rows

    def execute(self, name: str, **parameters: Any) -> None:
        super().execute(name, **parameters)
        if name == "commit_fence":
            self.bomb.pass_by("before-commit")


class PointedRelay(Relay):
    """A relay whose sessions carry the bomb; it goes off once."""

    bomb: Bomb

    def connect(self) -> RelaySession:
        return PointedSession(self.bomb, self.settings, self.keys)


def main(argv: list[str]) -> int:
    """Compose and run."""
    point, number, at = argv
    assert point in POINTS
    settings = load()
    setup(settings.log_level)
    relay = PointedRelay(settings, Stop())
    relay.bomb = Bomb(point, signal.Signals[number], int(at))
    relay.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
