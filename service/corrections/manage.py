"""Corrections of one worker: made and undone by a request, carried out by the keeper of the relays."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
import psycopg

from board.correction_steps import (
    CONFIRM_ABOVE,
    begin_act,
    check_history,
    find_items,
    find_season,
    find_sums,
)
from board.corrections import (
    CorrectionRefused,
    Filter,
    HistoryExpired,
    Item,
    Season,
    SumOutOfRange,
    TooWide,
    Verdict,
)
from board.pg.connections import connect_async, lifeline, make_write_error
from board.pg.queries import queries
from board.pg.read_connection import ReadConnection
from board.pg.steps import run_steps_async
from service.access.caller import Caller
from service.contract.answers import Answer
from service.contract.body import decode_strictly
from service.contract.problems import INVALID_CURSOR, SEASON_NOT_FOUND, Problem, Rejected
from service.contract.season_cursors import encode_cursor, parse_cursor
from service.contract.types import INT64_MAX, SEASON_ID_MAX, USER_ID_MAX
from service.contract.validation import is_plain
from service.corrections import problems as own
from service.corrections.preview import preview_ranks
from service.corrections.types import (
    ChangedRow,
    Correction,
    CorrectionBegun,
    CorrectionBody,
    CorrectionFilter,
    CorrectionList,
    CorrectionPreview,
    CorrectionState,
    Progress,
)

NAME: Final = "leaderboard-corrections"
"""The name of the connections."""
DEADLINE_S: Final = 30.0
"""A preview, and the search of the submissions, may look through a gigabyte of the ledger."""
NUMBER_MOST: Final = 2**63 - 1
ITEMS: Final = 5_000
"""Submissions that one statement writes."""

_encode: Final = msgspec.json.Encoder().encode
_decode_filter: Final = msgspec.json.Decoder(CorrectionFilter).decode
_decode_row: Final = msgspec.json.Decoder(ChangedRow).decode
_STATES: Final[dict[str, CorrectionState]] = {
    "pending": "running", "applied": "applied", "refused": "refused", "undoing": "undoing", "undone": "undone",
}  # fmt: skip
_PROBLEMS: Final[dict[type[CorrectionRefused], Problem]] = {
    HistoryExpired: own.HISTORY_EXPIRED,
    TooWide: own.CORRECTION_TOO_LARGE,
    SumOutOfRange: own.SUM_OUT_OF_RANGE,
}


def decode_correction(body: bytes) -> CorrectionBody:
    """Decode and check a correction. Raises `Rejected`."""
    try:
        members = decode_strictly(dict[str, Any], body)
        wanted = msgspec.convert(members, CorrectionBody)
    except msgspec.ValidationError as error:
        raise Rejected(own.INVALID_CORRECTION.with_detail(str(error))) from error
    if wrong := find_wrong(wanted):
        raise Rejected(own.INVALID_CORRECTION.with_detail(wrong))
    return wanted


def find_wrong(wanted: CorrectionBody) -> str | None:
    """What types do not tell of a correction; None: nothing is wrong."""
    chosen = wanted.filter
    if chosen == CorrectionFilter():
        return "filter is empty: it would choose all submissions of the season"
    if (wanted.action == "set") != (wanted.value is not msgspec.UNSET):
        return "value belongs to the action set, and is missing or too much"
    texts = {"reason": wanted.reason, "keyId": chosen.keyId, "clientVersion": chosen.clientVersion}
    if not is_plain(wanted.seasonId, SEASON_ID_MAX):
        return "seasonId is no season"
    if chosen.userId is not msgspec.UNSET and not is_plain(chosen.userId, USER_ID_MAX):
        return "filter.userId is no player"
    for name, text in texts.items():
        if text is not msgspec.UNSET and not is_plain(text, len(text)):
            return f"{name} has characters that cannot be printed"
    for instant in (chosen.since, chosen.until):
        # At the ends of the calendar a time has no equal in UTC, which is what PostgreSQL is sent.
        if instant is not msgspec.UNSET and not 1 < instant.year < 9999:
            return "a time is out of range"
    if chosen.since is not msgspec.UNSET and chosen.until is not msgspec.UNSET and chosen.since > chosen.until:
        return "filter.from is after filter.to"
    return None


def filter_of(chosen: CorrectionFilter) -> Filter:
    """The filter as statements take it."""
    return Filter(*(None if value is msgspec.UNSET else value for value in msgspec.structs.astuple(chosen)))


def parse_correction_cursor(text: str | None) -> int:
    """The number below which a page begins; beyond all of them for no cursor. Raises `Rejected`."""
    if text is None:
        return NUMBER_MOST
    number = parse_cursor(text)
    if not number.isascii() or not number.isdigit() or len(number) > 18:
        raise Rejected(INVALID_CURSOR.answer)
    return int(number)


class Corrections:
    """The corrections of one worker. All raise `StoreUnavailable` and `ServerUnreachable`; changes also
    `OutcomeUnknown`.
    """

    def __init__(self, database_url: str, reads: ReadConnection, deadline_s: float = DEADLINE_S) -> None:
        self._url: Final = database_url
        self._read: Final = reads.read
        self._deadline_s: Final = deadline_s
        self._sql: Final = queries()

    async def create(self, preview: bool, wanted: CorrectionBody, caller: Caller) -> Answer:
        """Make a correction (`CorrectionBegun`, 202), or preview it (`CorrectionPreview`, 200); or a problem."""
        try:
            async with self._change() as db:
                return await self._create(db, wanted, caller, preview=preview)
        except Rejected as rejected:
            # What was written is rolled back.
            return rejected.answer
        except CorrectionRefused as error:
            return _PROBLEMS[type(error)].with_detail(str(error))

    async def _create(
        self, db: psycopg.AsyncConnection[Any], wanted: CorrectionBody, caller: Caller, *, preview: bool
    ) -> Answer:
        season: Season | None = await run_steps_async(db, find_season(wanted.seasonId))
        if season is None:
            raise Rejected(SEASON_NOT_FOUND.answer)
        value = None if wanted.value is msgspec.UNSET else wanted.value
        if value is not None and not season.low <= value <= season.high:
            detail = f"value is outside the season's bounds, {season.low} to {season.high}"
            raise Rejected(own.INVALID_CORRECTION.with_detail(detail))
        items: list[Item] = await run_steps_async(db, find_items(season, filter_of(wanted.filter)))
        # The newest of all decides.
        act = await run_steps_async(db, begin_act(season, items, Verdict(INT64_MAX, value), undoes=False))
        if preview:
            changes = await run_steps_async(db, preview_ranks(act)) if items else []
            return Answer(200, _encode(CorrectionPreview(len(items), changes)))
        if not items:
            raise Rejected(own.CORRECTION_EMPTY.answer)
        check_history(season, items)
        await run_steps_async(db, find_sums(act))
        confirmed = None if wanted.confirm is msgspec.UNSET else wanted.confirm
        if confirmed != len(items) and (confirmed is not None or len(items) > CONFIRM_ABOVE):
            detail = f"The correction is about {len(items)} submissions; `confirm` has to be this number."
            raise Rejected(own.CONFIRM_COUNT.with_detail(detail))
        number = await self._write(db, wanted, value, items, caller)
        body = CorrectionBegun(number, "running", len(items))
        return Answer(202, _encode(body), headers=(("location", f"/v1/corrections/{number}"),))

    async def _write(
        self, db: psycopg.AsyncConnection[Any], wanted: CorrectionBody, value: int | None, items: Sequence[Item],
        caller: Caller,
    ) -> int:  # fmt: skip
        """Write a correction, its items, and the act; returns its number."""
        user = None if wanted.filter.userId is msgspec.UNSET else wanted.filter.userId
        nameless = msgspec.structs.replace(wanted.filter, userId=msgspec.UNSET)
        asked = {
            "season": wanted.seasonId, "reason": wanted.reason, "filter": _encode(nameless).decode(), "user": user,
            "action": wanted.action, "value": value, "affected": len(items),
        }  # fmt: skip
        ((number,),) = await self._run(db, "create_correction", asked)
        for at in range(0, len(items), ITEMS):
            slice_ = items[at : at + ITEMS]
            listed = {
                "number": number,
                "periods": [item.period for item in slice_],
                "users": [item.user for item in slice_],
                "submissions": [item.number for item in slice_],
                "values": [item.value for item in slice_],
            }
            await self._run(db, "list_correction_items", listed)
        act = msgspec.structs.replace(caller.act, reason=wanted.reason)
        after = {
            "seasonId": wanted.seasonId, "filter": nameless, "action": wanted.action, "affected": len(items),
            **({} if value is None else {"value": value}),
        }  # fmt: skip
        await self._run(db, *act.note("correction.create", "correction", str(number), None, after))
        return int(number)

    async def undo(self, number: int, caller: Caller) -> Answer:
        """Begin to undo a correction (`CorrectionBegun`, 202); or a problem."""
        async with self._change() as db:
            locked = await self._run(db, "lock_correction", {"number": number})
            if not locked:
                return own.CORRECTION_NOT_FOUND.answer
            before = _STATES[locked[0][1]]
            if before not in ("running", "applied"):
                return own.CORRECTION_UNDONE.answer
            ((state,),) = await self._run(db, "ask_to_undo", {"number": number})
            act = caller.act.note(
                "correction.undo", "correction", str(number), {"state": before}, {"state": _STATES[state]}
            )
            await self._run(db, *act)
            (row,) = await self._run(db, "correction", choose(number=number))
        found = make_correction(row)
        body = CorrectionBegun(number, found.state, found.affected)
        return Answer(202, _encode(body), headers=(("location", f"/v1/corrections/{number}"),))

    async def read(self, number: int) -> Answer:
        """Read a correction (`Correction`, 200; or `CORRECTION_NOT_FOUND`)."""
        rows = await self._read("correction", choose(number=number))
        return Answer(200, _encode(make_correction(rows[0]))) if rows else own.CORRECTION_NOT_FOUND.answer

    async def list(self, below: int, limit: int, season: str | None) -> Answer:
        """List `limit` corrections with a number below `below`, the latest first (`CorrectionList`, 200)."""
        rows = await self._read("correction", choose(below=below, limit=limit + 1, season=season))
        items = [make_correction(row) for row in rows[:limit]]
        cursor = encode_cursor(str(items[-1].id)) if len(rows) > limit else None
        return Answer(200, _encode(CorrectionList(items, cursor)))

    async def _run(self, db: psycopg.AsyncConnection[Any], name: str, parameters: dict[str, Any]) -> Any:
        cursor = await db.execute(self._sql[name], parameters)
        return await cursor.fetchall() if cursor.description else []

    @asynccontextmanager
    async def _change(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        """A transaction on a connection of its own, committed at the end of the block: none waits for a long search."""
        session = {"statement_timeout": f"{int(self._deadline_s * 1000)}ms"}
        connection = await connect_async(self._url, NAME, session=session, timeout_s=self._deadline_s, writes=True)
        try:
            with lifeline(connection, self._deadline_s):
                async with connection.transaction():
                    yield connection
        except psycopg.Error as error:
            raise make_write_error(error, connection) from error
        finally:
            await connection.close()


def choose(
    *, number: int | None = None, below: int = NUMBER_MOST, limit: int = 1, season: str | None = None
) -> dict[str, Any]:
    """The parameters of the query `correction`. None: any."""
    return {"number": number, "below": below, "limit": limit, "season": season}


def make_correction(row: Sequence[Any]) -> Correction:
    """A correction of a row of the query `correction`."""
    (number, season, reason, filter_, user, action, value, affected, state, problem, looked, blocks,
     asked_at, applied_at, undone_at, is_shown, changed) = row  # fmt: skip
    shown = _STATES[state]
    if not is_shown:
        # PostgreSQL has it, and the boards do not show it yet.
        shown = {"applied": "running", "undone": "undoing"}.get(shown, shown)  # type: ignore[assignment]
    chosen = _decode_filter(filter_)
    if user is not None:
        chosen = msgspec.structs.replace(chosen, userId=user)
    rows = [_decode_row(text) for text in changed]
    return Correction(
        number,
        season,
        reason,
        chosen,
        action,
        shown,
        affected,
        Progress(looked, blocks),
        asked_at,
        applied_at,
        undone_at,
        msgspec.UNSET if value is None else value,
        msgspec.UNSET if problem is None else problem,
        rows or msgspec.UNSET,
    )
