"""Bounds of what an issuer, or its players, can make a worker keep in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.tokens import AUDIENCE, ISSUER, SECRET, Issuer, jwks

from service.access.authorizer import Authorizer
from service.access.grant import Grant
from service.access.jwks import Unusable, parse_keys, read_source
from service.access.keyring import Keyring
from service.access.tokens import Secret, Tokens


def test_of_many_public_keys_a_hundred_are_kept() -> None:
    key = Issuer("EdDSA").jwk()
    assert len(parse_keys(jwks(*({**key, "kid": f"k{n}"} for n in range(101))), "EdDSA")) == 100


def test_a_set_of_keys_beyond_a_mebibyte_is_unusable(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_bytes(b" " * 1024 * 1024)
    assert len(read_source(str(path))) == 1024 * 1024
    path.write_bytes(b" " * (1024 * 1024 + 1))
    with pytest.raises(Unusable, match="more than"):
        read_source(str(path))


def test_verified_credentials_are_kept_up_to_a_number() -> None:
    tokens = Tokens(Secret(SECRET), algorithm="HS256", issuer=ISSUER, audience=AUDIENCE, scopes=("read", "submit"))
    authorizer, issuer = Authorizer(Keyring(""), tokens), Issuer("HS256")
    kept = set()
    for number in range(8_200):
        grant = authorizer.admit(b"Bearer " + issuer.token(f"p{number}").encode(), 1, "s")
        assert isinstance(grant, Grant)
        kept.add(len(authorizer._known))
    assert max(kept) == 8_192
