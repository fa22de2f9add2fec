"""Limits of a key and of a player: quotas in Redis, shared by all workers of all hosts, spent before anything is done.

One script call for each request, on the connection the reads share. The headers are those of
draft-ietf-httpapi-ratelimit-headers-10.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

import msgspec

from board.errors import BoardUnavailable
from board.redis.async_redis import AsyncRedis
from board.redis.keyspace import Keyspace
from board.redis.scripts import script
from service.access.grant import Grant
from service.contract import problems
from service.contract.answers import Answer, Order
from service.contract.types import USER_ID_MAX, LooseBatch
from service.contract.validation import is_plain

log: Final = logging.getLogger("service.quotas")

LIMIT: Final = script("limit")
SECOND_US: Final = 1_000_000

Headers = tuple[tuple[str, str], ...]


class Named(msgspec.Struct, frozen=True, gc=False):
    """All that a quota needs to know of a submission."""

    userId: str


_decode_one = msgspec.json.Decoder(Named).decode
_decode_several = msgspec.json.Decoder(LooseBatch).decode


UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Whatever this happens to is nobody's, and will be refused for it; the request counts."""


class Quota(msgspec.Struct, frozen=True, gc=False):
    """So many units in a window; they come back one by one, each after `each_us`."""

    name: str
    units: int
    window_s: int
    each_us: int
    whole_us: int

    def headers(self, left_us: int) -> tuple[str, str]:
        """Its items in `RateLimit-Policy` and `RateLimit`, when it will be full again in `left_us`."""
        rest = self.whole_us - left_us
        units = max(0, rest // self.each_us)
        # t: until there is one more than now.
        wait_s = max(1, -((rest - (units + 1) * self.each_us) // SECOND_US))
        return f'"{self.name}";q={self.units};w={self.window_s}', f'"{self.name}";r={units};t={wait_s}'


def quota(name: str, units: int, window_s: int) -> Quota | None:
    """A quota; None for 0 units, which stands for no limit."""
    each_us = window_s * SECOND_US // units if units else 0
    return Quota(name, units, window_s, each_us, each_us * units) if units else None


class Quotas:
    """All quotas, as one worker sees them. Each of the three ways to ask pays, and then does what was ordered."""

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

    async def plain(self, grant: Grant, order: Order, body: bytes) -> Answer:
        """A request that counts as one."""
        return await self._paid(grant, 1, {}, order, body)

    async def one(self, grant: Grant, order: Order, body: bytes) -> Answer:
        """A submission: one for the key, one for the player it names."""
        people: list[Named] = []
        with suppress(*UNREADABLE):
            people.append(_decode_one(body))
        return await self._paid(grant, 1, named(people), order, body)

    async def several(self, grant: Grant, order: Order, body: bytes) -> Answer:
        """A batch: as many as there are items in it."""
        people: list[Named] = []
        items: list[msgspec.Raw] = []
        with suppress(*UNREADABLE):
            items = _decode_several(body).submissions
        for item in items:
            with suppress(*UNREADABLE):
                people.append(_decode_one(item))
        return await self._paid(grant, max(1, len(items)), named(people), order, body)

    async def _paid(self, grant: Grant, units: int, users: Mapping[str, int], order: Order, body: bytes) -> Answer:
        paid = await self.charge(grant, units, users)
        if isinstance(paid, Answer):
            return paid
        answer = await order(body)
        return msgspec.structs.replace(answer, headers=(*answer.headers, *paid)) if paid else answer

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
                return never(asked, name, count)
        arguments: list[bytes] = [b"%d" % len(spends), *(self._keys.limit(name.encode()) for _, name, _ in spends)]
        for asked, _, count in spends:
            arguments += (b"%d" % asked.each_us, b"%d" % asked.whole_us, b"%d" % count)
        try:
            reply: list[int] = await self._pipe.run(LIMIT, *arguments, writes=True, deadline_s=self._deadline_s)
        except BoardUnavailable as error:
            return self._without(error)
        if self._failing:
            self._failing = False
            log.info("limits are kept again")
        if reply[0]:
            asked, name, _ = spends[reply[0] - 1]
            return spent(asked, name, wait_us=reply[1], left_us=reply[2])
        told: dict[str, tuple[Quota, int]] = {}
        for (asked, _, _), left_us in zip(spends, reply[1:], strict=True):
            # Of many players the one who has least left.
            if asked.name not in told or told[asked.name][1] < left_us:
                told[asked.name] = asked, left_us
        return headers(told.values())

    def _without(self, error: BoardUnavailable) -> Headers | Answer:
        """Redis cannot be asked."""
        if not self._failing:
            self._failing = True
            log.warning("limits are not kept, requests are %s: %s", "refused" if self._closed else "let through", error)
        return problems.LIMITS_UNAVAILABLE.answer if self._closed else ()


def named(people: Iterable[Named]) -> Mapping[str, int]:
    """How many submissions each player has there."""
    return Counter(one.userId for one in people if is_plain(one.userId, USER_ID_MAX))


def headers(told: Iterable[tuple[Quota, int]]) -> Headers:
    """Both headers, for quotas that will be full again in so many microseconds."""
    items = [asked.headers(left_us) for asked, left_us in told]
    return (
        ("ratelimit-policy", ", ".join(policy for policy, _ in items)),
        ("ratelimit", ", ".join(state for _, state in items)),
    )


def whose(name: str) -> str:
    """Of whom a refusal tells."""
    return "The key" if name.startswith("k:") else f"Player {name[2:]}"


def spent(asked: Quota, name: str, *, wait_us: int, left_us: int) -> Answer:
    """The refusal of a request that has to wait."""
    answer = problems.RATE_LIMITED.saying(f"{whose(name)} has used up the quota; nothing was done.")
    return msgspec.structs.replace(answer, retry_after_s=-(-wait_us // SECOND_US), headers=headers(((asked, left_us),)))


def never(asked: Quota, name: str, count: int) -> Answer:
    """The refusal of a batch that no waiting makes possible."""
    return problems.BATCH_OVER_LIMIT.saying(
        f"{whose(name)} has {count} submissions in this batch, and a quota of {asked.units}; nothing was written."
    )
