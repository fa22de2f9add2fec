"""Authorization: from the bytes of a header to what they allow, or to the answer that says why not."""

from __future__ import annotations

import re
from time import time
from typing import Final, Protocol

from service.access.grant import Grant
from service.access.key_text import PREFIX, parse_key
from service.access.keyring import Keyring
from service.contract import problems
from service.contract.answers import Answer
from service.contract.problems import Problem
from service.contract.scopes import BITS, Scope

CACHED_MOST: Final = 8_192
CREDENTIAL_MOST: Final = 4_096

# RFC 6750: one space, one token68. One spelling only, so that nobody fills the cache with a credential in many.
_BEARER: Final = re.compile(rb"[Bb]earer ([A-Za-z0-9._~+/=-]{1,%d})" % CREDENTIAL_MOST)
_KEY: Final = PREFIX.encode()

_CHALLENGE: Final = 'Bearer realm="leaderboard"'


def make_challenge(problem: Problem, error: str = "", scope: Scope | None = None) -> Answer:
    """A refusal with the `WWW-Authenticate` of RFC 6750."""
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
}
SCOPE_MISSING: Final = {
    BITS[scope]: make_challenge(problems.SCOPE_MISSING, "insufficient_scope", scope) for scope in BITS
}
SEASON_FORBIDDEN: Final = make_challenge(problems.SEASON_FORBIDDEN, "insufficient_scope")
REFUSALS_BY_CODE: Final = {
    problem.code: make_challenge(problem, "insufficient_scope")
    for problem in (problems.PLAYER_FORBIDDEN, problems.DELTA_FORBIDDEN)
}
"""What is refused only after the body was read."""


class Tokens(Protocol):
    """Whoever verifies player tokens."""

    @property
    def loaded(self) -> bool: ...

    def find(self, text: bytes) -> Grant | str: ...


class Authorizer:
    """Admission of one worker. PERF: a credential that was verified is found again by its bytes, in one look-up."""

    def __init__(self, keyring: Keyring, tokens: Tokens | None = None) -> None:
        self._keyring: Final = keyring
        self._tokens: Final = tokens
        self._known: Final[dict[bytes, Grant]] = {}

    def forget(self) -> None:
        """Verify everything again: keys have changed."""
        self._known.clear()

    def admit(self, header: bytes | None, scope: int, season: str | None) -> Grant | Answer:
        """Whether the bearer may do what needs `scope` (a bit) in `season` (None: the operation belongs to none)."""
        grant = self._known.get(header) if header is not None else None
        if grant is None or grant.until <= time():
            found = self._verify(header)
            if isinstance(found, Answer):
                return found
            grant = found
        if not grant.scopes & scope:
            return SCOPE_MISSING[scope]
        if grant.seasons is not None and season not in grant.seasons:
            return SEASON_FORBIDDEN
        return grant

    def _verify(self, header: bytes | None) -> Grant | Answer:
        """The long way, once for each credential."""
        if header is None:
            return MISSING
        found = _BEARER.fullmatch(header)
        if found is None:
            return MALFORMED
        text = found[1]
        grant: Grant | str
        if text.startswith(_KEY):
            key = parse_key(text.decode("ascii"))
            if key is None:
                return MALFORMED
            if not self._keyring.loaded:
                return problems.ACCESS_NOT_LOADED.answer
            grant = self._keyring.find(key)
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
