"""Quotas of keys and players in Redis, shared by all workers of all hosts, and spent before the handler runs.

Each request is one script call, on the connection that the reads share. The headers are those of
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
    """`units` in a window of `window_s` seconds. Spent units come back one by one, each after `each_us` microseconds.

    `whole_us` is the time in which all of them come back.
    """

    name: str
    units: int
    window_s: int
    each_us: int
    whole_us: int

    def format_items(self, left_us: int) -> tuple[str, str]:
        """Format the items of `RateLimit-Policy` and `RateLimit` for a quota that is full again in `left_us`."""
        rest = self.whole_us - left_us
        units = max(0, rest // self.each_us)
        # t: the time until one more unit is free.
        wait_s = -((rest - (units + 1) * self.each_us) // SECOND_US)
        return f'"{self.name}";q={self.units};w={self.window_s}', f'"{self.name}";r={units};t={wait_s}'


def make_quota(name: str, units: int, window_s: int) -> Quota | None:
    """Make a quota; None for 0 units, which means no limit."""
    if not units:
        return None
    each_us = window_s * SECOND_US // units
    return Quota(name, units, window_s, each_us, each_us * units)


def make_quotas(s: Settings, redis: AsyncRedis, keys: Keyspace) -> Quotas | None:
    """Make the quotas of the settings; None if there are none."""
    key, player = (
        make_quota(name, n, s.limit_window_s) for name, n in (("key", s.limit_key), ("player", s.limit_player))
    )
    if key is None and player is None:
        return None
    closed = s.limit_fail == "closed"
    return Quotas(redis, keys, key=key, player=player, deadline_s=s.limit_deadline_ms / 1000, closed=closed)


class Quotas:
    """The quotas of keys and players, for one worker.

    `key` and `player` are None where there is no limit. Redis has `deadline_s` seconds to answer. Without an answer,
    requests are refused if `closed`, and let through otherwise.
    """

    def __init__(
        self,
        redis: AsyncRedis,
        keys: Keyspace,
        *,
        key: Quota | None,
        player: Quota | None,
        deadline_s: float,
        closed: bool,
    ) -> None:
        self._redis: Final = redis
        self._keys: Final = keys
        self._key: Final = key
        self._player: Final = player
        self._deadline_s: Final = deadline_s
        self._closed: Final = closed
        self._failing = False

    async def charge(self, grant: Grant, units: int = 1, users: Mapping[str, int] | None = None) -> Headers | Answer:
        """Spend units, and return the headers of the answer; or spend none, and return the refusal (413, 429, 503).

        A player's token spends the units of that player. A key spends its own, and those of `users` (units by user id).
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
        for quota, name, count in spends:
            if count > quota.units:
                return refuse_for_ever(quota, name, count)
        arguments: list[bytes] = [b"%d" % len(spends), *(self._keys.limit(name.encode()) for _, name, _ in spends)]
        for quota, _, count in spends:
            arguments += (b"%d" % quota.each_us, b"%d" % quota.whole_us, b"%d" % count)
        try:
            reply: list[int] = await self._redis.run(LIMIT, *arguments, writes=True, deadline_s=self._deadline_s)
        except BoardUnavailable as error:
            return self._answer_without_redis(error)
        if self._failing:
            self._failing = False
            log.info("quotas are enforced again")
        if reply[0]:
            quota, name, _ = spends[reply[0] - 1]
            return refuse_for_now(quota, name, wait_us=reply[1], left_us=reply[2])
        shown: dict[str, tuple[Quota, int]] = {}
        for (quota, _, _), left_us in zip(spends, reply[1:], strict=True):
            # Of many players, the one with the fewest units left.
            if quota.name not in shown or shown[quota.name][1] < left_us:
                shown[quota.name] = quota, left_us
        return make_headers(shown.values())

    def _answer_without_redis(self, error: BoardUnavailable) -> Headers | Answer:
        """Let the request through or refuse it, as the settings say."""
        if not self._failing:
            self._failing = True
            log.warning(
                "quotas are not enforced, requests are %s: %s", "refused" if self._closed else "let through", error
            )
        return problems.LIMITS_UNAVAILABLE.answer if self._closed else ()


def make_headers(states: Iterable[tuple[Quota, int]]) -> Headers:
    """Make both headers, for quotas with the microseconds after which each is full again."""
    items = [quota.format_items(left_us) for quota, left_us in states]
    return (
        ("ratelimit-policy", ", ".join(policy for policy, _ in items)),
        ("ratelimit", ", ".join(state for _, state in items)),
    )


def name_payer(name: str) -> str:
    """Name the key or player for the text of a refusal."""
    return "The key" if name.startswith("k:") else f"Player {name[2:]}"


def refuse_for_now(quota: Quota, name: str, *, wait_us: int, left_us: int) -> Answer:
    """Refuse a request that may be sent again after `wait_us` microseconds (429)."""
    answer = problems.RATE_LIMITED.with_detail(f"{name_payer(name)} has used up the quota; nothing was done.")
    return msgspec.structs.replace(
        answer, retry_after_s=-(-wait_us // SECOND_US), headers=make_headers(((quota, left_us),))
    )


def refuse_for_ever(quota: Quota, name: str, count: int) -> Answer:
    """Refuse a batch that is larger than the whole quota (413)."""
    return problems.BATCH_OVER_LIMIT.with_detail(
        f"{name_payer(name)} has {count} submissions in this batch, and a quota of {quota.units}; nothing was written."
    )
