"""Keys in PostgreSQL, for the command and for `/v1/keys`. Every function may raise `psycopg.Error`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import psycopg

from board.audit import Act
from board.errors import KeyNotFound, KeyNotRotatable, UsageError
from board.pg.queries import queries
from service.access import key_text
from service.contract.scopes import SCOPES
from service.contract.types import SEASON_ID_MAX
from service.contract.validation import is_plain
from service.keys.types import NAME_MAX, Key, NewKey, Wanted

FIRST_NAME: Final = "first"


def check_wanted(wanted: Wanted) -> None:
    """Check the names, which their types do not. Raises `UsageError`."""
    if not is_plain(wanted.name, NAME_MAX):
        raise UsageError(f"a key's name has 1 to {NAME_MAX} characters, none of them a control character")
    for season in wanted.seasons or ():
        if not is_plain(season, SEASON_ID_MAX):
            raise UsageError(f"a season id has 1 to {SEASON_ID_MAX} characters, none of them a control character")


def create_key(db: psycopg.Connection[Any], wanted: Wanted, act: Act) -> NewKey:
    """Make a key. Raises `UsageError`."""
    check_wanted(wanted)
    with db.transaction():
        return _insert(db, act, wanted.name, sorted(set(wanted.scopes)), wanted.seasons, wanted.lifeS)


def create_first_key(db: psycopg.Connection[Any], act: Act) -> NewKey | None:
    """Make the key of a first start, with every scope; None if there ever was a key. One concurrent caller gets it."""
    # First without the lock: a server that accepts no changes may have keys, too.
    if _has_keys(db):
        return None
    with db.transaction():
        db.execute(queries()["lock_access"])
        if _has_keys(db):
            return None
        return _insert(db, act, FIRST_NAME, list(SCOPES), None, None)


def _has_keys(db: psycopg.Connection[Any]) -> bool:
    row = db.execute(queries()["any_key"]).fetchone()
    return row is None or bool(row[0])


def list_keys(db: psycopg.Connection[Any]) -> list[Key]:
    """List all keys."""
    return [_make_key(row) for row in db.execute(queries()["list_keys"])]


def rotate_key(db: psycopg.Connection[Any], name: str, grace_s: int, act: Act) -> NewKey:
    """Give a key a successor with the same rights and lifetime; the old key expires after `grace_s` seconds.

    Raises `KeyNotFound`, `KeyNotRotatable`.
    """
    _check_id(name)
    with db.transaction():
        db.execute(queries()["lock_access"])
        life = db.execute(queries()["key_life"], {"id": name}).fetchone()
        if life is None:
            raise KeyNotFound(f"there is no key {name!r}")
        before = _find(db, name)
        text, kept = key_text.make_key()
        old = db.execute(queries()["rotate_key"], {"id": name, "successor": kept.id, "grace": grace_s}).fetchone()
        if old is None:
            raise KeyNotRotatable(f"key {name} is revoked, expired, or has a successor already")
        successor = _store(db, act, text, kept, old[0], old[1], old[2], life[0])
        _note(db, act.note("key.rotate", "key", name, before, _find(db, name)))
        return successor


def revoke_key(db: psycopg.Connection[Any], name: str, act: Act) -> Key:
    """Revoke a key now; revoking it again changes nothing. Raises `KeyNotFound`."""
    _check_id(name)
    with db.transaction():
        # In the order in which a rotation locks.
        db.execute(queries()["lock_access"])
        before = _find(db, name)
        if before is None:
            raise KeyNotFound(f"there is no key {name!r}")
        db.execute(queries()["revoke_key"], {"id": name})
        after = _find(db, name)
        assert after is not None, "it is locked"
        if after != before:
            _note(db, act.note("key.revoke", "key", name, before, after))
    return after


def _find(db: psycopg.Connection[Any], name: str) -> Key | None:
    row = db.execute(queries()["find_key"], {"id": name}).fetchone()
    return None if row is None else _make_key(row)


def _note(db: psycopg.Connection[Any], noted: tuple[str, dict[str, Any]]) -> None:
    """Note an act, in its transaction."""
    name, parameters = noted
    db.execute(queries()[name], parameters)


def _check_id(name: str) -> None:
    """Raise `KeyNotFound` for a text that cannot be an id. PostgreSQL would fail on a NUL."""
    if not key_text.is_id(name):
        raise KeyNotFound(f"there is no key {name!r}")


def _insert(
    db: psycopg.Connection[Any],
    act: Act,
    name: str,
    scopes: Sequence[str],
    seasons: list[str] | None,
    life_s: float | None,
) -> NewKey:
    text, kept = key_text.make_key()
    return _store(db, act, text, kept, name, scopes, seasons, life_s)


def _store(
    db: psycopg.Connection[Any],
    act: Act,
    text: str,
    kept: key_text.KeyText,
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
    made = _make_key(row)
    _note(db, act.note("key.create", "key", made.id, None, made))
    return NewKey(text, made)


def _make_key(row: Sequence[Any]) -> Key:
    name, title, scopes, seasons, created, *rest = row
    return Key(name, title, scopes, created, *(msgspec.UNSET if value is None else value for value in (seasons, *rest)))
