"""Signing in and out of the operators' page."""

from __future__ import annotations

import datetime
from time import time
from typing import Final

import msgspec

from board.pg.write_connection import WriteConnection
from service.access.authorizer import SCOPE_MISSING, Authorizer
from service.access.caller import Caller
from service.access.grant import Grant
from service.access.keyring import Keyring
from service.access.sessions import COOKIE, SECURE_COOKIE, SESSION_MISMATCH, Session, Sessions
from service.admin.types import OpenSession, SignedOut, SignIn
from service.contract import problems
from service.contract.answers import Answer
from service.contract.scopes import BITS, SCOPES

_encode: Final = msgspec.json.Encoder().encode
_OWN_SITE: Final = (None, "same-origin", "none")
"""`Sec-Fetch-Site` of requests of the page itself, of its user, and of clients that are no browsers."""


class SignedOperators(msgspec.Struct, frozen=True):
    """What sessions need; None on an open server."""

    keyring: Keyring
    authorizer: Authorizer
    sessions: Sessions
    store: WriteConnection


class OperatorSessions:
    """The operations on sessions of one worker. `parts` is None on an open server, which needs none."""

    def __init__(self, parts: SignedOperators | None) -> None:
        self._parts: Final = parts

    async def show_session(self, cookies: str | None) -> Answer:
        """The session of a cookie, with the token that the page lost when it was loaded again (`OpenSession`, 200)."""
        if self._parts is None:
            return Answer(200, _encode(OpenSession(True)))
        if not self._parts.keyring.loaded:
            return problems.ACCESS_NOT_LOADED.answer
        found = self._parts.sessions.read(cookies)
        return Answer(200, _encode(OpenSession(False) if found is None else self._describe(*found)))

    async def sign_in(self, origin: str | None, site: str | None, wanted: SignIn, caller: Caller) -> Answer:
        """Begin a session with a key of the scope `admin` (`OpenSession`, 200, and the cookie; or the refusal)."""
        if self._parts is None:
            return Answer(200, _encode(OpenSession(True)))
        if site not in _OWN_SITE:
            return SESSION_MISMATCH.answer
        grant = self._parts.authorizer.read_key(wanted.key)
        if isinstance(grant, Answer):
            return grant
        if grant.player is not None or not grant.scopes & BITS["admin"]:
            return SCOPE_MISSING[BITS["admin"]]
        cookie, session = self._parts.sessions.begin(grant)
        head = make_cookie(cookie, int(session.until - time()), origin)
        return Answer(200, _encode(self._describe(session, grant)), headers=(("set-cookie", head),))

    async def sign_out(self, origin: str | None, cookies: str | None, site: str | None, caller: Caller) -> Answer:
        """End the session of a cookie, in every worker within two seconds (`SignedOut`, 200, and no cookie).

        Raises `StoreUnavailable`, `ServerUnreachable` and `OutcomeUnknown`.
        """
        if self._parts is not None:
            if site not in _OWN_SITE:
                return SESSION_MISMATCH.answer
            found = self._parts.sessions.read(cookies)
            if found is not None:
                session, _ = found
                async with self._parts.store.transaction() as change:
                    await change.run("end_session", {"id": session.id, "until": session.until})
                self._parts.keyring.hurry()
        return Answer(200, _encode(SignedOut(True)), headers=(("set-cookie", make_cookie("", 0, origin)),))

    def _describe(self, session: Session, grant: Grant) -> OpenSession:
        assert self._parts is not None
        return OpenSession(
            False,
            self._parts.sessions.make_token(session),
            datetime.datetime.fromtimestamp(int(session.until), datetime.UTC),
            session.key_id,
            [scope for scope in SCOPES if grant.scopes & BITS[scope]],
            None if grant.seasons is None else sorted(grant.seasons),
        )


def make_cookie(text: str, age_s: int, origin: str | None) -> str:
    """The value of `Set-Cookie`. The page's own origin tells whether it was loaded over TLS, as no proxy has to.

    A browser keeps a cookie with `Secure` only then.
    """
    attributes = f"Path=/; HttpOnly; SameSite=Strict; Max-Age={age_s}"
    if origin is not None and origin.startswith("http:"):
        return f"{COOKIE}={text}; {attributes}"
    return f"{SECURE_COOKIE}={text}; {attributes}; Secure"
