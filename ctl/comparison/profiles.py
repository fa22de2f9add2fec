"""The profiles of one partition of PostgreSQL compared with Redis."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from board.redis.sync_redis import ResponseError
from ctl.comparison.difference import Differences
from ctl.comparison.sides import Sides

NO_PERIOD: Final = 0
"""In the place of a period in the hints of profiles."""


def compare_profiles(sides: Sides, partition: int, differences: Differences) -> set[str]:
    """Compare every profile, and the note by which readers know their number; returns the players that have hints.

    Memory holds a page of profiles, unless there are differences to name.
    """
    hinted = {user for user in sides.hinted_users(partition, NO_PERIOD) if user is not None}
    try:
        settled = 0
        for page in sides.postgres_profiles(partition):
            shown: dict[str, str | None] = {user: profile for user, profile in page if user not in hinted}
            compare_shown(sides, partition, shown, differences)
            settled += len(shown)
        size, noted = sides.redis_profile_sizes(partition)
        unsettled = sum(profile is not None for profile in sides.redis_profiles(partition, hinted).values())
        if size - unsettled > settled:
            name_strays(sides, partition, hinted, differences)
        if noted is not None and noted != size:
            differences.add("", "", "number of profiles", size, noted)
    except ResponseError as error:
        differences.add("", "", f"the profiles cannot be read: {error}")
    return hinted


def compare_hinted(sides: Sides, partition: int, users: Collection[str], differences: Differences) -> set[str]:
    """Compare the profiles of these players, who had hints; returns those who still have some."""
    hinted = {user for user in sides.hinted_users(partition, NO_PERIOD) if user is not None}
    settled = [user for user in users if user not in hinted]
    compare_shown(sides, partition, sides.postgres_profiles_of(partition, settled), differences)
    return {*users} & hinted


def compare_shown(sides: Sides, partition: int, shown: dict[str, str | None], differences: Differences) -> None:
    """Compare profiles, by player; None: the player has none."""
    for user, profile in sides.redis_profiles(partition, shown).items():
        if profile != shown[user]:
            differences.add("", user, "profile", shown[user], profile)


def name_strays(sides: Sides, partition: int, hinted: set[str], differences: Differences) -> None:
    """Name the profiles that only Redis has. Holds all its players in memory."""
    for user in sides.redis_profile_players(partition):
        if user not in hinted and sides.postgres_profiles_of(partition, [user])[user] is None:
            differences.add("", user, "profile is not in PostgreSQL")
