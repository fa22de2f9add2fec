"""Signs players' tokens as an issuer would, and publishes its keys."""

from __future__ import annotations

import json
import time
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

SECRET: Final = "a secret of the tests that has more than 32 bytes"
ISSUER, AUDIENCE = "https://issuer.example", "leaderboard"


class Issuer:
    """One signing key of an algorithm, by the name `kid`."""

    def __init__(self, algorithm: str, kid: str | None = "k1") -> None:
        self.algorithm: Final = algorithm
        self.kid: Final = kid
        self.private: Any
        if algorithm == "RS256":
            self.private = rsa.generate_private_key(65537, 2048)
        elif algorithm == "ES256":
            self.private = ec.generate_private_key(ec.SECP256R1())
        elif algorithm == "EdDSA":
            self.private = ed25519.Ed25519PrivateKey.generate()
        else:
            self.private = SECRET.encode()

    def jwk(self, *, private: bool = False, **more: Any) -> dict[str, Any]:
        """The public key, as the set has it, or the private one."""
        kind: Any = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}[self.algorithm]
        made = json.loads(kind.to_jwk(self.private if private else self.private.public_key()))
        return {**made, "use": "sig", "alg": self.algorithm, **({"kid": self.kid} if self.kid else {}), **more}

    def token(self, user: Any = "ada", *, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token; a claim that is None is left out."""
        payload = {"sub": user, "iss": ISSUER, "aud": AUDIENCE, "exp": time.time() + 60, **claims}
        payload = {name: value for name, value in payload.items() if value is not None}
        named = {"kid": self.kid} if self.kid else {}
        return jwt.encode(payload, self.private, self.algorithm, headers={**named, **(headers or {})})


def jwks(*keys: dict[str, Any]) -> bytes:
    """A set of keys."""
    return json.dumps({"keys": list(keys)}).encode()


def settings(algorithm: str, source: str = SECRET, **more: str) -> dict[str, str]:
    """The environment of a server that takes these tokens."""
    return {
        "LEADERBOARD_AUTH": "keys",
        "LEADERBOARD_TOKEN_ALGORITHM": algorithm,
        "LEADERBOARD_TOKEN_ISSUER": ISSUER,
        "LEADERBOARD_TOKEN_AUDIENCE": AUDIENCE,
        ("LEADERBOARD_TOKEN_SECRET" if algorithm == "HS256" else "LEADERBOARD_TOKEN_JWKS"): source,
        **more,
    }
