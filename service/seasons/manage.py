"""Seasons as objects: defined, changed, read and listed over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from board.errors import InvalidFeeds, InvalidRule
from board.redis.poke import Poker
from service.access.caller import Caller
from service.contract import problems
from service.contract.answers import Answer
from service.contract.merge_patch import Members
from service.contract.preconditions import make_tag
from service.contract.problems import INVALID_CURSOR, Rejected
from service.contract.season_cursors import encode_cursor, parse_cursor
from service.seasons.board_sizes import BoardSizes
from service.seasons.definition import apply_patch
from service.seasons.problems import FEED_FORBIDDEN, INVALID_DEFINITION, INVALID_FEEDS, INVALID_STATE
from service.seasons.store import Change, Found, SeasonStore
from service.seasons.types import Definition, PeriodList, SeasonList, State

_encode: Final = msgspec.json.Encoder().encode


class SeasonManager:
    """The operations on seasons of one worker. All of them raise `StoreUnavailable` and `ServerUnreachable`; those that
    change something also `OutcomeUnknown`. `on_visibility` is called when the visibility of a season may have changed.
    """

    def __init__(
        self, store: SeasonStore, sizes: BoardSizes, poker: Poker, on_visibility: Callable[[], None] | None = None
    ) -> None:
        self._store: Final = store
        self._sizes: Final = sizes
        self._on_visibility: Final = on_visibility
        self._poker: Final = poker

    async def define(self, season: str, definition: Definition, caller: Caller) -> Answer:
        """Define a season (`Season`; 201 if it is new, else 200). Raises `SettingFixed`, `PreconditionFailed`."""
        return await self._change(season, lambda before: definition, caller, create=True)

    async def patch(self, season: str, patch: Members, caller: Caller) -> Answer:
        """Change members of a season (`Season`, 200). Raises `SettingFixed`, `PreconditionFailed`."""
        return await self._change(season, lambda before: apply_patch(before, patch), caller, create=False)

    async def _change(self, season: str, change: Change, caller: Caller, *, create: bool) -> Answer:

        def change_as_allowed(before: Definition) -> Definition:
            after = change(before)
            if caller.seasons is not None and not caller.seasons.issuperset({*after.feeds} - {*before.feeds}):
                raise Rejected(FEED_FORBIDDEN.answer)
            return after

        try:
            defined = await self._store.define(
                season, change_as_allowed, caller.act, caller.precondition, create=create
            )
        except InvalidRule as error:
            return INVALID_DEFINITION.with_detail(str(error))
        except InvalidFeeds as error:
            return INVALID_FEEDS.with_detail(str(error))
        if defined is None:
            return problems.SEASON_NOT_FOUND.answer
        self._poker.poke({defined.partition})
        if defined.loads:
            # A relay that looks at it now finds that it is set aside.
            self._poker.suspect(season)
        if self._on_visibility is not None:
            self._on_visibility()
        status = 201 if defined.created else 200
        return await self._make_answer(status, defined.found)

    async def _make_answer(self, status: int, found: Found) -> Answer:
        (season,) = await self._sizes.add([found])
        return Answer(status, _encode(season), headers=(("etag", make_tag(found.revision)),))

    async def read(self, season: str) -> Answer:
        """Read a season (`Season`, 200; or `SEASON_NOT_FOUND`)."""
        found = await self._store.find(season)
        if found is None:
            return problems.SEASON_NOT_FOUND.answer
        return await self._make_answer(200, found)

    async def list(self, after: str, limit: int, state: State | None) -> Answer:
        """List `limit` seasons by name after the season `after`, in one state or in any (`SeasonList`, 200)."""
        # One more than asked for tells whether there is a next page.
        found = await self._store.list_after(after, limit + 1, state)
        items = await self._sizes.add(found[:limit])
        cursor = encode_cursor(items[-1].seasonId) if len(found) > limit else None
        return Answer(200, _encode(SeasonList(items, cursor)))

    async def list_periods(self, season: str, before: int, limit: int) -> Answer:
        """List `limit` periods with a number below `before`, the latest first (`PeriodList`, 200)."""
        found = await self._store.list_periods(season, before, limit + 1)
        if found is None:
            return problems.SEASON_NOT_FOUND.answer
        items = found[:limit]
        cursor = encode_cursor(str(items[-1].number)) if len(found) > limit else None
        return Answer(200, _encode(PeriodList(items, cursor)))


def parse_period_cursor(text: str | None) -> int:
    """The number below which a page of periods begins; beyond all of them for no cursor. Raises `Rejected`."""
    if text is None:
        return 2**31 - 1
    number = parse_cursor(text)
    if not number.isascii() or not number.isdigit() or len(number) > 9:
        raise Rejected(INVALID_CURSOR.answer)
    return int(number)


def parse_state(text: str | None) -> State | None:
    """The state that a list is limited to; None: any. Raises `Rejected`."""
    if text is None:
        return None
    try:
        state: State = msgspec.convert(text, State)
    except msgspec.ValidationError as error:
        raise Rejected(INVALID_STATE.answer) from error
    return state
