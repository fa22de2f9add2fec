"""Differences between PostgreSQL and Redis, counted and named."""

from __future__ import annotations

from typing import Any, Final

import msgspec

NAMED_MOST: Final = 1_000


class Difference(msgspec.Struct, frozen=True):
    """One difference: the values of both sides. `user` is empty for a whole season, `season` for a partition."""

    season: str
    user: str
    what: str
    postgres: Any = None
    redis: Any = None


class Differences:
    """Counts all differences in `found`, and keeps the `first` thousand of them."""

    def __init__(self) -> None:
        self.found = 0
        self.first: Final[list[Difference]] = []

    def add(self, season: str, user: str, what: str, postgres: Any = None, redis: Any = None) -> None:
        """Count a difference."""
        self.found += 1
        if len(self.first) < NAMED_MOST:
            self.first.append(Difference(season, user, what, postgres, redis))
