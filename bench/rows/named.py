"""Players with profiles: the reads of boards that show names."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.load.closed_loop import do_nothing
from bench.system.stack import Stack
from board.partitions import partition_of
from board.pg.queries import queries


def name_of(user: str) -> str:
    """The display name of a player."""
    return f"Name of {user}"


def name_players(stack: Stack, users: Sequence[str], are_shown: Callable[[], bool]) -> None:
    """Write a profile for each player, and wait until boards show them. Raises `ServerUnreachable`."""
    with stack.db.transaction():
        for user in users:
            place = {"partition": partition_of(user), "user": user}
            stack.db.execute(queries()["add_profile"], {**place, "name": name_of(user), "attributes": "{}"})
    stack.poke({partition_of(user) for user in users})
    stack.wait_until_empty()
    stack.wait(are_shown, do_nothing)
