"""`leaderboard erase`: a player erased from every board, season and period, and the list of erasures for restores."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import os
from pathlib import Path
from typing import Any, Final

import msgspec
import psycopg

from board.audit import Act
from board.config.settings import Settings
from board.digests import hash_player
from board.errors import FileOfAnotherInstallation, UsageError
from board.pg import schema
from board.pg.connections import make_write_error
from board.pg.erasure import Erased, erase_rest, list_open
from board.pg.queries import queries
from board.pg.write_connection import WriteConnection
from ctl import output
from ctl.acts import REASON, make_act
from ctl.command import JSON, Command, Example, Invocation, OneOf, argument
from ctl.connections import connect_postgres
from service.contract.types import USER_ID_MAX
from service.contract.validation import is_plain
from service.players.erase import begin_erasure

DEADLINE_S: Final = 60.0
FORM: Final = 1
"""The form of the file."""
Db = psycopg.Connection[Any]


class Head(msgspec.Struct, frozen=True):
    """The first line of the file: its form, and which installation's secret the hashes are keyed with."""

    leaderboardErasures: int
    secret: str


class Line(msgspec.Struct, frozen=True):
    """An erasure: a keyed hash of the user id, and when it was asked for."""

    player: str
    askedAt: datetime.datetime


def run(call: Invocation) -> int:
    """Erase a player, or all of a file, or write the file. Raises what its parts raise."""
    args, settings = call.arguments, call.settings()
    act = make_act(call)
    with connect_postgres(settings, writes=True) as db:
        schema.check(db)
        try:
            if args.export is not None:
                return export(db, args.export, as_json=args.json)
            users = [check_user(args.user)] if args.replay is None else find_players(db, args.replay)
            return erase_all(settings, db, users, act, as_json=args.json)
        except psycopg.Error as error:
            raise make_write_error(error, db) from error


def check_user(user: str) -> str:
    """The id, if it is one. Raises `UsageError`."""
    if not is_plain(user, USER_ID_MAX):
        raise UsageError(f"a user id has 1 to {USER_ID_MAX} characters, none of them a control character")
    return user


def erase_all(settings: Settings, db: Db, users: list[str], act: Act, *, as_json: bool) -> int:
    """Erase these players, and print what was deleted."""
    done = []
    with output.make_progress("erasing", "players", quiet=as_json or len(users) < 2) as progress:
        for user in progress.track(users):
            done.append(erase(settings, db, user, act))
    if as_json:
        output.print_json({"erased": done})
        return 0
    total = {name: sum(getattr(erased, name) for erased in done) for name in Erased.__struct_fields__}
    counts = ", ".join(f"{number} {name}" for name, number in total.items())
    output.note(f"erased {len(users)} players beside their current boards: {counts}. Relays carry it to the boards")
    return 0


def erase(settings: Settings, db: Db, user: str, act: Act) -> Erased:
    """Erase one player, to the end."""

    async def begin() -> int:
        writes = WriteConnection(settings.database_url, "leaderboard-ctl", DEADLINE_S)
        try:
            return (await begin_erasure(writes, user, act)).number
        finally:
            await writes.close()

    number = asyncio.run(begin())
    # The janitor may be at it, too: each step can be done twice.
    while (wanted := next((one for one in list_open(db) if one.number == number), None)) is not None:
        erased = erase_rest(db, wanted, settings.idempotency_minutes, lambda: True)
        if erased is not None:
            return erased
    row = db.execute(queries()["erasure"], {"number": number}).fetchone()
    return Erased() if row is None or row[3] is None else msgspec.json.decode(row[3], type=Erased)


def read_secret(db: Db) -> bytes:
    """The secret that hashes are keyed with."""
    ((secret,),) = db.execute(queries()["erasure_secret"]).fetchall()
    return bytes(secret)


def name_secret(secret: bytes) -> str:
    """A name of a secret, which does not give it away."""
    return hashlib.sha256(b"erasures\0" + secret).hexdigest()[:16]


def export(db: Db, target: Path, *, as_json: bool) -> int:
    """Write all erasures to a file, for `--replay` after a restore."""
    head = Head(FORM, name_secret(read_secret(db)))
    rows = db.execute(queries()["exported_erasures"]).fetchall()
    lines = [head, *(Line(bytes(digest).hex(), asked_at) for digest, asked_at in rows)]
    part = target.with_name(f"{target.name}.part")
    part.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    os.replace(part, target)
    if as_json:
        output.print_json({"exported": len(rows)})
    else:
        output.note(f"{len(rows)} erasures are in {target}; keep it apart from the backups")
    return 0


def find_players(db: Db, source: Path) -> list[str]:
    """The players of this database whom a file names. Raises `UsageError`, `FileOfAnotherInstallation`, `OSError`."""
    secret = read_secret(db)
    try:
        first, *rest = source.read_bytes().splitlines()
        head = msgspec.json.decode(first, type=Head)
        wanted = {msgspec.json.decode(line, type=Line).player for line in rest}
    except (ValueError, msgspec.DecodeError) as error:
        raise UsageError(f"{source} is no file of `leaderboard erase --export`") from error
    if head.leaderboardErasures != FORM:
        raise UsageError(f"{source} is of another release")
    if head.secret != name_secret(secret):
        raise FileOfAnotherInstallation(f"{source} is of another installation: its hashes fit no player here")
    with db.transaction(), db.cursor("known_players") as players:
        players.execute(queries()["known_players"])
        return [user for (user,) in players if hash_player(secret, user).hex() in wanted]


COMMAND: Final = Command(
    name="erase",
    summary="Erase a player: rows, standings, submissions, profile, idempotency keys, traces. It cannot be undone.",
    arguments=(
        OneOf(
            (
                argument("user", nargs="?", metavar="USER", help="the player's id"),
                argument("--export", type=Path, metavar="FILE", help="write all erasures, as keyed hashes, to a file"),
                argument("--replay", type=Path, metavar="FILE", help="after a restore: erase those of a file again"),
            )
        ),
        REASON,
        JSON,
    ),
    examples=(
        Example("leaderboard erase ada --reason 'asked by mail'", "one player, everywhere"),
        Example("leaderboard erase --export /var/lib/erasures.jsonl", "from time to time, apart from the backups"),
        Example("leaderboard erase --replay /var/lib/erasures.jsonl", "after `leaderboard restore`"),
    ),
    run=run,
)
