"""Authorization: from the `Authorization` header to a grant, or to the answer that refuses it."""

from __future__ import annotations

import re
from time import time
from typing import Final, Protocol

from service.access.grant import READER, Grant
from service.access.key_text import PREFIX, parse_key
from service.access.keyring import Keyring
from service.access.sessions import SESSION_ENDED, SESSION_MISMATCH, TOKEN_PREFIX, Sessions
from service.access.tickets import PASS_PREFIX, Tickets
from service.contract import problems
from service.contract.answers import Answer
from service.contract.problems import Problem
from service.contract.scopes import BITS, Scope

CACHED_MOST: Final = 8_192
"""Verified credentials in memory."""
CREDENTIAL_MOST_BYTES: Final = 4_096

# RFC 6750: one space, one token68. One spelling only: a client must not fill the cache with spellings of a credential.
_BEARER: Final = re.compile(rb"[Bb]earer ([A-Za-z0-9._~+/=-]{1,%d})" % CREDENTIAL_MOST_BYTES)
_KEY: Final = PREFIX.encode()
_PASS: Final = PASS_PREFIX.encode()
_SESSION: Final = TOKEN_PREFIX.encode()

READ: Final = BITS["read"]
_CHALLENGE: Final = 'Bearer realm="leaderboard"'


def make_challenge(problem: Problem, error: str = "", scope: Scope | None = None) -> Answer:
    """Make a refusal with `WWW-Authenticate` (RFC 6750, 3)."""
    more = f', error="{error}"' if error else ""
    if scope is not None:
        more += f', scope="{scope}"'
    return problem.with_headers(("www-authenticate", _CHALLENGE + more))


MISSING: Final = make_challenge(problems.CREDENTIAL_MISSING)
MALFORMED: Final = make_challenge(problems.CREDENTIAL_MALFORMED, "invalid_token")
REFUSALS_BY_REASON: Final = {
    "malformed": MALFORMED,
    "unknown": make_challenge(problems.CREDENTIAL_UNKNOWN, "invalid_token"),
    "revoked": make_challenge(problems.CREDENTIAL_REVOKED, "invalid_token"),
    "expired": make_challenge(problems.CREDENTIAL_EXPIRED, "invalid_token"),
    "claims": make_challenge(problems.CLAIMS_REFUSED, "invalid_token"),
    "early": make_challenge(problems.CREDENTIAL_EARLY, "invalid_token"),
    "ended": make_challenge(SESSION_ENDED, "invalid_token"),
    "csrf": make_challenge(SESSION_MISMATCH),
    "forbidden": make_challenge(problems.SEASON_FORBIDDEN, "insufficient_scope"),
}
SCOPE_MISSING: Final = {
    BITS[scope]: make_challenge(problems.SCOPE_MISSING, "insufficient_scope", scope) for scope in BITS
}
SEASON_FORBIDDEN: Final = make_challenge(problems.SEASON_FORBIDDEN, "insufficient_scope")
REFUSALS_BY_CODE: Final = {
    problem.code: make_challenge(problem, "insufficient_scope")
    for problem in (problems.PLAYER_FORBIDDEN, problems.DELTA_FORBIDDEN)
}
"""Refusals that depend on the body, by the code of the problem."""


class Verifier(Protocol):
    """The interface of a verifier of players' tokens."""

    @property
    def loaded(self) -> bool: ...

    def find(self, text: bytes) -> Grant | str: ...


class Authorizer:
    """Admits the credentials of one worker: keys by the keyring, players' tokens by `tokens`, passes by `tickets`,
    sessions of operators by `sessions`. None: none is valid.

    PERF: a verified credential is cached by its bytes, and found again in one look-up.
    """

    def __init__(
        self,
        keyring: Keyring,
        tokens: Verifier | None = None,
        tickets: Tickets | None = None,
        sessions: Sessions | None = None,
    ) -> None:
        self._keyring: Final = keyring
        self._tokens: Final = tokens
        self._tickets: Final = tickets
        self._sessions: Final = sessions
        self._known: Final[dict[bytes, Grant]] = {}

    def forget(self) -> None:
        """Drop all verified credentials, since keys have changed."""
        self._known.clear()

    def admit(self, header: bytes | None, scope: int, season: str | None, cookies: str | None = None) -> Grant | Answer:
        """Admit a header for an operation; returns the grant, or the answer that refuses it (401, 403, 503).

        `scope` is the bit of the operation's scope; `season` is None if the operation belongs to none. Reads of a
        public season need no credential, and no right of a valid one. One that is not valid is refused. `cookies` are
        the other half of a session; the fast path has none, so it leaves such requests to the ordinary path.
        """
        grant = self._known.get(header) if header is not None else None
        if grant is None or grant.until <= time():
            if header is None and scope == READ and season in self._keyring.public:
                return READER
            if header is None and scope == READ and season is not None and not self._keyring.loaded:
                # It may be public.
                return problems.ACCESS_NOT_LOADED.answer
            found = self._verify(header, cookies)
            if isinstance(found, Answer):
                return found
            grant = found
        if grant.scopes & scope and (grant.seasons is None or season in grant.seasons):
            return grant
        if scope == READ and season in self._keyring.public:
            return grant
        return SEASON_FORBIDDEN if grant.scopes & scope else SCOPE_MISSING[scope]

    def is_session(self, header: bytes | None) -> bool:
        """Whether a header has one half of a session."""
        found = None if header is None else _BEARER.fullmatch(header)
        return found is not None and found[1].startswith(_SESSION)

    def read_key(self, text: str) -> Grant | Answer:
        """The grant of a key's text; or the answer that refuses it."""
        return self._verify(f"Bearer {text}".encode("utf-8", "replace"), None)

    def is_public(self, season: str | None) -> bool:
        """Whether reads of a season need no credential."""
        return season in self._keyring.public

    def _verify(self, header: bytes | None, cookies: str | None) -> Grant | Answer:
        """Verify a credential that is not in the cache."""
        if header is None:
            return MISSING
        found = _BEARER.fullmatch(header)
        if found is None:
            return MALFORMED
        text = found[1]
        grant: Grant | str
        if text.startswith(_SESSION) and self._sessions is not None:
            # Not to be found again by one half.
            grant = self._sessions.admit(text.decode("ascii"), cookies)
            return REFUSALS_BY_REASON[grant] if isinstance(grant, str) else grant
        if text.startswith(_KEY):
            key = parse_key(text.decode("ascii"))
            if key is None:
                return MALFORMED
            if not self._keyring.loaded:
                return problems.ACCESS_NOT_LOADED.answer
            grant = self._keyring.find(key)
        elif text.startswith(_PASS) and self._tickets is not None:
            if not self._keyring.loaded:
                return problems.ACCESS_NOT_LOADED.answer
            grant = self._tickets.find(text)
        elif self._tokens is None:
            return MALFORMED
        elif not self._tokens.loaded:
            return problems.ACCESS_NOT_LOADED.answer
        else:
            grant = self._tokens.find(text)
        if isinstance(grant, str):
            return REFUSALS_BY_REASON[grant]
        if len(self._known) >= CACHED_MOST:
            self._known.clear()
        self._known[header] = grant
        return grant
