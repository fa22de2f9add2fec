"""Limits of a key and of a player: quotas in Redis, shared by all workers of all hosts, spent before anything is done.

One script call for each request, on the connection the reads share. The headers are those of
draft-ietf-httpapi-ratelimit-headers-10.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from board.config.settings import Settings
from board.errors import BoardUnavailable
from board.redis.async_redis import AsyncRedis
from board.redis.keyspace import Keyspace
from board.redis.scripts import script
from service.access.grant import Grant
from service.contract import problems
from service.contract.answers import Answer

log: Final = logging.getLogger(__name__)

LIMIT: Final = script("limit")
SECOND_US: Final = 1_000_000

Headers = tuple[tuple[str, str], ...]


class Quota(msgspec.Struct, frozen=True, gc=False):
    """So many units in a window; they come back one by one, each after `each_us`."""

    name: str
    units: int
    window_s: int
    each_us: int
    whole_us: int

    def format_items(self, left_us: int) -> tuple[str, str]:
        """Its items in `RateLimit-Policy` and `RateLimit`, when it will be full again in `left_us`."""
        rest = self.whole_us - left_us
        units = max(0, rest // self.each_us)
        # t: until there is one more than now.
        wait_s = max(1, -((rest - (units + 1) * self.each_us) // SECOND_US))
        return f'"{self.name}";q={self.units};w={self.window_s}', f'"{self.name}";r={units};t={wait_s}'


def make_quota(name: str, units: int, window_s: int) -> Quota | None:
    """A quota; None for 0 units, which stands for no limit."""
    each_us = window_s * SECOND_US // units if units else 0
    return Quota(name, units, window_s, each_us, each_us * units) if units else None


def make_quotas(s: Settings, redis: AsyncRedis, keys: Keyspace) -> Quotas | None:
    """The quotas of keys and players that the settings name; None when there are none."""
    key, player = (
        make_quota(name, n, s.limit_window_s) for name, n in (("key", s.limit_key), ("player", s.limit_player))
    )
    if key is None and player is None:
        return None
    closed = s.limit_fail == "closed"
    return Quotas(redis, keys, key=key, player=player, deadline_s=s.limit_deadline_ms / 1000, closed=closed)


class Quotas:
    """All quotas, as one worker sees them. Each request pays before anything is done for it."""

    def __init__(
        self,
        pipe: AsyncRedis,
        keys: Keyspace,
        *,
        key: Quota | None,
        player: Quota | None,
        deadline_s: float,
        closed: bool,
    ) -> None:
        self._pipe: Final = pipe
        self._keys: Final = keys
        self._key: Final = key
        self._player: Final = player
        self._deadline_s: Final = deadline_s
        self._closed: Final = closed
        self._failing = False

    async def charge(self, grant: Grant, units: int = 1, users: Mapping[str, int] | None = None) -> Headers | Answer:
        """Spend, and return the headers that tell of it; or, with nothing spent, the answer that says why.

        Whoever comes with a player's token pays as that player; a key pays for itself and for `users`.
        """
        spends: list[tuple[Quota, str, int]] = []
        if grant.player is not None:
            if self._player is not None:
                spends.append((self._player, grant.name, units))
        else:
            if self._key is not None:
                spends.append((self._key, grant.name, units))
            if self._player is not None and users:
                player = self._player
                spends += [(player, f"u:{user}", count) for user, count in users.items()]
        if not spends:
            return ()
        for asked, name, count in spends:
            if count > asked.units:
                return refuse_for_ever(asked, name, count)
        arguments: list[bytes] = [b"%d" % len(spends), *(self._keys.limit(name.encode()) for _, name, _ in spends)]
        for asked, _, count in spends:
            arguments += (b"%d" % asked.each_us, b"%d" % asked.whole_us, b"%d" % count)
        try:
            reply: list[int] = await self._pipe.run(LIMIT, *arguments, writes=True, deadline_s=self._deadline_s)
        except BoardUnavailable as error:
            return self._answer_without_redis(error)
        if self._failing:
            self._failing = False
            log.info("limits are kept again")
        if reply[0]:
            asked, name, _ = spends[reply[0] - 1]
            return refuse_for_now(asked, name, wait_us=reply[1], left_us=reply[2])
        told: dict[str, tuple[Quota, int]] = {}
        for (asked, _, _), left_us in zip(spends, reply[1:], strict=True):
            # Of many players the one who has least left.
            if asked.name not in told or told[asked.name][1] < left_us:
                told[asked.name] = asked, left_us
        return make_headers(told.values())

    def _answer_without_redis(self, error: BoardUnavailable) -> Headers | Answer:
        """Redis cannot be asked."""
        if not self._failing:
            self._failing = True
            log.warning("limits are not kept, requests are %s: %s", "refused" if self._closed else "let through", error)
        return problems.LIMITS_UNAVAILABLE.answer if self._closed else ()


def make_headers(told: Iterable[tuple[Quota, int]]) -> Headers:
    """Both headers, for quotas that will be full again in so many microseconds."""
    items = [asked.format_items(left_us) for asked, left_us in told]
    return (
        ("ratelimit-policy", ", ".join(policy for policy, _ in items)),
        ("ratelimit", ", ".join(state for _, state in items)),
    )


def name_payer(name: str) -> str:
    """Of whom a refusal tells."""
    return "The key" if name.startswith("k:") else f"Player {name[2:]}"


def refuse_for_now(asked: Quota, name: str, *, wait_us: int, left_us: int) -> Answer:
    """The refusal of a request that has to wait."""
    answer = problems.RATE_LIMITED.with_detail(f"{name_payer(name)} has used up the quota; nothing was done.")
    return msgspec.structs.replace(
        answer, retry_after_s=-(-wait_us // SECOND_US), headers=make_headers(((asked, left_us),))
    )


def refuse_for_ever(asked: Quota, name: str, count: int) -> Answer:
    """The refusal of a batch that no waiting makes possible."""
    return problems.BATCH_OVER_LIMIT.with_detail(
        f"{name_payer(name)} has {count} submissions in this batch, and a quota of {asked.units}; nothing was written."
    )
