"""Bans, and players that are hidden: no board shows them when the answer comes, and all that was comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from board.audit import Act, Action
from board.errors import OutcomeUnknown, ServerUnreachable, StoreUnavailable
from board.pg.read_connection import ReadConnection
from board.pg.write_connection import Transaction, WriteConnection
from board.redis.poke import Poker
from service.access.caller import Caller
from service.contract.answers import Answer
from service.contract.problems import SEASON_NOT_FOUND, Rejected
from service.contract.streams import STREAM_LAG_S
from service.moderation.problems import INVALID_UNTIL, MODERATION_PENDING
from service.moderation.types import Ban, BanWanted, Hiding, Moderation, Moderator

POLL_S: Final = 0.005
"""The pause between two looks at the hints."""

_encode: Final = msgspec.json.Encoder().encode


class PlayerModerator:
    """The moderation of one worker. Each request has `deadline_s` seconds; `cache_s` is the time for which workers
    reuse a top list. All raise `StoreUnavailable` and `ServerUnreachable`, and those that change something also
    `OutcomeUnknown`.
    """

    def __init__(
        self, reads: ReadConnection, writes: WriteConnection, poker: Poker, *, deadline_s: float, cache_s: float
    ) -> None:
        self._read: Final = reads.read
        self._writes: Final = writes
        self._poker: Final = poker
        self._deadline_s: Final = deadline_s
        self._cache_s: Final = cache_s
        self._loop: Final = asyncio.get_running_loop()

    async def ban(self, user: str, wanted: BanWanted, caller: Caller) -> Answer:
        """Ban a player (`Moderation`, 200; or `MODERATION_PENDING`). A ban that there is gets replaced.

        Raises `Rejected` for an end that has passed, and for a season that there is not.
        """
        fields = {"seasons": wanted.named_seasons, "until": wanted.end, "reason": wanted.reason}
        return await self._change(user, "player.ban", "ban_player", find_act(caller, wanted.reason), fields)

    async def unban(self, user: str, reason: str | None, caller: Caller) -> Answer:
        """End a player's ban (`Moderation`, 200; or `MODERATION_PENDING`)."""
        return await self._change(user, "player.unban", "unban_player", find_act(caller, reason))

    async def hide(self, user: str, reason: str | None, caller: Caller) -> Answer:
        """Hide a player from all boards (`Moderation`, 200; or `MODERATION_PENDING`)."""
        act = find_act(caller, reason)
        return await self._change(user, "player.hide", "hide_player", act, {"reason": act.reason})

    async def show(self, user: str, reason: str | None, caller: Caller) -> Answer:
        """Show a hidden player again (`Moderation`, 200; or `MODERATION_PENDING`)."""
        return await self._change(user, "player.show", "show_player", find_act(caller, reason))

    async def read_state(self, user: str) -> Answer:
        """Read whether a player is banned or hidden (`Moderation`, 200)."""
        return Answer(200, _encode(make_state(user, await self._read("restriction", {"user": user}))))

    async def _change(
        self, user: str, action: Action, statement: str, act: Act, fields: dict[str, Any] | None = None
    ) -> Answer:
        deadline = self._loop.time() + self._deadline_s
        async with self._writes.transaction() as transaction:
            state = await change_restriction(transaction, user, action, statement, act, fields)
        # From here on it counts. What is left is done by the keeper, if not here.
        try:
            has_hints = await self._carry(user, deadline)
        except (StoreUnavailable, ServerUnreachable, OutcomeUnknown):
            return MODERATION_PENDING.answer
        if has_hints is None:
            return MODERATION_PENDING.answer
        if has_hints:
            # Other workers may still answer with a top list that they have just read, and begin streams with one.
            await asyncio.sleep(max(self._cache_s, STREAM_LAG_S))
        return Answer(200, _encode(state))

    async def _carry(self, user: str, deadline: float) -> bool | None:
        """Write hints of a player's boards, and wait until relays have carried them; whether there were any.

        None: they have not by the `deadline` of the loop's time. Raises `StoreUnavailable`, `ServerUnreachable` and
        `OutcomeUnknown`.
        """
        while True:
            async with self._writes.transaction() as transaction:
                await transaction.run("hold_restriction", {"user": user})
                ((partitions, periods, xid),) = await transaction.run("hint_restricted", {"user": user})
            self._poker.poke({*partitions})
            hints = {"partitions": partitions, "periods": periods, "xid": xid, "user": user}
            is_carried = False
            while not is_carried:
                ((is_carried, has_ended),) = await self._read("is_carried", hints)
                if not is_carried or has_ended:
                    if self._loop.time() >= deadline:
                        return None
                    await asyncio.sleep(POLL_S)
            if not has_ended:
                return bool(periods)


def find_act(caller: Caller, reason: str | None) -> Act:
    """The act of a request, with the reason of its body; of its header, if the body has none."""
    return caller.act if reason is None else msgspec.structs.replace(caller.act, reason=reason)


async def change_restriction(
    transaction: Transaction, user: str, action: Action, statement: str, act: Act, fields: dict[str, Any] | None = None
) -> Moderation:
    """Change the restriction of a player, with the row of the audit; the state after it.

    `fields` are those of a ban, or of hiding; None: one of them ends, and nothing is done where there is none.
    """
    if fields is not None:
        await transaction.run("restrict", {"user": user})
    before = make_state(user, await transaction.run("hold_restriction", {"user": user}))
    if action == "player.ban" and fields is not None:
        await check_ban(transaction, fields)
    if (action == "player.unban" and before.ban is None) or (action == "player.show" and before.hidden is None):
        return before
    await transaction.run(statement, {"user": user, "actor": act.actor, **(fields or {})})
    after = make_state(user, await transaction.run("restriction", {"user": user}))
    await transaction.run(*act.note(action, "player", user, before, after))
    return after


async def check_ban(transaction: Transaction, fields: dict[str, Any]) -> None:
    """Raise `Rejected` for a ban whose end has passed, by PostgreSQL's clock, and for one in an unknown season."""
    known = {"until": fields["until"], "seasons": fields["seasons"]}
    ((is_past, missing),) = await transaction.run("check_ban", known)
    if is_past:
        raise Rejected(INVALID_UNTIL.with_detail("until has passed."))
    if missing:
        raise Rejected(SEASON_NOT_FOUND.with_detail(f"There is no season {missing[0]!r}."))


def make_state(user: str, rows: Sequence[Sequence[Any]]) -> Moderation:
    """The state of a row of the query `restriction`; of no row: nothing restricts the player."""
    if not rows:
        return Moderation(user, None, None)
    _, is_free, banned_at, reason, seasons, until, actor, hidden_at, hidden_reason, hidden_actor = rows[0]
    ban = None if is_free else Ban(reason, seasons, until, banned_at, make_moderator(actor))
    hidden = None if hidden_at is None else Hiding(hidden_reason, hidden_at, make_moderator(hidden_actor))
    return Moderation(user, ban, hidden)


def make_moderator(key: str | None) -> Moderator | None:
    """The one who did it; None for a client of an open server."""
    return None if key is None else Moderator("key", key)
