"""`leaderboard key`: keys created, listed, rotated, revoked."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import msgspec
import psycopg

from board.errors import UsageError
from board.pg import schema
from board.pg.connections import make_write_error
from ctl import output
from ctl.acts import REASON, make_act
from ctl.command import JSON, Command, Example, Invocation, argument
from ctl.connections import connect_postgres
from service.contract.scopes import SCOPES
from service.keys import store as keystore
from service.keys.types import GRACE_S, Key, KeyList, NewKey, Rotation, Wanted

DAY_S: Final = 86_400
EXAMPLE_ID: Final = "4fT9s0aKqZ"
COLUMNS: Final = tuple(map(output.Column, ("id", "name", "scopes", "seasons", "created", "state")))

T = TypeVar("T")


@contextmanager
def open_store(call: Invocation) -> Iterator[psycopg.Connection[Any]]:
    """A connection to the database with the keys.

    Raises `ServerUnreachable` and `WrongSchemaVersion`; turns errors of PostgreSQL in the block into `OutcomeUnknown`
    (the connection broke) or `StoreUnavailable`.
    """
    with connect_postgres(call.settings()) as db:
        schema.check(db)
        try:
            yield db
        except psycopg.Error as error:
            raise make_write_error(error, db) from error


def create(call: Invocation) -> int:
    """Create a key and print it. Raises `UsageError`."""
    args = call.arguments
    with open_store(call) as db:
        fields = {
            "name": args.name,
            "scopes": [scope for scope in args.scopes.split(",") if scope],
            "seasons": args.season,
            "lifeS": None if args.days is None else args.days * DAY_S,
        }
        print_new_key(keystore.create_key(db, convert(fields, Wanted), make_act(call)), as_json=args.json)
    return 0


def list_keys(call: Invocation) -> int:
    """Print all keys, without their secrets."""
    with open_store(call) as db:
        keys = keystore.list_keys(db)
    if call.arguments.json:
        output.print_json(KeyList(keys))
        return 0
    now = datetime.datetime.now(datetime.UTC)
    output.print_parts(output.make_table(COLUMNS, [describe_key(key, now) for key in keys]))
    return 0


def describe_key(key: Key, now: datetime.datetime) -> tuple[str, ...]:
    """The cells of a key."""
    seasons = "all" if key.seasons is msgspec.UNSET else ", ".join(key.seasons)
    return key.id, key.name, ", ".join(key.scopes), seasons, format_minute(key.createdAt), describe_state(key, now)


def rotate(call: Invocation) -> int:
    """Create a successor of a key and print it. Raises `UsageError`, `KeyNotFound`, `KeyNotRotatable`."""
    args = call.arguments
    with open_store(call) as db:
        grace_s = convert({"graceS": GRACE_S if args.grace is None else args.grace}, Rotation).graceS
        print_new_key(keystore.rotate_key(db, args.id, grace_s, make_act(call)), as_json=args.json)
    return 0


def revoke(call: Invocation) -> int:
    """End a key. Raises `KeyNotFound`."""
    with open_store(call) as db:
        key = keystore.revoke_key(db, call.arguments.id, make_act(call))
    if call.arguments.json:
        output.print_json(key)
    else:
        output.note(f"key {key.id} ({key.name}) is revoked; every server refuses it within two seconds")
    return 0


def convert(fields: dict[str, Any], kind: type[T]) -> T:
    """The arguments as the type that the HTTP interface takes, with its checks. Raises `UsageError`."""
    try:
        return msgspec.convert(fields, type=kind)
    except msgspec.ValidationError as error:
        raise UsageError(str(error)) from error


def print_new_key(new: NewKey, *, as_json: bool) -> None:
    """Print a new key. Its text stands alone on stdout, so that a script can take it; the rest goes to stderr."""
    if as_json:
        output.print_json(new)
        return
    output.note(f"key {new.made.id} ({new.made.name}): {', '.join(new.made.scopes)}. It is not shown again:")
    output.print_line(new.key)


def describe_state(key: Key, now: datetime.datetime) -> str:
    """The state of a key in a few words: valid, expired, revoked, or rotated with its successor."""
    if key.revokedAt is not msgspec.UNSET:
        return f"revoked {format_minute(key.revokedAt)}"
    if key.expiresAt is msgspec.UNSET:
        return "valid"
    if key.expiresAt <= now:
        return f"expired {format_minute(key.expiresAt)}"
    successor = "" if key.successor is msgspec.UNSET else f", then {key.successor}"
    return f"valid until {format_minute(key.expiresAt)}{successor}"


def format_minute(instant: datetime.datetime) -> str:
    """A time in UTC, to the minute."""
    return instant.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


ID: Final = argument("id", metavar="ID", help="the part of the key between its first two underscores")

COMMAND: Final = Command(
    name="key",
    summary="Keys, with scopes to read, submit, administrate.",
    examples=(Example("leaderboard key list", "all keys; each verb has a --help of its own"),),
    metavar="VERB",
    subcommands=(
        Command(
            name="create",
            summary="Create a key. Its text is printed to standard output, once and nowhere else.",
            arguments=(
                JSON,
                argument("--name", required=True, metavar="NAME", help="its owner or purpose, for the list"),
                argument("--scopes", required=True, metavar="S,...", help=f"of {', '.join(SCOPES)}"),
                argument("--season", action="append", metavar="S", help="valid for this season only (repeatable)"),
                argument("--days", type=int, metavar="N", help="days until it expires (without: until it is revoked)"),
                REASON,
            ),
            examples=(
                Example("leaderboard key create --name 'game server' --scopes read,submit", "to report scores"),
                Example(
                    "leaderboard key create --name website --scopes read --season spring --days 90",
                    "one board, for a while",
                ),
                Example("leaderboard key create --name ops --scopes admin --json", "for resets and for keys"),
            ),
            run=create,
        ),
        Command(
            name="list",
            summary="Show all keys, without their secrets.",
            arguments=(JSON,),
            examples=(Example("leaderboard key list --json", "for a program"),),
            run=list_keys,
        ),
        Command(
            name="rotate",
            summary="Create a key's successor; both are valid until the grace time ends.",
            arguments=(
                JSON,
                ID,
                argument("--grace", type=int, metavar="S", help="seconds the old key stays valid (one day)"),
                REASON,
            ),
            examples=(
                Example(f"leaderboard key rotate {EXAMPLE_ID}", "the old key stays valid for one day"),
                Example(f"leaderboard key rotate {EXAMPLE_ID} --grace 3600", "for an hour"),
            ),
            run=rotate,
        ),
        Command(
            name="revoke",
            summary="End a key, everywhere within two seconds.",
            arguments=(JSON, ID, REASON),
            examples=(Example(f"leaderboard key revoke {EXAMPLE_ID}", "after it has leaked"),),
            run=revoke,
        ),
    ),
)
