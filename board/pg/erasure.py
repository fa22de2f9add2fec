"""The rest of an erasure: all that is left of a player when the boards show nothing any more.

Each step is a transaction of its own, bounded, and may be done again: a process that ends amid the work leaves it to
the next one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import psycopg

from board.columns import read_columns, unpack_columns
from board.digests import Extras, list_fingerprints
from board.pg.queries import queries

PERIODS: Final = 1_000
"""Periods, and events, that one step looks at."""
BLOCKS: Final = 8_192
"""Blocks of the ledger that one step looks through."""
LAST_PART: Final = "ledger_default"

Db = psycopg.Connection[Any]
GoOn = Callable[[], bool]
"""Called between two steps: it may rest, and says whether the work goes on."""


class Open(msgspec.Struct, frozen=True):
    """An erasure that is not done: its number, the player's number and id, and up to which submission it reaches."""

    number: int
    player: int
    user: str
    before: int


class Erased(msgspec.Struct):
    """How many of what were deleted, beside the boards and the profile."""

    rows: int = 0
    standings: int = 0
    submissions: int = 0
    keys: int = 0
    events: int = 0


def list_open(db: Db) -> list[Open]:
    """The erasures that are not done, the oldest first."""
    return [Open(*row) for row in db.execute(queries()["open_erasures"]).fetchall()]


def erase_rest(db: Db, wanted: Open, minutes: int, go_on: GoOn) -> Erased | None:
    """Erase what is left of a player, and end the erasure; None if it is not done: asked for again, or told to stop.

    `db` is an autocommit connection. Idempotency keys are kept for `minutes`. Raises `psycopg.Error`.
    """
    erased = Erased()
    if not (
        _erase_periods(db, wanted, erased, go_on)
        and _erase_ledger(db, wanted, minutes, erased, go_on)
        and _erase_from_events(db, wanted, erased, go_on)
    ):
        return None
    texts, user = queries(), {"user": wanted.user}
    db.execute(texts["erase_traces"], user)
    db.execute(texts["erase_leader"], user)
    with db.transaction():
        db.execute(texts["hold_corrections_of"], user)
        db.execute(texts["erase_from_corrections"], user)
    with db.transaction():
        # In the order of a change of a restriction, which is noted in the audit.
        db.execute(texts["hold_restriction"], user)
        db.execute(texts["hold_player_number"], {"player": wanted.player})
        done = {"number": wanted.number, "before": wanted.before, "erased": msgspec.json.encode(erased).decode()}
        if not db.execute(texts["end_erasure"], done).fetchall():
            return None
        db.execute(texts["forget_restriction"], user)
        db.execute(texts["forget_player"], {"player": wanted.player})
    with db.transaction():
        # A hidden player may have submitted since. A process that ends before this leaves it to the keeper.
        if db.execute(texts["hold_restriction"], user).fetchall():
            db.execute(texts["hint_restricted"], user)
    return erased


def _erase_periods(db: Db, wanted: Open, erased: Erased, go_on: GoOn) -> bool:
    """Erase rows, standings and metadata of runs in all periods; False if told to stop."""
    after = -1
    while go_on():
        asked = {"user": wanted.user, "after": after, "most": PERIODS}
        ((found, last),) = db.execute(queries()["periods_to_erase"], asked).fetchall()
        for period in found:
            _erase_period(db, wanted, period, erased)
            if not go_on():
                return False
        if last is None:
            return True
        after = last
    return False


def _erase_period(db: Db, wanted: Open, period: int, erased: Erased) -> None:
    texts = queries()
    asked: dict[str, Any] = {"period": period, "user": wanted.user, "before": wanted.before}
    with db.transaction():
        locked = db.execute(texts["lock_period_to_erase"], asked).fetchone()
        if locked is None:
            return
        has_ended, is_final, partition = locked
        gone = db.execute(texts["erase_row"], {**asked, "has_ended": has_ended}).rowcount
        db.execute(texts["erase_metadata"], asked)
        if gone and partition is not None:
            db.execute(texts["hint_erased"], {**asked, "partition": partition})
        if is_final:
            standings = db.execute(texts["erase_final_standing"], asked).rowcount
        else:
            standings = db.execute(texts["erase_standing"], asked).rowcount
            if gone or standings:
                db.execute(texts["outdate_standings"], asked)
    erased.rows += gone
    erased.standings += standings


def _erase_ledger(db: Db, wanted: Open, minutes: int, erased: Erased, go_on: GoOn) -> bool:
    """Erase submissions, and the idempotency keys that they came with; False if told to stop."""
    texts = queries()
    for part, blocks in db.execute(texts["ledger_parts"], {"last": LAST_PART}).fetchall():
        # The last block again: rows may have come into it since its number was read.
        for low in range(0, blocks + 1, BLOCKS):
            if not go_on():
                return False
            bounds = {"part": part, "low": f"({low},0)", "high": f"({low + BLOCKS},0)", "minutes": minutes}
            with db.transaction():
                rows = db.execute(
                    texts["erase_submissions"], {"user": wanted.user, "before": wanted.before, **bounds}
                ).fetchall()
                prints = [text for row in rows if row[4] for text in _list_fingerprints(wanted.user, row)]
                if prints:
                    ((keys,),) = db.execute(texts["erase_keys"], {"prints": prints}).fetchall()
                    erased.keys += keys
            erased.submissions += len(rows)
    return True


def _list_fingerprints(user: str, row: Any) -> list[str]:
    """The fingerprints of a submission, of a row of the query `erase_submissions`."""
    _, number, named, value, _, achieved, version, run = row
    extras: Extras = (version, None, ())
    if run is not None:
        end = 1 + 8 * run[0]
        columns = unpack_columns(read_columns(named), run[1:end]) if run[0] and named else {}
        extras = (version, run[end:].decode() or None, sorted(columns.items()))
    return list_fingerprints(user, value, extras, achieved or 0, number or 0)


def _erase_from_events(db: Db, wanted: Open, erased: Erased, go_on: GoOn) -> bool:
    """Take the player out of events; False if told to stop."""
    place = {"history": 0, "xid": "0", "number": 0}
    while go_on():
        asked = {**place, "user": wanted.user, "most": PERIODS}
        found = db.execute(queries()["erase_from_events"], asked).fetchone()
        if found is None:
            return True
        changed, history, xid, number = found
        erased.events += changed
        place = {"history": history, "xid": xid, "number": number}
    return False
