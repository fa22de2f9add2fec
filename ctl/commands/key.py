"""`leaderboard key …`, and what `leaderboard serve` says of access when it starts."""

from __future__ import annotations

import argparse
import datetime
from typing import Any

import msgspec
import psycopg
from rich.table import Table

from board.config.settings import Settings
from board.errors import OutcomeUnknown, StoreUnavailable, UsageError
from board.pg import schema
from board.pg.session import connect, first_line
from ctl import output
from service.contract.scopes import SCOPES
from service.keys import store as keystore
from service.keys.store import GRACE_S, Key, NewKey, Rotation, Wanted

__all__ = ["SCOPES", "announce", "command"]

DAY_S = 86_400


def command(s: Settings, args: argparse.Namespace) -> int:
    """Run one verb; the exit status."""
    call = {"create": create, "list": show, "rotate": rotate, "revoke": revoke}[args.verb]
    with connect(s.database_url, "leaderboard-ctl") as db:
        schema.check(db)
        try:
            call(db, args)
        except psycopg.Error as error:
            if db.closed:
                raise OutcomeUnknown(f"PostgreSQL went away: {first_line(error)}") from error
            raise StoreUnavailable(f"PostgreSQL refused: {first_line(error)}") from error
    return 0


def create(db: psycopg.Connection[Any], args: argparse.Namespace) -> None:
    """Make a key."""
    scopes = [scope for scope in args.scopes.split(",") if scope]
    life_s = None if args.days is None else args.days * DAY_S
    given = {"name": args.name, "scopes": scopes, "seasons": args.season, "lifeS": life_s}
    tell(keystore.created(db, checked(given, Wanted)), as_json=args.json)


def rotate(db: psycopg.Connection[Any], args: argparse.Namespace) -> None:
    """Give a key a successor."""
    grace_s = checked({"graceS": GRACE_S if args.grace is None else args.grace}, Rotation).graceS
    tell(keystore.rotated(db, args.id, grace_s), as_json=args.json)


def revoke(db: psycopg.Connection[Any], args: argparse.Namespace) -> None:
    """End a key."""
    ended = keystore.revoked(db, args.id)
    if args.json:
        output.json(ended)
    else:
        output.note(f"key {ended.id} ({ended.name}) is revoked; no server takes it any more within two seconds")


def show(db: psycopg.Connection[Any], args: argparse.Namespace) -> None:
    """All keys."""
    found = keystore.listed(db)
    if args.json:
        output.json(keystore.KeyList(found))
        return
    table = Table(header_style="bold")
    for column in ("id", "name", "scopes", "seasons", "created", "state"):
        table.add_column(column)
    now = datetime.datetime.now(datetime.UTC)
    for key in found:
        seasons = "all" if key.seasons is msgspec.UNSET else ", ".join(key.seasons)
        table.add_row(key.id, key.name, ", ".join(key.scopes), seasons, minute(key.createdAt), state(key, now))
    output.stdout.print(table)


def state(key: Key, now: datetime.datetime) -> str:
    """What can be expected of a key."""
    if key.revokedAt is not msgspec.UNSET:
        return f"revoked {minute(key.revokedAt)}"
    if key.expiresAt is msgspec.UNSET:
        return "valid"
    if key.expiresAt <= now:
        return f"expired {minute(key.expiresAt)}"
    after = "" if key.successor is msgspec.UNSET else f", then {key.successor}"
    return f"valid until {minute(key.expiresAt)}{after}"


def minute(instant: datetime.datetime) -> str:
    """A moment, for people."""
    return instant.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def tell(new: NewKey, *, as_json: bool) -> None:
    """Show a new key: its text alone on standard output, so that a script can take it."""
    if as_json:
        output.json(new)
        return
    output.note(f"key {new.made.id} ({new.made.name}): {', '.join(new.made.scopes)}. It is not shown again:")
    output.stdout.print(new.key, markup=False, soft_wrap=True)


def checked(given: dict[str, Any], kind: type[Any]) -> Any:
    """The arguments in the form the HTTP interface takes them. Raises `UsageError`."""
    try:
        return msgspec.convert(given, type=kind)
    except msgspec.ValidationError as error:
        raise UsageError(str(error)) from error


def announce(s: Settings) -> None:
    """Before the API starts: make the first key if there was never one, or warn of what `open` means."""
    if s.auth == "open":
        text = f"OPEN: anybody who reaches {s.bind} may read, submit and reset, without any key (LEADERBOARD_AUTH=open)"
        if s.log_format == "json":
            output.log.warning(text)
        else:
            output.note(text)
        return
    with connect(s.database_url, "leaderboard-ctl") as db:
        new = keystore.first(db)
    if new is not None:
        output.note(
            "There was no key yet. This one may do everything, and is not shown again; make others with "
            "`leaderboard key create`:"
        )
        output.note(f"LEADERBOARD_KEY={new.key}")
