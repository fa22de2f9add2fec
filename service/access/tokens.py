"""Players' tokens: JSON Web Tokens (RFC 7519), verified once and cached by the authorizer until they expire.

Settings pin algorithm, issuer and audience. The token's own header only chooses the key of the set.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Protocol

import jwt
import msgspec

from service.access.grant import Grant, Player
from service.contract.scopes import Scope, pack_scopes
from service.contract.types import INT64_MAX, INT64_MIN, SEASON_ID_MAX, USER_ID_MAX
from service.contract.validation import is_plain

LEEWAY_S: Final = 5
"""The tolerated difference between the clocks of issuer and server."""
REQUIRED: Final = ["exp", "aud", "iss", "sub"]

# RFC 7515: no padding. One spelling only, see `authorizer`.
_COMPACT: Final = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")

_Delta = Annotated[int, msgspec.Meta(ge=INT64_MIN, le=INT64_MAX)]


class Claims(msgspec.Struct, frozen=True):
    """The claims that the service reads. Without `seasons` or a bound of `delta` there is no such limit."""

    sub: str
    exp: float
    seasons: Annotated[list[str], msgspec.Meta(max_length=1_000)] | None = None
    min_delta: _Delta = INT64_MIN
    max_delta: _Delta = INT64_MAX


class VerificationKeys(Protocol):
    """The interface of a source of verification keys."""

    @property
    def loaded(self) -> bool: ...

    def find(self, kid: str | None) -> Any | None: ...


class Secret:
    """One shared secret, for HS256."""

    loaded = True

    def __init__(self, secret: str) -> None:
        self._secret: Final = secret.encode()

    def find(self, kid: str | None) -> bytes | None:
        """The secret, for every key id."""
        return self._secret


class Tokens:
    """Verifies tokens with one algorithm, issuer and audience. Every valid token gets `scopes`.

    Tokens need the claims of `REQUIRED`, and a key of at least the length that RFC 7518 requires.
    """

    def __init__(
        self, keys: VerificationKeys, *, algorithm: str, issuer: str, audience: str, scopes: tuple[Scope, ...]
    ) -> None:
        self._keys: Final = keys
        self._algorithm: Final = algorithm
        self._issuer: Final = issuer
        self._audience: Final = audience
        self._scopes: Final = pack_scopes(scopes)
        self._jwt: Final = jwt.PyJWT({"require": REQUIRED, "enforce_minimum_key_length": True})

    @property
    def loaded(self) -> bool:
        """Whether there are keys to verify with."""
        return self._keys.loaded

    def find(self, text: bytes) -> Grant | str:
        """Verify a token; its grant, or the reason of its refusal (a key of `authorizer.REFUSALS_BY_REASON`)."""
        if _COMPACT.fullmatch(text) is None:
            return "malformed"
        try:
            kid = jwt.get_unverified_header(text).get("kid")
            key = self._keys.find(kid)
            if key is None:
                return "unknown"
            payload = self._jwt.decode(
                text.decode("ascii"),
                key,
                algorithms=[self._algorithm],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_S,
            )
            claims = msgspec.convert(payload, type=Claims)
        except jwt.ExpiredSignatureError:
            return "expired"
        except jwt.ImmatureSignatureError:
            return "early"
        except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError, jwt.InvalidKeyError):
            return "unknown"
        except jwt.DecodeError:
            return "malformed"
        except RecursionError:
            # The header is parsed before the signature is verified; deep nesting in it ends here.
            return "malformed"
        except (jwt.InvalidTokenError, msgspec.ValidationError):
            return "claims"
        fits = all(is_plain(season, SEASON_ID_MAX) for season in claims.seasons or ())
        if not fits or not is_plain(claims.sub, USER_ID_MAX):
            return "claims"
        return Grant(
            f"u:{claims.sub}",
            self._scopes,
            None if claims.seasons is None else frozenset(claims.seasons),
            claims.exp + LEEWAY_S,
            Player(claims.sub, claims.min_delta, claims.max_delta),
        )
