"""Keys in PostgreSQL: made, listed, rotated, revoked. What the command and `/v1/keys` both call."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
import psycopg

from board.errors import KeyNotFound, KeyNotRotatable, UsageError
from board.pg.queries import queries
from service.access import key_text as keytext
from service.contract.scopes import SCOPES, Scope
from service.contract.types import SEASON_ID_MAX, SeasonId
from service.contract.validation import is_plain

NAME_MAX: Final = 100
SEASONS_MOST: Final = 1_000
LIFE_MOST_S: Final = 10 * 366 * 86_400
GRACE_S: Final = 86_400
FIRST_NAME: Final = "first"

KeyId = Annotated[str, msgspec.Meta(pattern=f"^{keytext.ID_TEXT}$", examples=["4fT9s0aKqZ"])]
Instant = Annotated[datetime.datetime, msgspec.Meta(tz=True)]


class Key(msgspec.Struct, frozen=True, omit_defaults=True):
    """A key without its secret. `seasons` is missing when it is good for all; `expiresAt`, `revokedAt` when they are
    not to come; `rotatedAt` and `successor` unless another has taken its place."""

    id: KeyId
    name: str
    scopes: list[Scope]
    createdAt: Instant
    seasons: list[SeasonId] | msgspec.UnsetType = msgspec.UNSET
    expiresAt: Instant | msgspec.UnsetType = msgspec.UNSET
    revokedAt: Instant | msgspec.UnsetType = msgspec.UNSET
    rotatedAt: Instant | msgspec.UnsetType = msgspec.UNSET
    successor: KeyId | msgspec.UnsetType = msgspec.UNSET


class NewKey(msgspec.Struct, frozen=True):
    """A key just made. `key` is its text, which nobody can show again."""

    key: str
    made: Key


class KeyList(msgspec.Struct, frozen=True):
    """All keys, the oldest first; the expired and the revoked for 400 days."""

    keys: list[Key]


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a new key shall be good for. Without `seasons` for all, without `lifeS` (seconds) until it is revoked."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_MAX, examples=["game server"])]
    scopes: Annotated[list[Scope], msgspec.Meta(min_length=1, max_length=len(SCOPES), examples=[["read", "submit"]])]
    seasons: Annotated[list[SeasonId], msgspec.Meta(min_length=1, max_length=SEASONS_MOST)] | None = None
    lifeS: Annotated[int, msgspec.Meta(ge=1, le=LIFE_MOST_S)] | None = None


class Rotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many seconds the old key stays valid beside its successor."""

    graceS: Annotated[int, msgspec.Meta(ge=0, le=LIFE_MOST_S)] = GRACE_S


def check(wanted: Wanted) -> None:
    """Raise `UsageError` for what the types do not say."""
    if not is_plain(wanted.name, NAME_MAX):
        raise UsageError(f"a key's name has 1 to {NAME_MAX} characters, none of them a control character")
    for season in wanted.seasons or ():
        if not is_plain(season, SEASON_ID_MAX):
            raise UsageError(f"a season id has 1 to {SEASON_ID_MAX} characters, none of them a control character")


def created(db: psycopg.Connection[Any], wanted: Wanted) -> NewKey:
    """Make a key. Raises `UsageError`, `psycopg.Error`."""
    check(wanted)
    with db.transaction():
        return _insert(db, wanted.name, sorted(set(wanted.scopes)), wanted.seasons, wanted.lifeS)


def first(db: psycopg.Connection[Any]) -> NewKey | None:
    """The key of a first start, with every scope; None if one was ever made. Of concurrent callers one gets it."""
    with db.transaction():
        db.execute(queries()["lock_access"])
        row = db.execute(queries()["any_key"]).fetchone()
        if row is None or row[0]:
            return None
        return _insert(db, FIRST_NAME, list(SCOPES), None, None)


def listed(db: psycopg.Connection[Any]) -> list[Key]:
    """All keys."""
    return [_key(row) for row in db.execute(queries()["list_keys"])]


def rotated(db: psycopg.Connection[Any], name: str, grace_s: int) -> NewKey:
    """Give a key a successor of the same kind and the same length of life; the old one ends after `grace_s` seconds.

    Raises `KeyNotFound`, `KeyNotRotatable`.
    """
    _check_id(name)
    with db.transaction():
        db.execute(queries()["lock_access"])
        life = db.execute(queries()["key_life"], {"id": name}).fetchone()
        if life is None:
            raise KeyNotFound(f"there is no key {name!r}")
        text, kept = keytext.make()
        old = db.execute(queries()["rotate_key"], {"id": name, "successor": kept.id, "grace": grace_s}).fetchone()
        if old is None:
            raise KeyNotRotatable(f"key {name} is revoked, expired, or has a successor already")
        return _store(db, text, kept, old[0], old[1], old[2], life[0])


def revoked(db: psycopg.Connection[Any], name: str) -> Key:
    """End a key now; done twice it is the same. Raises `KeyNotFound`."""
    _check_id(name)
    row = db.execute(queries()["revoke_key"], {"id": name}).fetchone()
    if row is None:
        raise KeyNotFound(f"there is no key {name!r}")
    return _key(row)


def _check_id(name: str) -> None:
    """Raise `KeyNotFound` for what can be no id: PostgreSQL would refuse a NUL, as if it were itself in trouble."""
    if not keytext.is_id(name):
        raise KeyNotFound(f"there is no key {name!r}")


def _insert(
    db: psycopg.Connection[Any], name: str, scopes: Sequence[str], seasons: list[str] | None, life_s: float | None
) -> NewKey:
    text, kept = keytext.make()
    return _store(db, text, kept, name, scopes, seasons, life_s)


def _store(
    db: psycopg.Connection[Any],
    text: str,
    kept: keytext.KeyText,
    name: str,
    scopes: Sequence[str],
    seasons: list[str] | None,
    life_s: float | None,
) -> NewKey:
    db.execute(queries()["forget_dead_keys"])
    row = db.execute(
        queries()["create_key"],
        {
            "id": kept.id,
            "digest": kept.digest,
            "name": name,
            "scopes": list(scopes),
            "seasons": seasons,
            "lives": life_s,
        },
    ).fetchone()
    assert row is not None
    return NewKey(text, _key(row))


def _key(row: Sequence[Any]) -> Key:
    name, title, scopes, seasons, made, *rest = row
    return Key(name, title, scopes, made, *(msgspec.UNSET if value is None else value for value in (seasons, *rest)))
