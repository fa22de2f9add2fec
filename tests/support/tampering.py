"""The bench's own rows on servers of the suite, with data that is tampered with: their checks have to fail."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from bench.rows.figures import Measure, Results
from bench.system.run_options import RunOptions
from bench.system.stack import Stack
from support.world import World

DOUBLED = (
    "CREATE FUNCTION doubled() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    "INSERT INTO ledger (submission, period_id, user_id, delta) "
    "VALUES (NEW.submission, NEW.period_id, NEW.user_id, NEW.delta); RETURN NULL; END $$",
    "CREATE TRIGGER doubled AFTER INSERT ON ledger FOR EACH ROW WHEN (pg_trigger_depth() = 0) "
    "EXECUTE FUNCTION doubled()",
)
"""Every submission is twice in the ledger."""

SWALLOWED = (
    "CREATE FUNCTION swallowed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    "RETURN CASE WHEN NEW.reached = 7 THEN NULL ELSE NEW END; END $$",
    "CREATE TRIGGER swallowed BEFORE INSERT ON score FOR EACH ROW EXECUTE FUNCTION swallowed()",
)
"""The row of one player is not written."""


def lose_an_entry(stack: Stack) -> None:
    """Take the best player off a board in Redis."""
    prefix = stack.settings.redis_prefix
    for key in stack.redis.call("KEYS", f"{prefix}:*}}:z:*"):
        assert stack.redis.call("ZREMRANGEBYRANK", key, 0, 0) == 1
        return
    raise AssertionError("there is no board")


def alter_an_entry(stack: Stack) -> None:
    """Alter the score of the best player of a board in Redis. No read sees that, so no relay is asked to mend it."""
    (key, *_) = stack.redis.call("KEYS", f"{stack.settings.redis_prefix}:*}}:z:*")
    (member,) = stack.redis.call("ZRANGE", key, 0, 0)
    stack.redis.call("ZINCRBY", key, -1, member)


class WorldStack(Stack):
    """A stack on the servers of a world. `tamper` is called before PostgreSQL and Redis are compared."""

    def __init__(self, world: World, options: RunOptions, tamper: Callable[[Stack], None] | None) -> None:
        super().__init__(options.settings, parent=options.parent, prefer=options.servers)
        self.world = world
        self.tamper = tamper

    def start_servers(self, stack: ExitStack) -> tuple[str, str]:
        return self.world.settings.database_url, self.world.settings.redis_url

    def count_sessions(self, application: str) -> int:
        return self.world.connections(application)

    def checkpoint(self) -> None:
        """The role of a world may not."""

    def find_differences(self) -> list[str]:
        if self.tamper is not None:
            self.tamper(self)
        return super().find_differences()


class WorldOptions(RunOptions, frozen=True, kw_only=True):
    """Short rounds on the servers of a world."""

    world: Any
    tamper: Any = None

    def stack(self) -> WorldStack:
        return WorldStack(self.world, self, self.tamper)


def options(world: World, parent: Path, tamper: Callable[[Stack], None] | None = None) -> WorldOptions:
    """Options of a run of a second. No relay mends what was tampered with."""
    return WorldOptions(
        settings=msgspec.structs.replace(world.settings, workers=1, relays=1, relay_sample_ms=3_600_000),
        parent=parent,
        servers="auto",
        seconds=1,
        connections=4,
        players=200,
        hints=1_000,
        samples=2,
        rate=100,
        seed=1,
        world=world,
        tamper=tamper,
    )


def only(results: Results) -> Measure:
    """The one row that was measured."""
    ((_, measure),) = results
    return measure
