"""Digests of texts that are not kept themselves."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence


def make_digest(first: str, second: str) -> str:
    """32 hex digits of SHA-256 over two texts: the stored form of an idempotency key, and of its submission."""
    return hashlib.sha256(f"{first}\0{second}".encode()).hexdigest()[:32]


Extras = tuple[str, str | None, Sequence[tuple[str, int]]]
"""A client's version, or empty; metadata as they are kept, or None; columns by name."""


def list_fingerprints(user: str, number: int, extras: Extras, achieved: int, period: int) -> list[str]:
    """All fingerprints that a submission of the ledger may have (`Item.set_key` of the intake makes them).

    The ledger does not tell whether the client named a time (`achieved`, microseconds since 1970; 0: none is known) or
    the period, nor whether the number was a score.
    """
    version, metadata, columns = extras
    more = f"\0{version}\0{metadata or ''}" + "".join(f"\0{name}={value}" for name, value in columns)
    placed = {f"\0{at}\0{named}" for at in (0, achieved) for named in (0, period)}
    return [
        make_digest(user, f"{word}{number}{rest}")
        for word in ("", "score ")
        for rest in ("", more, *sorted(more + place for place in placed))
    ]


def hash_player(secret: bytes, user: str) -> bytes:
    """A keyed hash of a user id: without the installation's secret nobody finds the id by trying."""
    return hmac.digest(secret, b"erasure\0" + user.encode(), "sha256")
