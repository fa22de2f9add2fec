"""The sampler of profiles: finds differences between a partition's profiles in PostgreSQL and in Redis.

As with boards, each suspicion is confirmed under the partition's claim, without the players that have hints.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Final

from board.partitions import PARTITIONS
from board.redis.replies import describe, raise_server_error
from board.redis.sync_redis import ResponseError
from relay.batch import claim
from relay.session import RelaySession

PLAYERS: Final = 4
COUNTED: Final = 2_000
NOT_CARRIED: Final = "a release without profiles has written"
"""No drift, but an upgrade under way: that release drops hints of profiles."""


class ProfileSampler:
    """Looks at the notes of all partitions, and at the profiles of one, the next at each look."""

    def __init__(self, randomness: random.Random) -> None:
        self.next = randomness.randrange(PARTITIONS)

    def look(self, session: RelaySession) -> Iterator[tuple[int, str]]:
        """Compare; yields (partition, difference) of those that really differ."""
        keys = session.keys
        held = session.redis.pipeline(*(("HMGET", key, "fence", "profiled") for key in keys.watermark))
        raise_server_error(*held)
        odd = {at for at, one in enumerate(held) if not isinstance(one, ResponseError) and one[0] != one[1]}
        partition, self.next = self.next, (self.next + 1) % PARTITIONS
        users: set[str] = set()
        size, fields, noted = session.redis.pipeline(
            ("HLEN", keys.profiles[partition]),
            ("HRANDFIELD", keys.profiles[partition], PLAYERS),
            ("HGET", keys.watermark[partition], "profiles"),
        )
        raise_server_error(size, fields, noted)
        known = session.value("count_profiles", partition=partition, most=COUNTED + 1)
        if (
            isinstance(size, ResponseError)
            or (known != size if known <= COUNTED else size <= COUNTED)
            or has_other_number(noted, size)
        ):
            odd.add(partition)
        elif fields:
            users = find_odd_players(session, partition, [field.decode("utf-8", "replace") for field in fields])
        for suspect in sorted(odd | ({partition} if users else set())):
            if why := confirm_profiles(session, suspect, users if suspect == partition else set()):
                yield suspect, why


def has_other_number(noted: Any, size: int) -> bool:
    """Whether the note of a partition tells another number of profiles. A missing note tells of none."""
    return isinstance(noted, bytes) and not noted.startswith(b"%d:" % size)


def find_odd_players(session: RelaySession, partition: int, users: list[str]) -> set[str]:
    """Of these players, and of the next ones by name, those whose profiles differ."""
    rows = session.fetch("sample_profiles", partition=partition, users=users, after=users[0])
    wanted = {**dict.fromkeys(users), **{row.user_id: row.shown for row in rows}}
    held: list[Any] = session.redis.call("HMGET", session.keys.profiles[partition], *wanted)
    return {
        user
        for (user, shown), text in zip(wanted.items(), held, strict=True)
        if text != (None if shown is None else shown.encode())
    }


def confirm_profiles(session: RelaySession, partition: int, users: set[str], *, count: bool = True) -> str | None:
    """The difference, read under the claim; empty if there is none, None if it cannot be known now.

    With `count` the profiles in PostgreSQL are counted, too. Raises `psycopg.errors.SerializationFailure`.
    """
    with session.beat.waiting(), session.snapshot():
        if claim(session, partition) is None:
            return None
        hinted = {row.user_id for row in session.fetch("unsettled_users", partition=partition, period=0)}
        size, held = session.redis.pipeline(
            ("HLEN", session.keys.profiles[partition]),
            ("HMGET", session.keys.watermark[partition], "fence", "profiled", "profiles"),
        )
        raise_server_error(size, held)
        if isinstance(held, ResponseError) or held[0] is None:
            return ""  # the whole partition is lost: the check of the watermarks finds that
        if isinstance(size, ResponseError):
            return describe(size)
        if held[0] != held[1]:
            return NOT_CARRIED
        if has_other_number(held[2], size):
            return f"{size} profiles, noted are {held[2]!r}"
        if count and not hinted:
            known = session.value("count_profiles", partition=partition, most=None)
            if known != size:
                return f"{known} profiles, {size} in Redis"
        settled = sorted(users - hinted)
        odd = find_odd_players(session, partition, settled) - hinted if settled else set()
        return f"profile of {min(odd)!r}" if odd else ""
