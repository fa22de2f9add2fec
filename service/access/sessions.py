"""Sessions of operators: a key that a browser may use without having it.

A session is two halves. The browser keeps the cookie, which no script can read, and sends it by itself. The page keeps
the token in memory and sends it as `Authorization: Bearer lbs_…`. Neither is a credential alone: a page of another
origin makes a browser send the cookie at most (CSRF), and a script that steals the token has no cookie.

A session has the rights of the key that it was begun with, and ends with that key. It is signed as tickets are; the ids
of sessions that were ended before their time are read with the keys.
"""

from __future__ import annotations

import re
import secrets
from time import time
from typing import Final

import msgspec

from service.access.grant import Grant
from service.access.keyring import Keyring
from service.access.tickets import open_signed, sign
from service.contract.problems import add_problem
from service.contract.scopes import BITS

COOKIE: Final = "lb_session"
SECURE_COOKIE: Final = "__Host-lb_session"
"""The name of the cookie over TLS. A browser takes it from this host only, over TLS only."""
TOKEN_PREFIX: Final = "lbs_"
COOKIE_PREFIX: Final = "lbc_"

SESSION_ENDED: Final = add_problem(
    "session-ended",
    401,
    "The session has ended. Sign in again.",
    "The operator's session has expired or was signed out, its key is not valid any more, or the cookie is missing.",
)
SESSION_MISMATCH: Final = add_problem(
    "session-mismatch",
    403,
    "The request does not come from the page of this session; nothing was done.",
    "The token in `Authorization` is not the one that belongs to the session's cookie, or another site sent the "
    "request.",
)

_COOKIE: Final = re.compile(r"(?:^|;[ \t]*)(?:__Host-)?lb_session=(lbc_[A-Za-z0-9_-]+)[ \t]*(?=;|$)")
_ID_BYTES: Final = 15


class Session(msgspec.Struct, frozen=True, array_like=True):
    """The content of a cookie: its id, the id of the key, and the Unix time in seconds at which it ends."""

    id: str
    key_id: str
    until: float


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Session).decode


class Sessions:
    """Begins and checks the sessions of one worker. Each lasts for `life_s` seconds at most."""

    def __init__(self, keyring: Keyring, life_s: int) -> None:
        self._keyring: Final = keyring
        self._life_s: Final = life_s

    def begin(self, grant: Grant) -> tuple[str, Session]:
        """Begin a session with the grant of a key: the text of its cookie, and its content."""
        until = min(time() + self._life_s, grant.until)
        session = Session(secrets.token_urlsafe(_ID_BYTES), grant.caller.key_id, until)
        return sign(self._keyring.secret, COOKIE_PREFIX, _encode(session)), session

    def make_token(self, session: Session) -> str:
        """The token that a page sends beside the cookie."""
        return sign(self._keyring.secret, TOKEN_PREFIX, session.id.encode())

    def read(self, cookies: str | None) -> tuple[Session, Grant] | None:
        """The session of a `Cookie` header, and the grant of its key as it is now; None if it has ended, or is none."""
        # Another program of this host may have set a cookie of the same name.
        for found in _COOKIE.finditer(cookies or ""):
            content = open_signed(self._keyring.secret, COOKIE_PREFIX, found[1])
            if content is None:
                continue
            session = _decode(content)
            if session.until <= time() or session.id in self._keyring.ended:
                continue
            grant = self._keyring.find_valid(session.key_id)
            if isinstance(grant, Grant) and grant.scopes & BITS["admin"]:
                return session, grant
        return None

    def admit(self, token: str, cookies: str | None) -> Grant | str:
        """The grant of a request with both halves; or the reason of its refusal (`authorizer.REFUSALS_BY_REASON`)."""
        found = self.read(cookies)
        if found is None:
            return "ended"
        session, grant = found
        return grant if open_signed(self._keyring.secret, TOKEN_PREFIX, token) == session.id.encode() else "csrf"
